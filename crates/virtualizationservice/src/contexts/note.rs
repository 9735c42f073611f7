// SPDX-License-Identifier: Apache-2.0
//! What the service notes of a VM for the one that comes after it.
//!
//! The notes are not in the VMs' directories: those belong to users, who could write there what they
//! like.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Of whom a VM is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    /// The user.
    pub(crate) uid: u32,
    /// The process that the VM was made for, as its manager says.
    pub(crate) pid: i32,
    /// The terminal that shows its console.
    pub(crate) console: Option<String>,
    /// The name that its client gave it, in one line; empty if the manager does not tell.
    pub(crate) name: String,
}

impl Note {
    /// Writes it for `cid`, whole or not at all.
    pub(crate) fn write(&self, directory: &Path, cid: u32) -> io::Result<()> {
        let mut text = format!("uid {}\npid {}\n", self.uid, self.pid);
        if let Some(console) = &self.console {
            text.push_str(&format!("console {console}\n"));
        }
        if !self.name.is_empty() {
            text.push_str(&format!("name {}\n", self.name));
        }
        let unfinished = directory.join(format!(".{cid}"));
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished)?
            .write_all(text.as_bytes())?;
        fs::rename(&unfinished, directory.join(cid.to_string()))
    }

    /// Reads that of `cid`; none if there is none, or it is damaged.
    pub(crate) fn read(directory: &Path, cid: u32) -> Option<Self> {
        let text = fs::read_to_string(directory.join(cid.to_string())).ok()?;
        let value = |key: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))
        };
        Some(Self {
            uid: value("uid")?.parse().ok()?,
            pid: value("pid")?.parse().ok()?,
            console: value("console").map(str::to_owned),
            name: value("name").unwrap_or_default().to_owned(),
        })
    }

    /// Removes that of `cid`, if there is one.
    pub(crate) fn remove(directory: &Path, cid: u32) {
        if let Err(e) = fs::remove_file(directory.join(cid.to_string()))
            && e.kind() != io::ErrorKind::NotFound
        {
            log::warn!("cannot remove the note about CID {cid}: {e}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_and_read() {
        let directory = tempfile::tempdir().unwrap();
        for console in [None, Some("/dev/pts/3 with space".to_owned())] {
            let note = Note {
                uid: u32::MAX,
                pid: -1,
                name: console
                    .as_deref()
                    .map(|_| "a vm".to_owned())
                    .unwrap_or_default(),
                console,
            };
            note.write(directory.path(), 2048).unwrap();
            assert_eq!(Note::read(directory.path(), 2048), Some(note));
        }
        Note::remove(directory.path(), 2048);
        Note::remove(directory.path(), 2048);
        assert_eq!(Note::read(directory.path(), 2048), None);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn damaged_ones_are_none() {
        let directory = tempfile::tempdir().unwrap();
        for text in [
            "",
            "uid 1\n",
            "pid 1\n",
            "uid x\npid 1\n",
            "uid 1\npid 99999999999\n",
        ] {
            fs::write(directory.path().join("7"), text).unwrap();
            assert_eq!(Note::read(directory.path(), 7), None, "{text:?}");
        }
    }
}
