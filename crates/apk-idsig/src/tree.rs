// SPDX-License-Identifier: Apache-2.0
//! The Merkle tree of fs-verity (Linux's `Documentation/filesystems/fsverity.rst`): SHA-256, blocks
//! of 4096 bytes, each level the hashes of the one below, filled up with zeros to whole blocks.

use crate::Error;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::thread;

/// Bytes of a block of data and of hashes.
pub const BLOCK: usize = 4096;
/// Bytes of a hash.
pub(crate) const HASH: usize = 32;
/// Bytes that are read at once: little enough to be still in a core's cache when they are hashed.
const CHUNK: usize = 256 << 10;
/// Bytes of a file for which another thread is worth its start.
const WORTH_A_THREAD: u64 = 1 << 20;
/// Bytes in which SHA-256 takes its input; a salt is filled up to them.
const INPUT: usize = 64;

/// The Merkle tree of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashTree {
    /// The root's hash. All zeros for an empty file.
    pub root: [u8; HASH],
    /// The levels from the root's block down to the hashes of the data. Empty for a file of at most
    /// one block, whose root is the hash of that block.
    pub levels: Vec<u8>,
}

impl HashTree {
    /// The tree of the first `length` bytes of `file`, with this salt, which may be empty.
    ///
    /// # Errors
    /// If the file cannot be read or is shorter.
    pub fn of(file: &File, length: u64, salt: &[u8]) -> Result<Self, Error> {
        let hasher = salted(salt);
        if length == 0 {
            return Ok(Self {
                root: [0; HASH],
                levels: Vec::new(),
            });
        }
        let mut level = leaves(file, length, &hasher)?;
        let mut levels = Vec::new();
        while level.len() > HASH {
            level.resize(level.len().next_multiple_of(BLOCK), 0);
            let above = level
                .chunks_exact(BLOCK)
                .flat_map(|block| hash(&hasher, block))
                .collect();
            levels.push(std::mem::replace(&mut level, above));
        }
        levels.reverse();
        let root = level.try_into().map_err(|_| Error::Hash)?;
        Ok(Self {
            root,
            levels: levels.concat(),
        })
    }
}

/// A hasher that has taken the salt.
pub(crate) fn salted(salt: &[u8]) -> Sha256 {
    let mut hasher = Sha256::new();
    if !salt.is_empty() {
        let mut padded = salt.to_vec();
        padded.resize(salt.len().next_multiple_of(INPUT), 0);
        hasher.update(&padded);
    }
    hasher
}

pub(crate) fn hash(hasher: &Sha256, block: &[u8]) -> [u8; HASH] {
    let mut hasher = hasher.clone();
    hasher.update(block);
    hasher.finalize().into()
}

/// The hashes of a file's blocks, computed on all cores.
fn leaves(file: &File, length: u64, hasher: &Sha256) -> Result<Vec<u8>, Error> {
    let block = BLOCK as u64;
    let count = length.div_ceil(block);
    let bytes = usize::try_from(count)
        .ok()
        .and_then(|count| count.checked_mul(HASH))
        .ok_or(Error::TooLarge(length))?;
    let mut hashes = vec![0; bytes];
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get) as u64;
    let threads = cores.min(length.div_ceil(WORTH_A_THREAD)).max(1);
    let blocks = count.div_ceil(threads);
    let share = usize::try_from(blocks)
        .unwrap_or(usize::MAX)
        .saturating_mul(HASH);
    thread::scope(|scope| {
        let workers: Vec<_> = hashes
            .chunks_mut(share)
            .zip((0..).map(|n: u64| n * blocks * block))
            .map(|(hashes, start)| {
                scope.spawn(move || hash_range(file, start, length, hasher, hashes))
            })
            .collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().unwrap_or(Err(Error::Hash)))
    })?;
    Ok(hashes)
}

/// Hashes the blocks from byte `start` on, as many as there is room for their hashes.
fn hash_range(
    file: &File,
    mut start: u64,
    length: u64,
    hasher: &Sha256,
    hashes: &mut [u8],
) -> Result<(), Error> {
    let mut buffer = vec![0; CHUNK];
    for hashes in hashes.chunks_mut(CHUNK / BLOCK * HASH) {
        let blocks = hashes.len() / HASH;
        let data = &mut buffer[..blocks * BLOCK];
        let have = usize::try_from(length - start)
            .unwrap_or(usize::MAX)
            .min(data.len());
        file.read_exact_at(&mut data[..have], start)
            .map_err(Error::io("cannot read the file to be hashed"))?;
        data[have..].fill(0);
        for (block, out) in data.chunks_exact(BLOCK).zip(hashes.chunks_exact_mut(HASH)) {
            out.copy_from_slice(&hash(hasher, block));
        }
        start += have as u64;
    }
    Ok(())
}
