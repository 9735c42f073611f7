// SPDX-License-Identifier: Apache-2.0
//! One entry of a list.

use std::borrow::Cow;
use std::ops::Range;

use serde::de::DeserializeOwned;
use xml::ParserConfig;

use crate::position::Position;
use crate::text::printable;
use crate::{Fault, Form};

/// An entry of a list.
#[derive(Debug)]
pub struct Entry<'a> {
    /// Where it begins.
    pub position: Position,
    /// What is wrong with its structure.
    pub faults: Vec<Fault>,
    /// Where each occurrence of a field begins, by the field's index in the form.
    pub(crate) fields: Vec<(usize, Position, Range<usize>)>,
    /// The entry's element, without what is refused or says nothing.
    pub(crate) text: Cow<'a, str>,
}

impl Entry<'_> {
    /// The position of the field number `index` of the form, if there is exactly one.
    #[must_use]
    pub fn field(&self, index: usize) -> Option<Position> {
        let mut found = self.fields.iter().filter(|(field, ..)| *field == index);
        match (found.next(), found.next()) {
            (Some((_, position, _)), None) => Some(*position),
            _ => None,
        }
    }

    /// Reads the fields into a serde type. An attribute's name begins with `@` there.
    ///
    /// Fields that are missing, or that the entry has more than once, are not in the text that is
    /// read: such an entry has [`faults`](Self::faults), and its other fields can still be read.
    ///
    /// # Errors
    ///
    /// If a value does not fit the type.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        let reader = ParserConfig::new()
            .trim_whitespace(true)
            .whitespace_to_characters(true)
            .cdata_to_characters(true)
            .create_reader(self.text.as_bytes());
        T::deserialize(&mut serde_xml_rs::Deserializer::new(reader)).map_err(|error| {
            // The position inside the entry's own text would mislead.
            let message = match error {
                serde_xml_rs::Error::Custom(message) => message,
                other => other.to_string(),
            };
            Fault {
                position: self.position,
                message: printable(&message),
            }
        })
    }
}

/// Checks the number of each field, and marks fields that occur more than once for removal.
pub(crate) fn count_fields(entry: &mut Entry<'_>, form: &Form<'_>, cuts: &mut Vec<Range<usize>>) {
    for (index, name) in form.fields.iter().enumerate() {
        let found = || {
            entry
                .fields
                .iter()
                .filter(move |(field, ..)| *field == index)
        };
        let count = found().count();
        let fault = if count == 0 && form.required.contains(name) {
            Fault {
                position: entry.position,
                message: format!(
                    "<{}> has no {name}; it needs exactly one {}",
                    form.entry,
                    and(form.required)
                ),
            }
        } else if let Some((_, second, _)) = found().nth(1) {
            cuts.extend(found().map(|(.., range)| range.clone()));
            Fault {
                position: *second,
                message: format!(
                    "<{}> has {count} of {name}; it needs exactly one",
                    form.entry
                ),
            }
        } else {
            continue;
        };
        entry.faults.push(fault);
    }
}

/// `a, b and c`.
pub(crate) fn and(names: &[impl AsRef<str>]) -> String {
    let mut text = String::new();
    for (index, name) in names.iter().enumerate() {
        if index > 0 {
            let is_last = index + 1 == names.len();
            text.push_str(if is_last { " and " } else { ", " });
        }
        text.push_str(name.as_ref());
    }
    text
}

/// The text in `range` without the ranges `cuts`.
pub(crate) fn without<'a>(
    text: &'a str,
    range: Range<usize>,
    mut cuts: Vec<Range<usize>>,
) -> Cow<'a, str> {
    if cuts.is_empty() {
        return Cow::Borrowed(text.get(range).unwrap_or_default());
    }
    cuts.sort_by_key(|cut| cut.start);
    let mut kept = String::with_capacity(range.len());
    let mut at = range.start;
    for cut in cuts {
        if cut.start > at {
            kept.push_str(text.get(at..cut.start).unwrap_or_default());
        }
        at = at.max(cut.end);
    }
    kept.push_str(text.get(at..range.end).unwrap_or_default());
    Cow::Owned(kept)
}
