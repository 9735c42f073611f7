// SPDX-License-Identifier: Apache-2.0
//! A log file that keeps the end of a stream in bounded space.
//!
//! When the file has [`FULL`] bytes it is renamed to `NAME.old`, in place of the one before, and a
//! new one is begun. So the two together hold at least the last [`FULL`] bytes, and at most twice as
//! many. A reader reads `NAME.old`, then `NAME`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Bytes of a file that is full.
pub const FULL: u64 = 256 << 10;

/// The file that was full before `path` was begun.
#[must_use]
pub fn old(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".old");
    PathBuf::from(name)
}

/// A log file that is written. It is made when the first byte is, and stays when this is dropped.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    file: Option<File>,
    length: u64,
}

impl LogFile {
    /// Creates or replaces the file at `path`.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            file: None,
            length: 0,
        }
    }

    /// Adds `bytes` to the end.
    ///
    /// # Errors
    /// If the file cannot be made or written; the bytes are lost then.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut file = match self.file.take() {
            Some(file) if self.length < FULL => file,
            Some(_) => {
                fs::rename(&self.path, old(&self.path))?;
                self.begin()?
            }
            None => self.begin()?,
        };
        file.write_all(bytes)?;
        self.length = self
            .length
            .saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.file = Some(file);
        Ok(())
    }

    fn begin(&mut self) -> io::Result<File> {
        self.length = 0;
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CONSOLE;

    #[test]
    fn the_end_of_a_stream_is_kept_in_bounded_space() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(CONSOLE);
        let mut log = LogFile::new(path.clone());
        assert!(!path.exists());
        let line = |number: u32| format!("line {number:09}\n").into_bytes();
        for number in 0..100_000 {
            log.write(&line(number)).unwrap();
        }
        let (before, now) = (fs::read(old(&path)).unwrap(), fs::read(&path).unwrap());
        for file in [&before, &now] {
            assert!(file.len() as u64 <= FULL + 15, "{}", file.len());
        }
        assert!(before.len() as u64 >= FULL);
        let all = [before, now].concat();
        let first = 100_000 - u32::try_from(all.len() / 15).unwrap();
        let expected: Vec<u8> = (first..100_000).flat_map(line).collect();
        assert_eq!(all, expected);
    }

    #[test]
    fn a_directory_that_is_gone_is_an_error_each_time() {
        let mut log = LogFile::new("/nonexistent/console.log".into());
        assert!(log.write(b"x").is_err());
        assert!(log.write(b"x").is_err());
    }
}
