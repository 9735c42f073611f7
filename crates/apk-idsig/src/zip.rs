// SPDX-License-Identifier: Apache-2.0
//! The ends of a ZIP archive: as much of the format (PKWARE's APPNOTE, 4.3.16) as tells where the
//! central directory is. In front of it stands the APK signing block.

use crate::Error;
use crate::reader::Reader;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// The number that begins the record at the archive's end.
const END_MAGIC: u32 = 0x0605_4b50;
/// The record's length without its comment.
const END_LEN: usize = 22;
/// The longest comment.
const MAX_COMMENT: usize = 0xffff;
/// The number of the record that an archive has in front of the end if it needs 64 bits, and the
/// length of that record.
const LOCATOR_MAGIC: u32 = 0x0706_4b50;
const LOCATOR_LEN: usize = 20;

/// Where the central directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CentralDirectory {
    /// Its first byte in the file.
    pub(crate) offset: u64,
}

fn broken<T>(what: &'static str) -> Result<T, Error> {
    Err(Error::Zip(what))
}

/// Finds the central directory of the archive `apk` of `length` bytes.
pub(crate) fn central_directory(apk: &File, length: u64) -> Result<CentralDirectory, Error> {
    let most = u64::try_from(LOCATOR_LEN + END_LEN + MAX_COMMENT).unwrap_or(u64::MAX);
    let start = length.saturating_sub(most);
    let Ok(count) = usize::try_from(length - start) else {
        return Err(Error::TooLarge(length));
    };
    let mut tail = vec![0; count];
    apk.read_exact_at(&mut tail, start)
        .map_err(Error::io("cannot read the end of the APK"))?;
    let Some((at, size, offset)) = find_end(&tail) else {
        return broken("it has no end of central directory");
    };
    let locator = at
        .checked_sub(LOCATOR_LEN)
        .and_then(|at| Reader(&tail[at..]).u32());
    if locator == Some(LOCATOR_MAGIC) {
        return broken("it is a ZIP64 archive, which an APK must not be");
    }
    let end = start + u64::try_from(at).unwrap_or(u64::MAX);
    if u64::from(offset) + u64::from(size) != end {
        return broken("its central directory does not end where the archive's end begins");
    }
    Ok(CentralDirectory {
        offset: offset.into(),
    })
}

/// The last record whose comment reaches exactly to the end: its place, and the central directory's
/// size and offset.
fn find_end(tail: &[u8]) -> Option<(usize, u32, u32)> {
    let last = tail.len().checked_sub(END_LEN)?;
    (0..=last).rev().find_map(|at| {
        let mut record = Reader(tail.get(at..)?);
        if record.u32()? != END_MAGIC {
            return None;
        }
        // Numbers of disks and entries.
        record.bytes(8)?;
        let (size, offset) = (record.u32()?, record.u32()?);
        let comment = usize::from(record.u16()?);
        (record.0.len() == comment).then_some((at, size, offset))
    })
}
