// SPDX-License-Identifier: Apache-2.0
//! The lists in `lists/`: what the schema says of them by xmllint, and what the parser says.
//!
//! `valid` and `invalid` are both's matter. `valid-attributes` holds the form that the schema does
//! not describe, `invalid-here` what only the parser refuses, if a client on system reads it.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends where something fails"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use early_vms::{EarlyVms, Partition};

fn lists(directory: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/lists")
        .join(directory);
    let mut paths: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths
}

fn parse(path: &Path) -> EarlyVms {
    EarlyVms::parse(&fs::read(path).unwrap(), path, Partition::System)
}

/// What xmllint says of each list; `None` if it is not installed.
fn validate(paths: &[PathBuf]) -> Option<Vec<bool>> {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../early_vms.xsd");
    let installed = Command::new("xmllint")
        .arg("--version")
        .stderr(Stdio::null())
        .status();
    if installed.is_err() {
        skip::skip!("xmllint (package libxml2-utils) is not installed");
        return None;
    }
    let validate = |path: &PathBuf| {
        let status = Command::new("xmllint")
            .args(["--noout", "--nonet", "--schema"])
            .args([&schema, path])
            .stderr(Stdio::null())
            .status();
        match status.unwrap().code() {
            Some(0) => true,
            // Not well-formed, and not valid. Any other status is of xmllint or the schema.
            Some(1 | 3) => false,
            code => panic!("xmllint ends with {code:?} for {}", path.display()),
        }
    };
    Some(paths.iter().map(validate).collect())
}

#[test]
fn the_schema_accepts_every_valid_list() {
    let paths = lists("valid");
    for (path, valid) in paths.iter().zip(validate(&paths).unwrap_or_default()) {
        assert!(valid, "{}", path.display());
    }
}

#[test]
fn the_schema_refuses_every_invalid_list() {
    let paths = lists("invalid");
    for (path, valid) in paths.iter().zip(validate(&paths).unwrap_or_default()) {
        assert!(!valid, "{}", path.display());
    }
}

#[test]
fn the_parser_accepts_every_valid_list() {
    for path in ["valid", "valid-attributes"].into_iter().flat_map(lists) {
        assert_eq!(parse(&path).faults(), [], "{}", path.display());
    }
}

#[test]
fn the_parser_refuses_every_invalid_list() {
    for path in ["invalid", "invalid-here"].into_iter().flat_map(lists) {
        let list = parse(&path);
        let faults = list.faults();
        assert!(!faults.is_empty(), "{}", path.display());
        let lines = fs::read(&path)
            .unwrap()
            .split(|byte| *byte == b'\n')
            .count();
        for fault in faults {
            let line = usize::try_from(fault.location.line).unwrap();
            assert!((1..=lines).contains(&line), "{fault}");
            assert!(!fault.message.contains('\n'), "{fault}");
            assert!(!fault.warning, "{fault}");
        }
    }
}

#[test]
fn values_are_read_as_the_schema_language_says() {
    let vms = |name: &str| {
        let list = parse(
            &Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests/lists")
                .join(name),
        );
        let values = |vm: &early_vms::EarlyVm| (vm.name.clone(), vm.cid, vm.path.clone());
        list.vms().iter().map(values).collect::<Vec<_>>()
    };
    let one = |name: &str, cid, path: &str| vec![(name.to_owned(), cid, PathBuf::from(path))];

    let demo = one("demo", 123, "/system/bin/demo");
    assert_eq!(vms("valid/blanks-around-values.xml"), demo);
    assert_eq!(vms("valid-attributes/one.xml"), demo);
    assert_eq!(vms("valid/empty.xml"), []);
    assert_eq!(vms("valid/comments-everywhere.xml"), one("demo", 123, "/x"));
    let found = one("a&bc", 123, "/system/bin/demo");
    assert_eq!(vms("valid/character-references.xml"), found);
    let found = one("my demo", 123, "/system/bin/demo");
    assert_eq!(vms("valid/blanks-in-a-name.xml"), found);
}
