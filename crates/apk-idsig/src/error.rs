// SPDX-License-Identifier: Apache-2.0
//! What can be wrong with an APK or an idsig.

use std::io;

/// An APK or an idsig could not be read, made or understood.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system refused to read or write.
    #[error("{what}")]
    Io {
        /// What failed.
        what: &'static str,
        /// The system error.
        source: io::Error,
    },
    /// A directory, pipe, device or the like.
    #[error("{0} is not a regular file; name a file")]
    NotRegular(&'static str),
    /// The idsig is the APK itself, perhaps by another name.
    #[error("the idsig and the APK are the same file; name another file for the idsig")]
    SameFile,
    /// The file that would be overwritten is not an idsig.
    #[error("the file for the idsig has other content; name another file, or remove this one")]
    NotIdsig,
    /// The APK is not a ZIP archive, or is damaged.
    #[error("the APK is not a valid ZIP archive: {0}; build it again")]
    Zip(&'static str),
    /// The file is too large to be hashed on this machine.
    #[error("the file has {0} bytes, too many to be hashed on this machine")]
    TooLarge(u64),
    /// A thread that hashes the file failed.
    #[error("cannot hash the file: a thread ended early; try again")]
    Hash,
    /// There is no signing block, or none that has a signer.
    #[error(
        "the APK is not signed with APK signature scheme v2 or v3: {0}; sign it with apksigner"
    )]
    Unsigned(&'static str),
    /// The signing block is broken.
    #[error("the APK's signing block is broken: {0}; sign it again")]
    Block(&'static str),
    /// There is no signature of a known kind.
    #[error(
        "the APK has only unknown signature algorithms ({}); sign it with RSA, ECDSA or DSA",
        numbers(.0)
    )]
    Algorithms(Vec<u32>),
    /// The file is not the one that the idsig was made for.
    #[error(
        "the file's root hash is {}, but the idsig has {}",
        hex(is),
        hex(wanted)
    )]
    Changed {
        /// Its root hash.
        is: Vec<u8>,
        /// That of the idsig.
        wanted: Vec<u8>,
    },
    /// The file is not an idsig, or is damaged.
    #[error("the idsig is broken: {0}; make it again")]
    Idsig(&'static str),
}

impl Error {
    pub(crate) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, source }
    }

    /// Whether the file's content is to blame, and not the system.
    #[must_use]
    pub fn is_content(&self) -> bool {
        !matches!(self, Self::Io { .. } | Self::Hash)
    }
}

fn numbers(algorithms: &[u32]) -> String {
    let numbers: Vec<_> = algorithms.iter().map(|n| format!("{n:#06x}")).collect();
    numbers.join(", ")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
