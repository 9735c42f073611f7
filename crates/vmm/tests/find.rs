// SPDX-License-Identifier: Apache-2.0
//! Which VMM a program is, and what is asked of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test panics"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use vmm::crosvm::{Abilities, Platform};
use vmm::find::{Finder, Program, Settings};

fn script(directory: &Path, name: &str, text: &str) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn the_platforms_crosvm_may_have_any_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = script(directory.path(), "vendor-vmm", "exit 0");
    let finder = Finder::new(Settings {
        platform: Platform::Android,
        shipped: vec![directory.path().join("missing"), path.clone()],
    });
    let all = finder.all();
    let crosvms: Vec<_> = all
        .iter()
        .filter(|program| program.path() == path)
        .collect();
    assert_eq!(crosvms, [&Program::Crosvm(path)]);
}

#[test]
fn each_vmm_is_asked_for_its_version_in_its_own_way() {
    let directory = tempfile::tempdir().unwrap();
    let crosvm = script(
        directory.path(),
        "crosvm",
        "[ \"$1\" = version ] || exit 35\necho noise >&2\necho crosvm 0.1.0-abc",
    );
    let qemu = script(
        directory.path(),
        "qemu",
        "[ \"$1\" = --version ] || exit 1\necho QEMU emulator version 9\necho more",
    );
    assert_eq!(
        vmm::version(&Program::Crosvm(crosvm)).unwrap(),
        "crosvm 0.1.0-abc"
    );
    assert_eq!(
        vmm::version(&Program::Qemu(qemu.clone())).unwrap(),
        "QEMU emulator version 9"
    );
    assert_eq!(
        vmm::version(&Program::Crosvm(qemu))
            .unwrap_err()
            .to_string(),
        "it ended with exit status 1"
    );
}

#[test]
fn a_crosvm_that_hangs_when_asked_is_given_up() {
    let directory = tempfile::tempdir().unwrap();
    // Another process keeps the output open after the limit.
    let crosvm = script(directory.path(), "crosvm", "sleep 1000 &\nsleep 1000");
    let start = Instant::now();
    assert_eq!(Abilities::of(crosvm).features(directory.path()), None);
    assert!(start.elapsed() < Duration::from_secs(100));
}
