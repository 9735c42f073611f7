// SPDX-License-Identifier: Apache-2.0
//! A property area that cannot be used. It has a program of its own: a process maps one area only.

use sysprop::Properties;

#[test]
fn an_area_that_cannot_be_used_is_still_an_area() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.path().join("dev/__properties__")).unwrap();
    let properties = Properties::below(root.path());
    assert!(properties.has_area());
    // It does not turn to the file of other hosts either.
    properties.read("ro.some").unwrap_err();
}
