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
        /// What was being done.
        what: &'static str,
        /// The system error.
        source: io::Error,
    },
    /// A directory, pipe, device or the like.
    #[error("{0}: it must be a regular file")]
    NotRegular(&'static str),
    /// Not a ZIP archive, or a broken one.
    #[error("the APK is not a valid ZIP archive: {0}; build it again")]
    Zip(&'static str),
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
        "none of the signature algorithms {0:#x?} of the APK is known; sign it with RSA, ECDSA or DSA"
    )]
    Algorithms(Vec<u32>),
    /// The file is not the one that the idsig was made for.
    #[error("its root hash is {}, but the idsig has {}", hex(is), hex(wanted))]
    Changed {
        /// Its root hash.
        is: Vec<u8>,
        /// That of the idsig.
        wanted: Vec<u8>,
    },
    /// The file is not an idsig.
    #[error("the idsig is broken: {0}; have it made again")]
    Idsig(&'static str),
}

impl Error {
    pub(crate) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, source }
    }

    /// Whether the file's content is to blame, and not the system.
    #[must_use]
    pub fn is_content(&self) -> bool {
        !matches!(self, Self::Io { .. })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
