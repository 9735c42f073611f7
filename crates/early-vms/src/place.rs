// SPDX-License-Identifier: Apache-2.0
//! What is wrong with a list, and where.

use std::fmt;
use std::path::PathBuf;

use crate::Partition;

/// A place in a list. Places are ordered by file, line and column.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The list's path, with the root directory that it was read from.
    pub file: PathBuf,
    /// The line, from 1. What concerns the whole file stands in line 1.
    pub line: u32,
    /// The column, in bytes from 1.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// Something wrong in a list. It is printed as `file:line: message`, on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The list's path, with the root directory that it was read from.
    pub file: PathBuf,
    /// The line, from 1. What concerns the whole file stands in line 1.
    pub line: u32,
    /// The column, in bytes from 1.
    pub column: u32,
    /// The partition that the list belongs to.
    pub partition: Partition,
    /// The VM that the fault is of; `None` if it is not in an entry with one name.
    pub vm: Option<String>,
    /// What is wrong, and what to do.
    pub message: String,
    /// Whether the VM can be created all the same.
    pub warning: bool,
}

impl Fault {
    /// A fault that is not a warning, and of no VM.
    pub(crate) fn new(place: Place, partition: Partition, message: String) -> Self {
        let Place { file, line, column } = place;
        Self {
            file,
            line,
            column,
            partition,
            vm: None,
            message,
            warning: false,
        }
    }

    /// A fault of a whole file.
    pub(crate) fn of_file(file: PathBuf, partition: Partition, message: String) -> Self {
        let place = Place {
            file,
            line: 1,
            column: 1,
        };
        Self::new(place, partition, message)
    }

    /// The same, as a fault of the VM `name`.
    pub(crate) fn of_vm(mut self, name: &str) -> Self {
        self.vm = Some(name.to_owned());
        self
    }

    /// Compares by partition, file, line and column.
    pub(crate) fn order(&self, other: &Self) -> std::cmp::Ordering {
        let key = |fault: &Self| (fault.line, fault.column);
        self.partition
            .cmp(&other.partition)
            .then_with(|| self.file.cmp(&other.file))
            .then_with(|| key(self).cmp(&key(other)))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.message)
    }
}
