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
use std::io::{Read, Seek, Write};

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
        says(&with_size(last, size), "its length is impossible");
    }
    says(&with_size(last, 4000), "longer than the file before it");
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
    let mut new = file(b"");
    assert!(update(&file(&good()), &mut new, SDK).unwrap());
    assert!(!update(&file(&good()), &mut new, SDK).unwrap());
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

/// The content, from the start.
fn content(file: &mut File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn the_apk_is_not_overwritten_by_its_idsig() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    std::fs::write(path("a.apk"), good()).unwrap();
    std::fs::hard_link(path("a.apk"), path("hard")).unwrap();
    std::os::unix::fs::symlink("a.apk", path("soft")).unwrap();
    for name in ["a.apk", "hard", "soft"] {
        let apk = File::open(path("a.apk")).unwrap();
        let mut idsig = File::options()
            .read(true)
            .write(true)
            .open(path(name))
            .unwrap();
        let error = update(&apk, &mut idsig, SDK).unwrap_err();
        assert!(matches!(error, Error::SameFile), "{error}");
        assert_eq!(std::fs::read(path("a.apk")).unwrap(), good());
    }
}

#[test]
fn only_idsigs_and_empty_files_are_overwritten() {
    let short = {
        let mut idsig = file(b"");
        assert!(update(&file(&good()), &mut idsig, SDK).unwrap());
        content(&mut idsig)
    };
    for other in [
        b"notes".to_vec(),
        vec![0; 10_000],
        good(),
        short[..20].to_vec(),
    ] {
        let mut idsig = file(&other);
        let error = update(&file(&good()), &mut idsig, SDK).unwrap_err();
        assert!(matches!(error, Error::NotIdsig), "{error}");
        assert_eq!(content(&mut idsig), other);
    }
    // An idsig of another APK, longer and shorter than the new one, and one whose tree is cut off.
    let mut large = good();
    large.splice(0..0, vec![7; 300 * 4096]);
    let offset = u32::try_from(large.len() - 22 - 50).unwrap();
    assert_eq!(large.len() - good().len(), 300 * 4096);
    let at = large.len() - 6;
    large[at..at + 4].copy_from_slice(&offset.to_le_bytes());
    let mut idsig = file(&short);
    assert!(update(&file(&large), &mut idsig, SDK).unwrap());
    let long = content(&mut idsig);
    assert!(long.len() > short.len());
    assert!(update(&file(&good()), &mut idsig, SDK).unwrap());
    assert_eq!(content(&mut idsig), short);
    let mut cut = file(&long[..long.len() - 100]);
    assert!(update(&file(&large), &mut cut, SDK).unwrap());
    assert_eq!(content(&mut cut), long);
}

/// A file that refuses to be written from some point on, as a full disk does.
fn sealed(bytes: &[u8], seal: rustix::fs::SealFlags) -> File {
    let flags = rustix::fs::MemfdFlags::ALLOW_SEALING | rustix::fs::MemfdFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::memfd_create("idsig", flags).unwrap());
    file.write_all(bytes).unwrap();
    rustix::fs::fcntl_add_seals(&file, seal).unwrap();
    file
}

#[test]
fn a_failure_leaves_the_idsig_as_it_was() {
    use rustix::fs::SealFlags;
    let mut old = file(b"");
    update(&file(&good()), &mut old, SDK).unwrap();
    let old = content(&mut old);
    let mut other = good();
    other[0] ^= 1;
    for before in [b"" as &[u8], &old] {
        // An APK that is refused.
        let mut idsig = file(before);
        assert!(update(&file(b"not an APK"), &mut idsig, SDK).is_err());
        assert_eq!(content(&mut idsig), before);
        for seal in [SealFlags::GROW, SealFlags::WRITE] {
            if seal == SealFlags::GROW && !before.is_empty() {
                // The new one is no longer.
                continue;
            }
            let mut idsig = sealed(before, seal);
            let error = update(&file(&other), &mut idsig, SDK).unwrap_err();
            assert!(matches!(error, Error::Io { .. }), "{error}");
            assert_eq!(content(&mut idsig).len() % old.len(), 0);
            assert!(!content(&mut idsig).starts_with(b"\0"));
        }
    }
}

#[test]
fn other_files_are_refused() {
    let (reader, _writer) = std::io::pipe().unwrap();
    let mut pipe = File::from(std::os::fd::OwnedFd::from(reader));
    let error = update(&file(&good()), &mut pipe, SDK).unwrap_err();
    assert!(matches!(error, Error::NotRegular(_)), "{error}");
}
