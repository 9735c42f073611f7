// SPDX-License-Identifier: Apache-2.0
//! The APK signing block, which stands in front of the central directory: its length in 64 bits,
//! pairs of a number and a value, each pair after its length, the length once more, and a magic.

use crate::reader::Reader;
use crate::signer::{self, ApkDigest, Scheme};
use crate::{Error, zip};
use std::fs::File;
use std::os::unix::fs::FileExt;

/// The magic at the block's end.
const MAGIC: &[u8] = b"APK Sig Block 42";
/// Bytes of the last length and the magic.
const TRAILER: u64 = 24;
/// Bytes of the first length, which the lengths do not count.
const FIRST: u64 = 8;
/// The longest block that is read. Real ones have some kilobytes, including their padding.
const MOST: u64 = 16 << 20;

/// The numbers of the schemes, strongest first. That of v3.1 is for newer SDKs only.
const SCHEMES: [(u32, Scheme); 3] = [
    (0x1b93_ad61, Scheme::V3),
    (0xf053_68c0, Scheme::V3),
    (0x7109_871a, Scheme::V2),
];

/// The digest of the strongest signature in `apk` that is for `sdk`: of scheme v3.1 or v3 by their
/// ranges of SDKs, else of v2. The signature is not verified.
///
/// # Errors
/// If the APK cannot be read, is not an archive, is not signed with one of these schemes, or has a
/// broken signing block.
pub fn apk_digest(apk: &File, sdk: u32) -> Result<ApkDigest, Error> {
    let metadata = apk
        .metadata()
        .map_err(Error::io("cannot examine the APK"))?;
    if !metadata.is_file() {
        return Err(Error::NotRegular("the APK"));
    }
    let directory = zip::central_directory(apk, metadata.len())?;
    let pairs = read_block(apk, directory.offset)?;
    for (number, scheme) in SCHEMES {
        if let Some(value) = value_of(&pairs, number)?
            && let Some(digest) = signer::digest(value, scheme, sdk)?
        {
            return Ok(digest);
        }
    }
    Err(Error::Unsigned(
        "its signing block has no signer for this SDK",
    ))
}

/// The pairs of the block that ends at `end`.
fn read_block(apk: &File, end: u64) -> Result<Vec<u8>, Error> {
    let unsigned = || Error::Unsigned("there is no signing block");
    let at = end.checked_sub(TRAILER).ok_or_else(unsigned)?;
    let mut trailer = [0; 24];
    apk.read_exact_at(&mut trailer, at)
        .map_err(Error::io("cannot read the APK's signing block"))?;
    let mut reader = Reader(&trailer);
    let size = reader.u64().ok_or_else(unsigned)?;
    if reader.0 != MAGIC {
        return Err(unsigned());
    }
    if !(TRAILER..=MOST).contains(&size) {
        return Err(Error::Block("its length is impossible"));
    }
    let start = end
        .checked_sub(size)
        .and_then(|start| start.checked_sub(FIRST))
        .ok_or(Error::Block("it is longer than the file before it"))?;
    let length = usize::try_from(size - TRAILER + FIRST).map_err(|_| Error::Block("too long"))?;
    let mut bytes = vec![0; length];
    apk.read_exact_at(&mut bytes, start)
        .map_err(Error::io("cannot read the APK's signing block"))?;
    if Reader(&bytes).u64() != Some(size) {
        return Err(Error::Block("its two lengths differ"));
    }
    bytes.drain(..8);
    Ok(bytes)
}

/// The value of the pair with `number`.
fn value_of(pairs: &[u8], number: u32) -> Result<Option<&[u8]>, Error> {
    let mut pairs = Reader(pairs);
    while !pairs.is_empty() {
        let pair = pairs.long_sized().and_then(|mut pair| {
            let number = pair.u32()?;
            Some((number, pair.0))
        });
        match pair {
            Some((found, value)) if found == number => return Ok(Some(value)),
            Some(_) => {}
            None => return Err(Error::Block("a pair is cut off")),
        }
    }
    Ok(None)
}
