// SPDX-License-Identifier: Apache-2.0
//! The same idsig as Android's own signer makes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may fail like this, also in what it calls"
)]

mod apks;

use apk_idsig::{Idsig, SignatureAlgorithm, apk_digest, update};
use apks::{Key, Workshop};
use std::fs::{self, File, OpenOptions};
use std::io::Seek;

/// A release that knows v3.1.
const SDK: u32 = 35;

/// Signs an archive of `size` bytes and compares with the idsig that comes with it.
fn check(size: usize, keys: &[Key], options: &[&str], algorithm: SignatureAlgorithm) {
    let workshop = Workshop::new();
    let Some(apk) = workshop.archive("a.apk", size) else {
        return;
    };
    let options = [&["--v4-signing-enabled", "true"], options].concat();
    let Some(theirs) = workshop.sign(&apk, keys, &options) else {
        return;
    };
    let apk = File::open(apk).unwrap();
    assert_eq!(apk_digest(&apk, SDK).unwrap().algorithm, algorithm);
    let ours = workshop.path("ours.idsig");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&ours)
        .unwrap();
    assert!(update(&apk, &mut file, SDK).unwrap());
    let theirs = Idsig::read(File::open(theirs).unwrap(), true).unwrap();
    let read = Idsig::read(File::open(&ours).unwrap(), true).unwrap();
    assert_eq!(read.hashing, theirs.hashing);
    assert!(read.tree == theirs.tree);
    assert_eq!(read.signing.apk_digest, theirs.signing.apk_digest);
    assert!(read.signing.signature.is_empty() && !theirs.signing.signature.is_empty());
    // Theirs is up to date as well, and what is up to date stays as it is.
    let before = fs::metadata(&ours).unwrap().modified().unwrap();
    assert!(!update(&apk, &mut file, SDK).unwrap());
    assert_eq!(fs::metadata(&ours).unwrap().modified().unwrap(), before);
    let mut other = tempfile::tempfile().unwrap();
    theirs.write(&mut other).unwrap();
    assert!(!update(&apk, &mut other, SDK).unwrap());
    // An idsig with the right root but a damaged tree is useless, and is made again.
    let mut damaged = theirs.clone();
    if let Some(byte) = damaged.tree.last_mut() {
        *byte ^= 1;
        let mut file = tempfile::tempfile().unwrap();
        damaged.write(&mut file).unwrap();
        assert!(update(&apk, &mut file, SDK).unwrap());
        file.rewind().unwrap();
        assert_eq!(Idsig::read(&file, true).unwrap(), read);
    }
    // What is written is what was read, to the byte.
    other.rewind().unwrap();
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut other, &mut bytes).unwrap();
    let original = Idsig::read(&bytes[..], true).unwrap();
    assert_eq!(original, theirs);
}

const ONLY_V2: &[&str] = &[
    "--v1-signing-enabled",
    "false",
    "--v2-signing-enabled",
    "true",
    "--v3-signing-enabled",
    "false",
];

#[test]
fn rsa_of_scheme_v3() {
    check(
        100_000,
        &[Key::Rsa2048],
        &[],
        SignatureAlgorithm::RsaPkcs1Sha256,
    );
}

#[test]
fn a_long_rsa_key_has_sha512() {
    check(
        5_000_000,
        &[Key::Rsa4096],
        &[],
        SignatureAlgorithm::RsaPkcs1Sha512,
    );
}

#[test]
fn ecdsa_of_both_lengths() {
    check(
        40_960,
        &[Key::Ecdsa256],
        &[],
        SignatureAlgorithm::EcdsaSha256,
    );
    check(1, &[Key::Ecdsa384], &[], SignatureAlgorithm::EcdsaSha512);
}

#[test]
fn scheme_v2_alone() {
    check(
        300_000,
        &[Key::Ecdsa256],
        ONLY_V2,
        SignatureAlgorithm::EcdsaSha256,
    );
}

#[test]
fn a_verity_digest_is_the_stronger_one() {
    let verity = ["--verity-enabled", "true"];
    check(
        300_000,
        &[Key::Rsa2048],
        &verity,
        SignatureAlgorithm::VerityRsaPkcs1Sha256,
    );
}

#[test]
fn several_signers() {
    let workshop = Workshop::new();
    let Some(apk) = workshop.archive("a.apk", 70_000) else {
        return;
    };
    // Android has no idsig of more than one signer; the digest is the same for all of them.
    let options = [ONLY_V2, &["--v4-signing-enabled", "false"]].concat();
    if workshop
        .sign(&apk, &[Key::Rsa2048, Key::Ecdsa256], &options)
        .is_none()
    {
        return;
    }
    let idsig = Idsig::of(&File::open(&apk).unwrap(), SDK).unwrap();
    assert_eq!(idsig.signing.apk_digest.len(), 32);
    let options = [ONLY_V2, &["--v4-signing-enabled", "true"]].concat();
    let theirs = workshop.sign(&apk, &[Key::Rsa2048], &options).unwrap();
    // Signed again by one signer, the content and thus its digest stay the same.
    let theirs = Idsig::read(File::open(theirs).unwrap(), true).unwrap();
    assert_eq!(idsig.signing.apk_digest, theirs.signing.apk_digest);
}
