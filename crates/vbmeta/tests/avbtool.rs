// SPDX-License-Identifier: Apache-2.0
//! Structures that avbtool made, as they are and changed; see `data/README.md`.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use proptest::prelude::*;
use std::fs::File;
use std::os::unix::fs::FileExt;
use vbmeta::{Error, Hashtree, VbMeta};

const RSA2048: &[u8] = include_bytes!("data/rsa2048-sha256.vbmeta");
const RSA4096: &[u8] = include_bytes!("data/rsa4096-sha512.vbmeta");
const UNSIGNED: &[u8] = include_bytes!("data/unsigned.vbmeta");
const DIGEST: &str = "926b50c308bb0c2dad770e7a65cf5345859be517bcb9348d4a8b74cb7af82bb1";
const IMAGE_LEN: u64 = 131_072;
const PLACE: u64 = 20_480;
/// The structure's header, hash and signature: what follows up to the key is padding.
const PADDING: std::ops::Range<usize> = 256 + 32 + 256..256 + 320;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An image with the structure where avbtool puts it.
fn image(structure: &[u8], footer: impl FnOnce(&mut [u8; 64])) -> File {
    let file = tempfile::tempfile().unwrap();
    file.set_len(IMAGE_LEN).unwrap();
    file.write_all_at(&[b'v'; 16384], 0).unwrap();
    file.write_all_at(structure, PLACE).unwrap();
    let mut bytes = [0; 64];
    bytes[..4].copy_from_slice(b"AVBf");
    bytes[4..8].copy_from_slice(&1_u32.to_be_bytes());
    for (at, value) in [(12, 16384), (20, PLACE), (28, structure.len() as u64)] {
        bytes[at..at + 8].copy_from_slice(&value.to_be_bytes());
    }
    footer(&mut bytes);
    file.write_all_at(&bytes, IMAGE_LEN - 64).unwrap();
    file
}

#[test]
fn the_digest_is_the_one_that_avbtool_shows() {
    for (structure, is_signed) in [(RSA2048, true), (RSA4096, true), (UNSIGNED, false)] {
        let found = VbMeta::read(&image(structure, |_| {})).unwrap();
        assert_eq!(found.is_signed, is_signed);
        let [
            Hashtree {
                partition,
                image_size,
                algorithm,
                salt,
                root_digest,
            },
        ] = &found.hashtrees[..]
        else {
            panic!("{found:?}");
        };
        assert_eq!(hex(root_digest), DIGEST);
        assert_eq!(hex(salt), "00112233445566778899aabbccddeeff");
        assert_eq!(
            (partition.as_str(), *image_size),
            ("microdroid-vendor", 16384)
        );
        assert_eq!(algorithm, "sha256");
    }
}

/// The footer that avbtool wrote is the one that the images here have.
#[test]
fn the_footer_is_the_one_that_avbtool_writes() {
    let written = "4156426600000001000000000000000000004000000000000000500000000000\
                   0000020000000000000000000000000000000000000000000000000000000000";
    image(UNSIGNED, |footer| assert_eq!(hex(footer), written));
}

#[test]
fn a_structure_alone_needs_no_footer() {
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(RSA2048, 0).unwrap();
    assert_eq!(
        VbMeta::read(&file).unwrap(),
        VbMeta::parse(RSA2048).unwrap()
    );
}

#[test]
fn every_changed_byte_of_a_signed_structure_is_noticed() {
    for at in (0..RSA2048.len()).filter(|at| !PADDING.contains(at)) {
        let mut bytes = RSA2048.to_vec();
        bytes[at] ^= 1;
        // One bit of the algorithm's number makes it an unsigned structure.
        let found = VbMeta::parse(&bytes);
        assert!(!found.is_ok_and(|found| found.is_signed), "byte {at}");
    }
}

#[test]
fn images_without_a_sound_structure_are_errors() {
    let text = |file: &File| VbMeta::read(file).unwrap_err().to_string();
    let empty = tempfile::tempfile().unwrap();
    assert!(matches!(VbMeta::read(&empty), Err(Error::Absent)));
    empty.set_len(8192).unwrap();
    assert!(text(&empty).contains("add_hashtree_footer"));
    let place = |at: u64| {
        image(RSA2048, |footer| {
            footer[20..28].copy_from_slice(&at.to_be_bytes());
        })
    };
    assert!(text(&place(u64::MAX)).contains("outside the image"));
    assert!(text(&place(IMAGE_LEN - 10)).contains("outside the image"));
    assert!(matches!(VbMeta::read(&place(0)), Err(Error::Absent)));
    let size = |size: u64| {
        image(RSA2048, |footer| {
            footer[28..36].copy_from_slice(&size.to_be_bytes());
        })
    };
    assert!(text(&size(100)).contains("cut off"));
    assert!(text(&size(1 << 20)).contains("64 KiB"));
    let version = image(RSA2048, |footer| footer[7] = 2);
    assert!(text(&version).contains("footer version 2"));
    let mut algorithm = RSA2048.to_vec();
    algorithm[31] = 7;
    let error = VbMeta::parse(&algorithm).unwrap_err().to_string();
    assert!(error.contains("algorithm 7"), "{error}");
    for length in 0..RSA2048.len() {
        assert!(VbMeta::parse(&RSA2048[..length]).is_err(), "{length}");
    }
}

proptest! {
    /// No bytes make the parser panic, with the lengths in the header left as they are or not.
    #[test]
    fn anything_may_come(
        changes in proptest::collection::vec((0_usize..512, any::<u8>()), 0..40)
    ) {
        let mut bytes = UNSIGNED.to_vec();
        for (at, value) in changes {
            bytes[at] = value;
        }
        let _ = VbMeta::parse(&bytes);
    }
}
