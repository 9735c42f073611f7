// SPDX-License-Identifier: Apache-2.0
//! One service on a machine: whoever holds the lock on a file in its directory.

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Why this process is not the one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Another is.
    #[error("another virtualizationservice runs already: process {pid} (it holds {})", path.display())]
    Running {
        /// Its number.
        pid: String,
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be opened.
    #[error("cannot lock {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system error.
        source: io::Error,
    },
}

/// The role of the one service, until this is dropped.
#[derive(Debug)]
pub(crate) struct Single {
    _file: File,
}

impl Single {
    pub(crate) fn take(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Io {
            path: path.to_owned(),
            source,
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let mut pid = String::new();
                // What it wrote, for the message; it may just be about to.
                let _ = file.read_to_string(&mut pid);
                let pid = match pid.trim() {
                    "" => "(unknown)".to_owned(),
                    pid => pid.to_owned(),
                };
                return Err(Error::Running {
                    pid,
                    path: path.to_owned(),
                });
            }
            Err(e) => return Err(failed(e.into())),
        }
        file.set_len(0).map_err(failed)?;
        file.rewind().map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(Self { _file: file })
    }
}
