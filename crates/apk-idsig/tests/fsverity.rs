// SPDX-License-Identifier: Apache-2.0
//! The same tree as Linux's own tool computes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may fail like this, also in what it calls"
)]

mod apks;

use apk_idsig::HashTree;
use std::fs::{self, File};

/// Where a descriptor of fs-verity has its root hash: 16 bytes in.
const ROOT: std::ops::Range<usize> = 16..48;

fn check(size: usize, salt: &str) {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let content: Vec<u8> = (0..size)
        .map(|n| u8::try_from(n / 3 % 253).unwrap())
        .collect();
    fs::write(path("file"), content).unwrap();
    let tree = format!("--out-merkle-tree={}", path("tree"));
    let descriptor = format!("--out-descriptor={}", path("descriptor"));
    let salted = format!("--salt={salt}");
    let mut arguments = vec!["digest", &tree, &descriptor];
    if !salt.is_empty() {
        arguments.push(&salted);
    }
    let file = path("file");
    arguments.push(&file);
    if apks::run("fsverity", &arguments).is_none() {
        return;
    }
    let salt: Vec<u8> = (0..salt.len() / 2)
        .map(|n| u8::from_str_radix(&salt[2 * n..2 * n + 2], 16).unwrap())
        .collect();
    let ours = HashTree::of(&File::open(&file).unwrap(), size as u64, &salt).unwrap();
    assert!(ours.levels == fs::read(path("tree")).unwrap(), "{size}");
    assert_eq!(
        ours.root,
        fs::read(path("descriptor")).unwrap()[ROOT],
        "{size}"
    );
}

#[test]
fn every_shape_of_tree() {
    for size in [
        0,
        1,
        4095,
        4096,
        4097,
        128 * 4096,
        128 * 4096 + 1,
        524_289,
        20_000_000,
    ] {
        check(size, "");
    }
}

#[test]
fn salts() {
    for size in [1, 4097, 1_000_000] {
        check(size, "00112233");
        check(size, &"ab".repeat(32));
    }
}
