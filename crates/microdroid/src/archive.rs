// SPDX-License-Identifier: Apache-2.0
//! Files in an APK. An APK in a partition is followed by zeros; its own end is found first.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

/// The record at the end of a ZIP archive: its number and its length without a comment.
const END_MAGIC: &[u8] = b"PK\x05\x06";
const END_LEN: usize = 22;
/// The longest comment, and the most bytes that a partition has after an archive.
const MAX_TAIL: u64 = 0xffff + 4096 + END_LEN as u64;

/// A file of an APK cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// Reading or writing failed.
    #[error("cannot read the APK")]
    Io(#[from] io::Error),
    /// It is not an archive.
    #[error("the APK is not a valid ZIP archive")]
    Zip(#[source] zip::result::ZipError),
    /// The archive has no such file.
    #[error("the APK has no file {name:?}")]
    Missing {
        /// The name.
        name: String,
    },
    /// The file is too large.
    #[error("{name:?} in the APK has more than {most} bytes")]
    TooLarge {
        /// The name.
        name: String,
        /// How many are allowed.
        most: u64,
    },
}

/// What can be read at any place.
pub trait ReadAt {
    /// How many bytes there are.
    ///
    /// # Errors
    /// If that cannot be found out.
    fn length(&self) -> io::Result<u64>;

    /// Reads some bytes from `offset` on; none at the end.
    ///
    /// # Errors
    /// If they cannot be read, or must not be trusted.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl ReadAt for File {
    fn length(&self) -> io::Result<u64> {
        let metadata = self.metadata()?;
        if metadata.is_file() {
            return Ok(metadata.len());
        }
        // A block device has no size, but an end.
        let mut file = self;
        file.seek(SeekFrom::End(0))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }
}

/// A part of a file from its start, with a position of its own.
struct Part<'a, F> {
    file: &'a F,
    length: u64,
    at: u64,
}

impl<F: ReadAt> Read for Part<'_, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.length.saturating_sub(self.at);
        let most = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let count = self.file.read_at(&mut buffer[..most], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl<F: ReadAt> Seek for Part<'_, F> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(steps) => self.at.checked_add_signed(steps),
            SeekFrom::End(steps) => self.length.checked_add_signed(steps),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// Copies the file `name` of the archive `apk` to `to`, if it has at most `most` bytes unpacked.
///
/// # Errors
/// If there is no such file, it is too large, or the archive is broken.
pub fn extract(
    apk: &impl ReadAt,
    name: &str,
    most: u64,
    mut to: impl Write,
) -> Result<(), ArchiveError> {
    let part = Part {
        file: apk,
        length: archive_length(apk)?,
        at: 0,
    };
    let mut archive = zip::ZipArchive::new(part).map_err(ArchiveError::Zip)?;
    let mut file = match archive.by_name(name) {
        Ok(file) => file,
        Err(zip::result::ZipError::FileNotFound) => {
            return Err(ArchiveError::Missing { name: name.into() });
        }
        Err(e) => return Err(ArchiveError::Zip(e)),
    };
    // The size in the archive is not trusted.
    let copied = io::copy(&mut (&mut file).take(most), &mut to)?;
    if copied == most && file.read(&mut [0])? > 0 {
        return Err(ArchiveError::TooLarge {
            name: name.into(),
            most,
        });
    }
    Ok(())
}

/// Where the archive in `file` ends: only zeros follow its last record.
fn archive_length(file: &impl ReadAt) -> io::Result<u64> {
    let length = file.length()?;
    let start = length.saturating_sub(MAX_TAIL);
    let mut tail = Vec::new();
    let mut part = Part {
        file,
        length,
        at: start,
    };
    part.read_to_end(&mut tail)?;
    let end = (0..=tail.len().saturating_sub(END_LEN))
        .rev()
        .find_map(|at| {
            let record = tail.get(at..)?.strip_prefix(END_MAGIC)?;
            let comment = u16::from_le_bytes(record.get(16..18)?.try_into().ok()?);
            let end = at + END_LEN + usize::from(comment);
            tail.get(end..)?
                .iter()
                .all(|byte| *byte == 0)
                .then_some(end)
        });
    Ok(end.map_or(length, |end| start + end as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use zip::write::SimpleFileOptions;

    fn apk(padding: usize, comment: &str) -> File {
        let file = tempfile::tempfile().unwrap();
        let mut archive = zip::ZipWriter::new(file);
        for (name, method) in [
            ("stored", zip::CompressionMethod::Stored),
            ("packed", zip::CompressionMethod::Deflated),
        ] {
            let options = SimpleFileOptions::default().compression_method(method);
            archive.start_file(name, options).unwrap();
            archive.write_all(&[7; 10_000]).unwrap();
        }
        archive.set_comment(comment).unwrap();
        let mut file = archive.finish().unwrap();
        file.seek(SeekFrom::End(0)).unwrap();
        file.write_all(&vec![0; padding]).unwrap();
        file
    }

    #[test]
    fn files_are_found_in_front_of_padding() {
        for (padding, comment) in [(0, ""), (4095, ""), (1, "a comment"), (3000, "x")] {
            let file = apk(padding, comment);
            for name in ["stored", "packed"] {
                let mut bytes = Vec::new();
                extract(&file, name, 10_000, &mut bytes).unwrap();
                assert_eq!(bytes, [7; 10_000], "{name} {padding}");
            }
        }
    }

    #[test]
    fn errors_say_what_is_missing() {
        let file = apk(0, "");
        let error = |name, most| {
            let result = extract(&file, name, most, io::sink());
            result.unwrap_err().to_string()
        };
        assert!(error("other", 10_000).contains("no file \"other\""));
        assert!(error("packed", 9_999).contains("more than 9999"));
        file.set_len(100).unwrap();
        assert!(extract(&file, "stored", 1, io::sink()).is_err());
    }
}
