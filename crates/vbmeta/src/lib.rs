// SPDX-License-Identifier: Apache-2.0
//! Reads the verified-boot structure (Android Verified Boot 2.0) of an image, checks that it is
//! whole, and returns what its hash tree descriptor says of the image.
//!
//! All numbers are big-endian. An image ends with a footer, which says where the structure is; an
//! image that begins with the structure needs none.
//!
//! | part | content |
//! | --- | --- |
//! | footer, 64 bytes | `AVBf`, version, size of the image proper, place and size of the structure |
//! | header, 256 bytes | `AVB0`, version, sizes of the two blocks, algorithm, places in them |
//! | authentication block | hash and signature of header and auxiliary block |
//! | auxiliary block | descriptors, the signer's public key |
//!
//! An unsigned structure is accepted: its digest never says who made the image; the code that compares
//! the digest decides that. One that is signed must be signed correctly with
//! the key in it, or it has been changed.
#![forbid(unsafe_code)]

mod bytes;
mod descriptor;
mod signature;

pub use descriptor::Hashtree;

use bytes::Bytes;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// What a structure begins with.
const MAGIC: &[u8] = b"AVB0";
/// What a footer begins with.
const FOOTER_MAGIC: &[u8] = b"AVBf";
/// The only major version.
const VERSION: u32 = 1;
const FOOTER_LEN: usize = 64;
const HEADER_LEN: usize = 256;
/// The largest structure that is read, as in boot loaders.
const MAX_LEN: u64 = 64 << 10;

/// An image's structure cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Reading failed.
    #[error("cannot read the image")]
    Io(#[from] io::Error),
    /// There is none.
    #[error("the image has no verified-boot structure; add one with avbtool add_hashtree_footer")]
    Absent,
    /// It is broken.
    #[error("the image's verified-boot structure is broken: {0}; make it again with avbtool")]
    Broken(&'static str),
    /// A version or an algorithm that is not known.
    #[error("the image's verified-boot structure has the {what} {value}, which is not known here")]
    Unknown {
        /// What is not known.
        what: &'static str,
        /// Its number.
        value: u32,
    },
}

/// The verified-boot structure of an image, found whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VbMeta {
    /// Whether it is signed, with the key in it.
    pub is_signed: bool,
    /// Its hash tree descriptors.
    pub hashtrees: Vec<Hashtree>,
}

impl VbMeta {
    /// Reads the structure of `image`, a regular file.
    ///
    /// # Errors
    /// If there is none, or it is not whole.
    pub fn read(image: &File) -> Result<Self, Error> {
        let (place, size) = find(image)?;
        let mut bytes = vec![0; usize::try_from(size).map_err(|_| Error::Broken(TOO_LARGE))?];
        image.read_exact_at(&mut bytes, place).map_err(cut_off)?;
        Self::parse(&bytes)
    }

    /// Reads a structure.
    ///
    /// # Errors
    /// If it is not whole.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let header = Header::parse(bytes)?;
        let header_and = |from: usize, length: u64| -> Option<&[u8]> {
            let length = usize::try_from(length).ok()?;
            bytes.get(from..from.checked_add(length)?)
        };
        let authentication =
            header_and(HEADER_LEN, header.authentication_len).ok_or(Error::Broken(CUT_OFF))?;
        let auxiliary = header_and(HEADER_LEN + authentication.len(), header.auxiliary_len)
            .ok_or(Error::Broken(CUT_OFF))?;
        let outside = Error::Broken("a part is outside its block");
        let (Some(hash), Some(mark), Some(key), Some(descriptors)) = (
            header.hash.of(authentication),
            header.signature.of(authentication),
            header.public_key.of(auxiliary),
            header.descriptors.of(auxiliary),
        ) else {
            return Err(outside);
        };
        let is_signed = signature::check(
            header.algorithm,
            &signature::Signed {
                header: &bytes[..HEADER_LEN],
                auxiliary,
                hash,
                signature: mark,
                key,
            },
        )?;
        Ok(Self {
            is_signed,
            hashtrees: descriptor::hashtrees(descriptors)?,
        })
    }
}

const CUT_OFF: &str = "it is cut off";
const TOO_LARGE: &str = "it is larger than 64 KiB";

/// A place in a block.
struct Span {
    offset: u64,
    length: u64,
}

impl Span {
    fn of<'a>(&self, block: &'a [u8]) -> Option<&'a [u8]> {
        let from = usize::try_from(self.offset).ok()?;
        let to = from.checked_add(usize::try_from(self.length).ok()?)?;
        block.get(from..to)
    }
}

struct Header {
    authentication_len: u64,
    auxiliary_len: u64,
    algorithm: u32,
    hash: Span,
    signature: Span,
    public_key: Span,
    descriptors: Span,
}

impl Header {
    fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let mut bytes = Bytes(bytes.get(..HEADER_LEN).ok_or(Error::Broken(CUT_OFF))?);
        let mut fields = || {
            let magic = bytes.take(MAGIC.len())?;
            let version = bytes.u32()?;
            bytes.u32()?; // The minor version, which adds only what may be left out.
            let authentication_len = bytes.u64()?;
            let auxiliary_len = bytes.u64()?;
            let algorithm = bytes.u32()?;
            let mut span = || {
                Some(Span {
                    offset: bytes.u64()?,
                    length: bytes.u64()?,
                })
            };
            let (hash, signature, public_key) = (span()?, span()?, span()?);
            span()?; // The key's metadata.
            let descriptors = span()?;
            let header = Self {
                authentication_len,
                auxiliary_len,
                algorithm,
                hash,
                signature,
                public_key,
                descriptors,
            };
            Some((magic, version, header))
        };
        match fields() {
            Some((MAGIC, VERSION, header)) => Ok(header),
            Some((MAGIC, version, _)) => Err(Error::Unknown {
                what: "version",
                value: version,
            }),
            Some(_) => Err(Error::Absent),
            None => Err(Error::Broken(CUT_OFF)),
        }
    }
}

/// Where the structure is in `image`, and its size.
fn find(image: &File) -> Result<(u64, u64), Error> {
    let length = image.metadata()?.len();
    if let Some(place) = length.checked_sub(FOOTER_LEN as u64) {
        let mut footer = [0; FOOTER_LEN];
        image.read_exact_at(&mut footer, place)?;
        if let Some(rest) = footer.strip_prefix(FOOTER_MAGIC) {
            let mut rest = Bytes(rest);
            let mut fields = || {
                Some((
                    rest.u32()?,
                    rest.u32()?,
                    rest.u64()?,
                    rest.u64()?,
                    rest.u64()?,
                ))
            };
            let Some((version, _minor, _original, place, size)) = fields() else {
                return Err(Error::Broken(CUT_OFF));
            };
            if version != VERSION {
                return Err(Error::Unknown {
                    what: "footer version",
                    value: version,
                });
            }
            if size > MAX_LEN {
                return Err(Error::Broken(TOO_LARGE));
            }
            if place.checked_add(size).is_none_or(|end| end > length) {
                return Err(Error::Broken("its footer points outside the image"));
            }
            return Ok((place, size));
        }
    }
    let mut magic = [0; 4];
    match image.read_exact_at(&mut magic, 0) {
        Ok(()) if magic == *MAGIC => Ok((0, length.min(MAX_LEN))),
        Ok(()) => Err(Error::Absent),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Err(Error::Absent),
        Err(e) => Err(e.into()),
    }
}

fn cut_off(error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        Error::Broken(CUT_OFF)
    } else {
        error.into()
    }
}
