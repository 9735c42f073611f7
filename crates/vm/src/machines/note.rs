// SPDX-License-Identifier: Apache-2.0
//! The note that a manager leaves in a VM's directory.

use super::Process;
use std::io::{self, Read};
use std::path::Path;

/// The note's file.
pub(super) const FILE: &str = "owner";
/// As much of one is read.
const LONGEST: u64 = 1 << 20;

/// What a manager says of a VM: one thing a line, a key and its values. Later managers may say more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) name: String,
    pub(crate) client: Option<i32>,
    pub(crate) manager: Option<Process>,
    /// The VMM and its helpers, in the order in which they were started; none before the start.
    pub(crate) processes: Vec<Process>,
    pub(crate) console: Option<String>,
}

impl Note {
    /// Reads the one in `directory`, which may be another user's.
    ///
    /// # Errors
    /// If there is none that can be read.
    pub(super) fn read(directory: &Path) -> io::Result<Self> {
        let mut text = String::new();
        log_file::open(&directory.join(FILE))?
            .take(LONGEST)
            .read_to_string(&mut text)?;
        Ok(Self::parse(&text))
    }

    pub(super) fn parse(text: &str) -> Self {
        let mut note = Self::default();
        for line in text.lines() {
            let Some((key, value)) = line.split_once(' ') else {
                continue;
            };
            match key {
                "name" => note.name = value.to_owned(),
                "client" => note.client = value.parse().ok(),
                "manager" => note.manager = Process::parse(value),
                "process" => note.processes.extend(Process::parse(value)),
                "console" => note.console = Some(value.to_owned()),
                _ => {}
            }
        }
        note
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_lines_are_read_and_others_are_skipped() {
        let text = "name my vm\nclient 12\nmanager 13 400\nfuture x\n\nprocess 14 500\nprocess 15 501\nprocess x\nconsole /dev/pts/1\nconsole /dev/pts/2\n";
        let note = Note::parse(text);
        assert_eq!(note.name, "my vm");
        assert_eq!(note.client, Some(12));
        assert_eq!(
            note.manager,
            Some(Process {
                pid: 13,
                start: 400
            })
        );
        let pids: Vec<i32> = note.processes.iter().map(|p| p.pid).collect();
        assert_eq!(pids, [14, 15]);
        assert_eq!(note.console.as_deref(), Some("/dev/pts/2"));
    }
}
