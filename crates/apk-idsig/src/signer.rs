// SPDX-License-Identifier: Apache-2.0
//! Signers of the schemes v2, v3 and v3.1: what they say of the APK's digest. Signatures are not
//! verified: an idsig only says which APK it is for, and the guest that runs the APK verifies it.

use crate::Error;
use crate::reader::Reader;

/// The digest of an APK's content that its signature covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApkDigest {
    /// How the digest is signed.
    pub algorithm: SignatureAlgorithm,
    /// The digest.
    pub digest: Vec<u8>,
}

/// How a digest is signed, by the numbers of the signature schemes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum SignatureAlgorithm {
    /// RSASSA-PSS with SHA-256.
    RsaPssSha256 = 0x0101,
    /// RSASSA-PSS with SHA-512.
    RsaPssSha512 = 0x0102,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RsaPkcs1Sha256 = 0x0103,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RsaPkcs1Sha512 = 0x0104,
    /// ECDSA with SHA-256.
    EcdsaSha256 = 0x0201,
    /// ECDSA with SHA-512.
    EcdsaSha512 = 0x0202,
    /// DSA with SHA-256.
    DsaSha256 = 0x0301,
    /// RSASSA-PKCS1-v1_5 over the root of a verity tree.
    VerityRsaPkcs1Sha256 = 0x0421,
    /// ECDSA over the root of a verity tree.
    VerityEcdsaSha256 = 0x0423,
    /// DSA over the root of a verity tree.
    VerityDsaSha256 = 0x0425,
}

impl SignatureAlgorithm {
    const ALL: [Self; 10] = [
        Self::RsaPssSha256,
        Self::RsaPssSha512,
        Self::RsaPkcs1Sha256,
        Self::RsaPkcs1Sha512,
        Self::EcdsaSha256,
        Self::EcdsaSha512,
        Self::DsaSha256,
        Self::VerityRsaPkcs1Sha256,
        Self::VerityEcdsaSha256,
        Self::VerityDsaSha256,
    ];

    /// The algorithm's number.
    #[must_use]
    pub fn number(self) -> u32 {
        self as u32
    }

    fn of(number: u32) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.number() == number)
    }

    /// How much its digest is worth: chunks with SHA-256, a verity tree, chunks with SHA-512. The
    /// order is that of Android's package manager, which verifies the same APK.
    fn strength(self) -> u8 {
        match self {
            Self::RsaPssSha256 | Self::RsaPkcs1Sha256 | Self::EcdsaSha256 | Self::DsaSha256 => 0,
            Self::VerityRsaPkcs1Sha256 | Self::VerityEcdsaSha256 | Self::VerityDsaSha256 => 1,
            Self::RsaPssSha512 | Self::RsaPkcs1Sha512 | Self::EcdsaSha512 => 2,
        }
    }

    /// Bytes of its digest.
    fn digest_len(self) -> usize {
        match self.strength() {
            0 => 32,
            // The root, and the length of what the tree is of.
            1 => 40,
            _ => 64,
        }
    }
}

/// Which scheme a signer is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// Any number of signers.
    V2,
    /// One signer for each range of SDKs.
    V3,
}

fn broken<T>(what: &'static str) -> Result<T, Error> {
    Err(Error::Block(what))
}

/// The digest of the signer in `block`, a scheme's value, that is for `sdk`; `None` if none is.
pub(crate) fn digest(block: &[u8], scheme: Scheme, sdk: u32) -> Result<Option<ApkDigest>, Error> {
    let mut block = Reader(block);
    let Some(mut signers) = block.sized() else {
        return broken("its signers are cut off");
    };
    let mut chosen = None;
    while !signers.is_empty() {
        let Some(signer) = signers.sized() else {
            return broken("a signer is cut off");
        };
        match (scheme, chosen.is_some()) {
            (Scheme::V3, _) => {
                let Some((first, last)) = sdks(signer) else {
                    return broken("a signer's range of SDKs is cut off");
                };
                if !(first..=last).contains(&sdk) {
                    continue;
                }
                if chosen.is_some() {
                    return broken("it has two signers for one SDK");
                }
                chosen = Some(signer);
            }
            // All signers of v2 sign the same content.
            (Scheme::V2, false) => chosen = Some(signer),
            (Scheme::V2, true) => {}
        }
    }
    chosen.map(strongest).transpose()
}

/// The SDKs that a v3 signer is for; they follow its signed data.
fn sdks(mut signer: Reader<'_>) -> Option<(u32, u32)> {
    signer.sized()?;
    Some((signer.u32()?, signer.u32()?))
}

/// The digest of a signer's strongest signature.
fn strongest(mut signer: Reader<'_>) -> Result<ApkDigest, Error> {
    let Some(mut digests) = signer.sized().and_then(|mut data| data.sized()) else {
        return broken("a signer's digests are cut off");
    };
    let mut unknown = Vec::new();
    let mut best: Option<ApkDigest> = None;
    while !digests.is_empty() {
        let entry = digests.sized().and_then(|mut entry| {
            let number = entry.u32()?;
            Some((number, entry.sized()?.0))
        });
        let Some((number, digest)) = entry else {
            return broken("a digest is cut off");
        };
        let Some(algorithm) = SignatureAlgorithm::of(number) else {
            unknown.push(number);
            continue;
        };
        if digest.len() != algorithm.digest_len() {
            return broken("a digest's length does not fit its algorithm");
        }
        if best
            .as_ref()
            .is_none_or(|best| algorithm.strength() > best.algorithm.strength())
        {
            best = Some(ApkDigest {
                algorithm,
                digest: digest.to_vec(),
            });
        }
    }
    best.ok_or({
        if unknown.is_empty() {
            Error::Block("a signer has no digest")
        } else {
            Error::Algorithms(unknown)
        }
    })
}
