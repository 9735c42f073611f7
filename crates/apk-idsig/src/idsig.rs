// SPDX-License-Identifier: Apache-2.0
//! The file of APK signature scheme v4. All numbers are little-endian; a "sized" value follows its
//! length in 32 bits.
//!
//! | part | fields |
//! | --- | --- |
//! | version | u32, 2 |
//! | hashing info, sized | u32 algorithm (1 for SHA-256), u8 log2 of the block size (12), sized salt, sized root hash |
//! | signing info, sized | sized digest of the APK, certificate, additional data, public key; u32 signature algorithm; sized signature |
//! | tree, sized | the levels of [`HashTree`] |

use crate::reader::Reader;
use crate::tree::HashTree;
use crate::{Error, apk_digest};
use std::fs::File;
use std::io::{Read, Write};

const VERSION: u32 = 2;
const SHA256: u32 = 1;
const LOG2_BLOCK: u8 = 12;
/// The longest hashing or signing info that is read.
pub const MAX_FIELD: u32 = 1 << 20;
/// The longest tree that is read: that of a file of 16 GiB.
pub(crate) const MAX_TREE: u32 = 136 << 20;

/// How the APK is hashed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HashingInfo {
    /// The salt, hashed in front of each block.
    pub salt: Vec<u8>,
    /// The root of the tree.
    pub root: Vec<u8>,
}

/// What is signed, and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SigningInfo {
    /// The APK's digest; see [`apk_digest`].
    pub apk_digest: Vec<u8>,
    /// An X.509 certificate in DER.
    pub certificate: Vec<u8>,
    /// Anything.
    pub additional_data: Vec<u8>,
    /// The certificate's key in DER.
    pub public_key: Vec<u8>,
    /// The number of the signature's algorithm.
    pub algorithm: u32,
    /// The signature; empty in a file that is made for a virtual machine, which checks that of the
    /// APK instead.
    pub signature: Vec<u8>,
}

/// The content of an idsig file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Idsig {
    /// How the APK is hashed.
    pub hashing: HashingInfo,
    /// What is signed.
    pub signing: SigningInfo,
    /// The levels of the tree, from the root's block on; may be left out.
    pub tree: Vec<u8>,
}

impl Idsig {
    /// Makes the idsig of `apk` as a device with `sdk` would, without a signature.
    ///
    /// # Errors
    /// If the APK cannot be read or is not signed; see [`apk_digest`].
    pub fn of(apk: &File, sdk: u32) -> Result<Self, Error> {
        let digest = apk_digest(apk, sdk)?;
        let length = apk
            .metadata()
            .map_err(Error::io("cannot examine the APK"))?
            .len();
        let tree = HashTree::of(apk, length, &[])?;
        Ok(Self {
            hashing: HashingInfo {
                salt: Vec::new(),
                root: tree.root.to_vec(),
            },
            signing: SigningInfo {
                apk_digest: digest.digest,
                algorithm: digest.algorithm.number(),
                ..SigningInfo::default()
            },
            tree: tree.levels,
        })
    }

    /// Reads an idsig, without its tree if that is not wanted.
    ///
    /// # Errors
    /// If it cannot be read, has another version, hash or block size, or its parts do not fit.
    pub fn read(mut from: impl Read, with_tree: bool) -> Result<Self, Error> {
        if number(&mut from)? != VERSION {
            return Err(Error::Idsig("its version is not 2"));
        }
        let hashing = sized(&mut from, MAX_FIELD)?;
        let hashing = HashingInfo::parse(&hashing)?;
        let signing = sized(&mut from, MAX_FIELD)?;
        let signing = SigningInfo::parse(&signing)?;
        let tree = if with_tree {
            sized(&mut from, MAX_TREE)?
        } else {
            Vec::new()
        };
        Ok(Self {
            hashing,
            signing,
            tree,
        })
    }

    /// Writes it.
    ///
    /// # Errors
    /// If a part is too long for its length, or writing fails.
    pub fn write(&self, mut to: impl Write) -> Result<(), Error> {
        let hashing = self.hashing.bytes()?;
        let signing = self.signing.bytes()?;
        let mut head = VERSION.to_le_bytes().to_vec();
        push(&mut head, &hashing)?;
        push(&mut head, &signing)?;
        head.extend(length(&self.tree)?.to_le_bytes());
        to.write_all(&head)
            .and_then(|()| to.write_all(&self.tree))
            .and_then(|()| to.flush())
            .map_err(Error::io("cannot write the idsig"))
    }
}

impl HashingInfo {
    fn bytes(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = SHA256.to_le_bytes().to_vec();
        bytes.push(LOG2_BLOCK);
        push(&mut bytes, &self.salt)?;
        push(&mut bytes, &self.root)?;
        Ok(bytes)
    }

    fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader(bytes);
        let mut fields = || {
            let (algorithm, block) = (reader.u32()?, reader.u8()?);
            let (salt, root) = (reader.sized()?, reader.sized()?);
            Some((algorithm, block, salt.0.to_vec(), root.0.to_vec()))
        };
        match fields() {
            Some((SHA256, LOG2_BLOCK, salt, root)) if root.len() == 32 => Ok(Self { salt, root }),
            Some((SHA256, LOG2_BLOCK, ..)) => {
                Err(Error::Idsig("its root hash does not have 32 bytes"))
            }
            Some(_) => Err(Error::Idsig(
                "it does not use SHA-256 and blocks of 4096 bytes",
            )),
            None => Err(Error::Idsig("its hashing info is cut off")),
        }
    }
}

impl SigningInfo {
    fn bytes(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        for field in [
            &self.apk_digest,
            &self.certificate,
            &self.additional_data,
            &self.public_key,
        ] {
            push(&mut bytes, field)?;
        }
        bytes.extend(self.algorithm.to_le_bytes());
        push(&mut bytes, &self.signature)?;
        Ok(bytes)
    }

    fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader(bytes);
        let mut fields = || {
            Some(Self {
                apk_digest: reader.sized()?.0.to_vec(),
                certificate: reader.sized()?.0.to_vec(),
                additional_data: reader.sized()?.0.to_vec(),
                public_key: reader.sized()?.0.to_vec(),
                algorithm: reader.u32()?,
                signature: reader.sized()?.0.to_vec(),
            })
        };
        fields().ok_or(Error::Idsig("its signing info is cut off"))
    }
}

fn length(bytes: &[u8]) -> Result<u32, Error> {
    u32::try_from(bytes.len()).map_err(|_| Error::Idsig("a part is longer than 4 GiB"))
}

fn push(to: &mut Vec<u8>, bytes: &[u8]) -> Result<(), Error> {
    to.extend(length(bytes)?.to_le_bytes());
    to.extend(bytes);
    Ok(())
}

fn number(from: &mut impl Read) -> Result<u32, Error> {
    let mut bytes = [0; 4];
    read(from, &mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

fn sized(from: &mut impl Read, most: u32) -> Result<Vec<u8>, Error> {
    let length = number(from)?;
    if length > most {
        return Err(Error::Idsig("a part is longer than any real one"));
    }
    // Grown as it is read, so that a length alone takes no memory.
    let mut bytes = Vec::new();
    from.take(length.into())
        .read_to_end(&mut bytes)
        .map_err(Error::io("cannot read the idsig"))?;
    if bytes.len() as u64 != u64::from(length) {
        return Err(Error::Idsig("the file ends too early"));
    }
    Ok(bytes)
}

fn read(from: &mut impl Read, bytes: &mut [u8]) -> Result<(), Error> {
    from.read_exact(bytes).map_err(|error| {
        if error.kind() == std::io::ErrorKind::UnexpectedEof {
            Error::Idsig("the file ends too early")
        } else {
            Error::io("cannot read the idsig")(error)
        }
    })
}
