// SPDX-License-Identifier: Apache-2.0
//! Descriptors: a number for the kind, the length of what follows (a multiple of 8), and that.

use crate::Error;
use crate::bytes::Bytes;

/// The kind that describes a hash tree.
const HASHTREE: u64 = 1;
/// The length of the hash algorithm's name, padded with zeros.
const ALGORITHM_LEN: usize = 32;
/// Between the fields and what they give the lengths of.
const RESERVED_LEN: usize = 60;

/// What a hash tree descriptor says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hashtree {
    /// The partition's name.
    pub partition: String,
    /// The size of the image without tree and structure, in bytes.
    pub image_size: u64,
    /// The name of the hash algorithm.
    pub algorithm: String,
    /// What is hashed in front of each block.
    pub salt: Vec<u8>,
    /// The digest of the tree's root.
    pub root_digest: Vec<u8>,
}

/// The hash tree descriptors among `bytes`.
pub(crate) fn hashtrees(bytes: &[u8]) -> Result<Vec<Hashtree>, Error> {
    let cut_off = Error::Broken("a descriptor is cut off");
    let mut bytes = Bytes(bytes);
    let mut found = Vec::new();
    while !bytes.0.is_empty() {
        let mut next = || {
            let (kind, length) = (bytes.u64()?, bytes.u64()?);
            Some((kind, length, bytes.take(usize::try_from(length).ok()?)?))
        };
        let Some((kind, length, content)) = next() else {
            return Err(cut_off);
        };
        if length % 8 != 0 {
            return Err(Error::Broken(
                "a descriptor's length is not a multiple of 8",
            ));
        }
        if kind == HASHTREE {
            match hashtree(Bytes(content)) {
                Some(descriptor) => found.push(descriptor),
                None => return Err(cut_off),
            }
        }
    }
    Ok(found)
}

fn hashtree(mut bytes: Bytes<'_>) -> Option<Hashtree> {
    let _dm_verity_version = bytes.u32()?;
    let image_size = bytes.u64()?;
    let _tree = (bytes.u64()?, bytes.u64()?);
    let _block_sizes = (bytes.u32()?, bytes.u32()?);
    let _error_correction = (bytes.u32()?, bytes.u64()?, bytes.u64()?);
    let algorithm = bytes.take(ALGORITHM_LEN)?;
    let lengths = [bytes.u32()?, bytes.u32()?, bytes.u32()?];
    let _flags = bytes.u32()?;
    bytes.take(RESERVED_LEN)?;
    let mut part = |index: usize| bytes.take(usize::try_from(lengths[index]).ok()?);
    let (partition, salt, root_digest) = (part(0)?, part(1)?, part(2)?);
    let end = algorithm.iter().position(|byte| *byte == 0)?;
    Some(Hashtree {
        partition: String::from_utf8(partition.to_vec()).ok()?,
        image_size,
        algorithm: String::from_utf8(algorithm[..end].to_vec()).ok()?,
        salt: salt.to_vec(),
        root_digest: root_digest.to_vec(),
    })
}
