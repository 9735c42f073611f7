// SPDX-License-Identifier: Apache-2.0
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod entry;
mod position;
mod scan;
mod text;

pub use entry::Entry;
pub use position::Position;
pub use scan::read;
pub use text::{collapse, is_hidden, printable};

/// The shape of a list.
#[derive(Debug, Clone, Copy)]
pub struct Form<'a> {
    /// The name of the root element.
    pub root: &'a str,
    /// The name of an entry's element.
    pub entry: &'a str,
    /// The names of an entry's fields. Each is an attribute or a child element, at most once.
    pub fields: &'a [&'a str],
    /// The fields that an entry must have.
    pub required: &'a [&'a str],
    /// What to do with unknown attributes, elements and text.
    pub unknown: Unknown,
}

/// What to do with attributes, elements and text that a [`Form`] does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// Report them. An entry with both attributes and child elements is reported, too.
    Refuse,
    /// Report unknown elements between entries; ignore everything unknown inside an entry.
    RefuseEntries,
    /// Ignore them, for lists that another program writes and extends.
    Ignore,
}

/// A list that is well-formed XML and has the right root element.
#[derive(Debug)]
pub struct List<'a> {
    /// Faults outside of entries.
    pub faults: Vec<Fault>,
    /// The entries in the order of the text, faulty ones included.
    pub entries: Vec<Entry<'a>>,
}

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where it is.
    pub position: Position,
    /// What is wrong and how to correct it, on one line.
    pub message: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.position, self.message)
    }
}

impl std::error::Error for Fault {}
