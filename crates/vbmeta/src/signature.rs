// SPDX-License-Identifier: Apache-2.0
//! Hash and signature of a structure.

use crate::Error;
use crate::bytes::Bytes;
use rsa::pkcs1v15::Pkcs1v15Sign;
use rsa::{BoxedUint, PublicKey};
use sha2::{Digest, Sha256, Sha512};

/// The public exponent of every key.
const EXPONENT: u64 = 65537;

/// The parts of a structure that are signed, or sign it.
pub(crate) struct Signed<'a> {
    pub(crate) header: &'a [u8],
    pub(crate) auxiliary: &'a [u8],
    pub(crate) hash: &'a [u8],
    pub(crate) signature: &'a [u8],
    pub(crate) key: &'a [u8],
}

/// Checks hash and signature, which are of the algorithm with this number. Returns whether there is
/// a signature.
pub(crate) fn check(algorithm: u32, signed: &Signed<'_>) -> Result<bool, Error> {
    let bits = match algorithm {
        0 => return Ok(false),
        1 | 4 => 2048,
        2 | 5 => 4096,
        3 | 6 => 8192,
        value => {
            return Err(Error::Unknown {
                what: "algorithm",
                value,
            });
        }
    };
    let (hash, scheme) = if algorithm <= 3 {
        (hash::<Sha256>(signed), Pkcs1v15Sign::new::<Sha256>())
    } else {
        (hash::<Sha512>(signed), Pkcs1v15Sign::new::<Sha512>())
    };
    if hash != signed.hash {
        return Err(Error::Broken("its hash is another"));
    }
    let key =
        key(signed.key, bits).ok_or(Error::Broken("its public key is not one of its algorithm"))?;
    key.verify(scheme, &hash, signed.signature)
        .map_err(|_| Error::Broken("its signature is not by its public key"))?;
    Ok(true)
}

fn hash<D: Digest>(signed: &Signed<'_>) -> Vec<u8> {
    let mut hasher = D::new();
    hasher.update(signed.header);
    hasher.update(signed.auxiliary);
    hasher.finalize().to_vec()
}

/// A key: its size in bits, a number that speeds up its use, the modulus, another such number.
fn key(bytes: &[u8], wanted_bits: u32) -> Option<PublicKey> {
    let mut bytes = Bytes(bytes);
    let bits = bytes.u32().filter(|bits| *bits == wanted_bits)?;
    bytes.u32()?;
    let modulus = bytes.take(usize::try_from(bits / 8).ok()?)?;
    let modulus = BoxedUint::from_be_slice(modulus, bits).ok()?;
    PublicKey::new(modulus, BoxedUint::from(EXPONENT)).ok()
}
