// SPDX-License-Identifier: Apache-2.0
//! Reading a file that others may change at any time: each block is hashed and compared first.

use crate::tree::{BLOCK, HASH, hash, salted};
use crate::{Error, HashTree, HashingInfo};
use sha2::Sha256;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// A file, and the hashes of its blocks as they were when its root hash was right.
#[derive(Debug)]
pub struct Verified {
    file: File,
    length: u64,
    leaves: Vec<u8>,
    hasher: Sha256,
}

impl Verified {
    /// Hashes the first `length` bytes of `file`, and keeps the hashes if their root is that of
    /// `info`. What follows the file in a partition must be zeros up to a multiple of 4096: they
    /// count as the end of the last block.
    ///
    /// # Errors
    /// If the root is another, or the file cannot be read.
    pub fn new(file: File, length: u64, info: &HashingInfo) -> Result<Self, Error> {
        let tree = HashTree::of(&file, length, &info.salt)?;
        if tree.root[..] != info.root[..] {
            return Err(Error::Changed {
                is: tree.root.to_vec(),
                wanted: info.root.clone(),
            });
        }
        let blocks = usize::try_from(length.div_ceil(BLOCK as u64)).unwrap_or(usize::MAX);
        let mut leaves = tree.levels;
        if leaves.is_empty() {
            leaves = tree.root.to_vec();
        } else {
            // The data's hashes are the last level, filled up to whole blocks.
            let level = (blocks * HASH).next_multiple_of(BLOCK);
            leaves.drain(..leaves.len() - level);
        }
        Ok(Self {
            file,
            length,
            leaves,
            hasher: salted(&info.salt),
        })
    }

    /// How many bytes there are.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Reads some bytes from `offset` on; none at the end.
    ///
    /// # Errors
    /// If they cannot be read, or are not those that were hashed.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if offset >= self.length || buffer.is_empty() {
            return Ok(0);
        }
        let number = offset / BLOCK as u64;
        let start = number * BLOCK as u64;
        let have = usize::try_from(self.length - start)
            .unwrap_or(BLOCK)
            .min(BLOCK);
        let mut block = [0; BLOCK];
        self.file.read_exact_at(&mut block[..have], start)?;
        let at = usize::try_from(number).map_or(usize::MAX, |number| number * HASH);
        if self.leaves.get(at..at.saturating_add(HASH)) != Some(&hash(&self.hasher, &block)[..]) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("the block at byte {start} has changed since it was verified"),
            ));
        }
        let from = usize::try_from(offset - start).unwrap_or(0);
        let count = buffer.len().min(have - from);
        buffer[..count].copy_from_slice(&block[from..from + count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(length: usize) -> (File, HashingInfo, Vec<u8>) {
        let file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..=250).cycle().take(length).collect();
        file.write_all_at(&bytes, 0).unwrap();
        let tree = HashTree::of(&file, length as u64, b"salt").unwrap();
        let info = HashingInfo {
            salt: b"salt".to_vec(),
            root: tree.root.to_vec(),
        };
        (file, info, bytes)
    }

    #[test]
    fn what_is_read_is_what_was_hashed() {
        for length in [1, 4096, 4097, 128 * 4096 + 1, 700_000] {
            let (file, info, bytes) = file(length);
            let verified = Verified::new(file.try_clone().unwrap(), length as u64, &info).unwrap();
            let mut all: Vec<u8> = Vec::new();
            let mut buffer = [0; 1000];
            loop {
                match verified.read_at(&mut buffer, all.len() as u64).unwrap() {
                    0 => break,
                    count => all.extend(&buffer[..count]),
                }
            }
            assert!(all == bytes, "{length}");
            // The last byte changes under our hands.
            let last = length as u64 - 1;
            file.write_all_at(&[bytes[length - 1] ^ 1], last).unwrap();
            let error = verified.read_at(&mut buffer, last).unwrap_err().to_string();
            assert!(error.contains("has changed"), "{error}");
            if length > 4096 {
                verified.read_at(&mut buffer, 0).unwrap();
            }
        }
    }

    #[test]
    fn padding_with_zeros_changes_nothing_and_a_byte_does() {
        let (file, info, bytes) = file(5000);
        file.set_len(8192).unwrap();
        Verified::new(file.try_clone().unwrap(), 8192, &info).unwrap();
        file.write_all_at(&[bytes[4200] ^ 0x80], 4200).unwrap();
        let error = Verified::new(file, 8192, &info).unwrap_err();
        assert!(matches!(error, Error::Changed { .. }), "{error}");
    }
}
