// SPDX-License-Identifier: Apache-2.0
//! APKs and idsigs that are not what they should be: an error that says what, and never a panic.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may fail like this, also in what it calls"
)]

use apk_idsig::{Error, Idsig, apk_digest, update};
use proptest::prelude::*;
use std::fs::File;
use std::io::Write;

const SDK: u32 = 35;

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    let mut all = u32::try_from(bytes.len()).unwrap().to_le_bytes().to_vec();
    all.extend(bytes);
    all
}

/// A signer of scheme v2 with one digest.
fn signer(algorithm: u32, digest: &[u8]) -> Vec<u8> {
    let mut entry = algorithm.to_le_bytes().to_vec();
    entry.extend(sized(digest));
    sized(&sized(&sized(&sized(&entry))))
}

/// A signing block with one pair.
fn block(number: u32, value: &[u8]) -> Vec<u8> {
    let mut pair = number.to_le_bytes().to_vec();
    pair.extend(value);
    let mut pairs = (pair.len() as u64).to_le_bytes().to_vec();
    pairs.extend(pair);
    let size = (pairs.len() as u64 + 24).to_le_bytes();
    [&size[..], &pairs, &size, b"APK Sig Block 42"].concat()
}

/// An archive: content, a signing block, a central directory, its end.
fn apk(block: &[u8], comment: &[u8]) -> Vec<u8> {
    let mut bytes = vec![7; 100];
    bytes.extend(block);
    let offset = u32::try_from(bytes.len()).unwrap();
    bytes.extend([8; 50]);
    bytes.extend(0x0605_4b50u32.to_le_bytes());
    bytes.extend([0; 8]);
    bytes.extend(50u32.to_le_bytes());
    bytes.extend(offset.to_le_bytes());
    bytes.extend(u16::try_from(comment.len()).unwrap().to_le_bytes());
    bytes.extend(comment);
    bytes
}

const V2: u32 = 0x7109_871a;

fn good() -> Vec<u8> {
    apk(&block(V2, &sized(&signer(0x0103, &[9; 32]))), b"")
}

fn says(bytes: &[u8], part: &str) {
    let error = apk_digest(&file(bytes), SDK).unwrap_err();
    assert!(error.is_content(), "{error}");
    assert!(
        error.to_string().contains(part),
        "{error} does not say {part:?}"
    );
}

#[test]
fn a_sound_one_for_comparison() {
    assert_eq!(apk_digest(&file(&good()), SDK).unwrap().digest, [9; 32]);
    let with_comment = apk(&block(V2, &sized(&signer(0x0103, &[9; 32]))), b"a comment");
    assert!(apk_digest(&file(&with_comment), SDK).is_ok());
}

#[test]
fn archives() {
    says(b"", "no end of central directory");
    says(&[0; 5000], "no end of central directory");
    let good = good();
    says(&good[..good.len() - 1], "no end of central directory");
    // A piece of the central directory is missing.
    let cut = [&good[..good.len() - 40], &good[good.len() - 22..]].concat();
    says(&cut, "does not end where");
    let mut far = good.clone();
    let at = far.len() - 6;
    far[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    says(&far, "does not end where");
    let mut zip64 = good;
    let at = zip64.len() - 42;
    zip64[at..at + 4].copy_from_slice(&0x0706_4b50u32.to_le_bytes());
    says(&zip64, "ZIP64");
    let directory = apk_digest(&File::open("/").unwrap(), SDK).unwrap_err();
    assert!(matches!(directory, Error::NotRegular(_)), "{directory}");
}

#[test]
fn signing_blocks() {
    says(&apk(b"", b""), "no signing block");
    let sound = block(V2, &sized(&signer(0x0103, &[9; 32])));
    let mut magic = sound.clone();
    *magic.last_mut().unwrap() = b'3';
    says(&apk(&magic, b""), "no signing block");
    let with_size = |at: usize, size: u64| {
        let mut changed = sound.clone();
        changed[at..at + 8].copy_from_slice(&size.to_le_bytes());
        apk(&changed, b"")
    };
    let last = sound.len() - 24;
    says(&with_size(0, 1), "two lengths differ");
    for size in [0, 23, u64::MAX, 1 << 40] {
        says(&with_size(last, size), "length makes no sense");
    }
    says(&with_size(last, 4000), "longer than what is in front");
    says(&with_size(8, u64::MAX), "a pair is cut off");
    says(&with_size(8, 3), "a pair is cut off");
    says(&apk(&block(0x1234, b"x"), b""), "no signer for this SDK");
    says(&apk(&block(V2, b"xyz"), b""), "signers are cut off");
    says(
        &apk(&block(V2, &sized(b"\xff\xff\xff\xff")), b""),
        "a signer is cut off",
    );
    says(
        &apk(&block(V2, &sized(&sized(b"abc"))), b""),
        "digests are cut off",
    );
    says(
        &apk(&block(V2, &sized(&signer(0x0103, &[9; 31]))), b""),
        "length does not fit",
    );
    says(
        &apk(&block(V2, &sized(&signer(0x9999, &[9; 32]))), b""),
        "0x9999",
    );
    says(
        &apk(&block(V2, &sized(&sized(&sized(&sized(b""))))), b""),
        "no digest",
    );
    says(&apk(&block(V2, &sized(b"")), b""), "no signer");
}

#[test]
fn idsigs() {
    let mut bytes = Vec::new();
    Idsig {
        hashing: apk_idsig::HashingInfo {
            salt: vec![],
            root: vec![1; 32],
        },
        ..Idsig::default()
    }
    .write(&mut bytes)
    .unwrap();
    assert!(Idsig::read(&bytes[..], true).is_ok());
    let says = |bytes: &[u8], part: &str| {
        let error = Idsig::read(bytes, true).unwrap_err();
        assert!(
            error.to_string().contains(part),
            "{error} does not say {part:?}"
        );
    };
    for cut in 0..bytes.len() {
        says(&bytes[..cut], "");
    }
    let changed = |at: usize, value: u8| {
        let mut changed = bytes.clone();
        changed[at] = value;
        changed
    };
    says(&changed(0, 3), "version");
    says(&changed(7, 0xff), "longer than any real one");
    says(&changed(8, 2), "SHA-256");
    says(&changed(12, 13), "4096");
    says(&changed(13, 0xff), "cut off");
    // A file that is no idsig is replaced.
    let mut other = file(b"not an idsig");
    assert!(update(&file(&good()), &mut other, SDK).unwrap());
    assert!(!update(&file(&good()), &mut other, SDK).unwrap());
}

proptest! {
    #[test]
    fn noise_as_apk(noise in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = apk_digest(&file(&noise), SDK);
    }

    #[test]
    fn noise_as_signing_block(noise in prop::collection::vec(any::<u8>(), 0..300), sdk in any::<u32>()) {
        for number in [V2, 0xf053_68c0, 0x1b93_ad61] {
            let _ = apk_digest(&file(&apk(&block(number, &noise), b"")), sdk);
        }
    }

    #[test]
    fn a_changed_byte(at in 0..300usize, value in any::<u8>()) {
        let mut bytes = good();
        let at = at % bytes.len();
        bytes[at] = value;
        let _ = apk_digest(&file(&bytes), SDK);
    }

    #[test]
    fn noise_as_idsig(noise in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Idsig::read(&noise[..], true);
        let mut versioned = vec![2, 0, 0, 0];
        versioned.extend(noise);
        let _ = Idsig::read(&versioned[..], true);
    }
}
