// SPDX-License-Identifier: Apache-2.0
//! What is wrong with a list, and where.

use std::fmt;
use std::path::PathBuf;

use crate::Partition;

/// A location in a list. Locations are ordered by file, line and column.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// The list's path, with the root directory that it was read from.
    pub file: PathBuf,
    /// The line, from 1. A fault of the whole file is in line 1.
    pub line: u32,
    /// The column, in bytes from 1.
    pub column: u32,
}

impl Location {
    /// The location of a fault of a whole file.
    pub(crate) fn of_file(file: PathBuf) -> Self {
        Self {
            file,
            line: 1,
            column: 1,
        }
    }
}

/// Printed as `file:line`.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// Something wrong in a list. It is printed as `file:line: message`, on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where it is.
    pub location: Location,
    /// The partition that the list belongs to.
    pub partition: Partition,
    /// The VM whose entry has the fault; `None` if it is outside of an entry, or the entry has no
    /// name or several.
    pub vm: Option<String>,
    /// What is wrong, and what to do.
    pub message: String,
    /// Whether the VM can be created all the same.
    pub warning: bool,
}

impl Fault {
    /// An error that belongs to no VM.
    pub(crate) fn new(location: Location, partition: Partition, message: String) -> Self {
        Self {
            location,
            partition,
            vm: None,
            message,
            warning: false,
        }
    }

    /// An error of a whole file.
    pub(crate) fn of_file(file: PathBuf, partition: Partition, message: String) -> Self {
        Self::new(Location::of_file(file), partition, message)
    }

    /// Assigns the fault to the VM `name`.
    pub(crate) fn of_vm(mut self, name: &str) -> Self {
        self.vm = Some(name.to_owned());
        self
    }

    /// Compares by partition, file, line and column.
    pub(crate) fn order(&self, other: &Self) -> std::cmp::Ordering {
        self.partition
            .cmp(&other.partition)
            .then_with(|| self.location.cmp(&other.location))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.location, self.message)
    }
}
