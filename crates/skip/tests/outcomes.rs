// SPDX-License-Identifier: Apache-2.0
//! What becomes of a skip. The test that skips runs in a process of its own, with the environment
//! that is tried.

#![allow(
    clippy::unwrap_used,
    reason = "a test may fail like this, also in what it calls"
)]

use skip::{ALLOWED_VARIABLE, SKIPS_VARIABLE, TESTS_VARIABLE, skip};
use std::env;
use std::fs;
use std::process::{Command, Output};

/// It skips where another test runs it.
#[test]
#[ignore = "the other tests run it"]
fn skips_in_the_inner_process() {
    skip!("no {}\nhere", "moon");
}

/// The outcome of the inner process with further variables.
fn inner(variables: &[(&str, &str)]) -> Output {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "--ignored", "skips_in_the_inner_process"])
        .env_remove(SKIPS_VARIABLE)
        .env_remove(TESTS_VARIABLE)
        .env_remove(ALLOWED_VARIABLE)
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

const LINE: &str = "skipped: outcomes skips_in_the_inner_process: no moon here\n";

#[test]
fn without_a_file_it_is_seen_on_standard_error() {
    let output = inner(&[]);
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), LINE);
}

#[test]
fn a_file_collects_the_skips_of_several_processes() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("skips");
    for _ in 0..2 {
        let output = inner(&[(SKIPS_VARIABLE, file.to_str().unwrap())]);
        assert!(output.status.success());
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), LINE.repeat(2));
}

#[test]
fn where_all_tests_must_run_a_skip_is_a_failure() {
    let dir = tempfile::tempdir().unwrap();
    let allowed = dir.path().join("allowed");
    let outcome = |text: &str| {
        fs::write(&allowed, text).unwrap();
        let variables = [
            (TESTS_VARIABLE, "all"),
            (ALLOWED_VARIABLE, allowed.to_str().unwrap()),
        ];
        inner(&variables).status.success()
    };
    assert!(!inner(&[(TESTS_VARIABLE, "all")]).status.success());
    assert!(!outcome("outcomes another_test: why\n"));
    assert!(!outcome("# outcomes skips_in_the_inner_process: why\n"));
    assert!(!outcome("outcomes skips_in_the_inner_process\n"));
    assert!(outcome("outcomes skips_in_the_inner_process: why\n"));
}
