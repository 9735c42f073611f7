// SPDX-License-Identifier: Apache-2.0
//! A property area, as Android has one. A process maps one area only, so this is one test.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    reason = "a test may fail like this, also in what it calls"
)]

use rsproperties::{PropertyInfoEntry, SystemProperties, build_trie};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;
use sysprop::{Properties, PropertyWatcherError};

const LONG: Duration = Duration::from_secs(60);

/// An area with two contexts, so that it has more than one file.
fn make_area(directory: &Path) -> SystemProperties {
    fs::create_dir_all(directory).unwrap();
    let contexts = directory.join("../contexts");
    fs::write(
        &contexts,
        "ro. u:object_r:ro_prop:s0 prefix string\ntest. u:object_r:test_prop:s0 prefix string\n",
    )
    .unwrap();
    let (entries, errors) = PropertyInfoEntry::parse_from_file(&contexts, false).unwrap();
    assert!(errors.is_empty(), "{errors:?}");
    let info = build_trie(&entries, "u:object_r:default_prop:s0", "string").unwrap();
    fs::write(directory.join("property_info"), info).unwrap();
    SystemProperties::new_area(directory).unwrap()
}

#[test]
fn an_area_comes_before_the_file() {
    let root = tempfile::tempdir().unwrap();
    let mut area = make_area(&root.path().join("dev/__properties__"));
    let long = "x".repeat(300);
    let mut expected = BTreeMap::new();
    for (name, value) in [
        ("ro.build.version.sdk", "36"),
        ("ro.build", "parent"),
        ("ro.long", &*long),
        ("test.bool", "on"),
        ("test.empty", ""),
        ("other", "1"),
    ] {
        area.add(name, value).unwrap();
        expected.insert(name.to_owned(), value.to_owned());
    }
    fs::create_dir_all(root.path().join("etc/avf")).unwrap();
    fs::write(root.path().join("etc/avf/build.prop"), "other=2\nfile=1\n").unwrap();

    let properties = Properties::below(root.path());
    assert!(properties.has_area());
    for (name, value) in &expected {
        assert_eq!(properties.read(name).unwrap().as_ref(), Some(value));
    }
    assert_eq!(properties.read("file").unwrap(), None);
    assert!(properties.read_bool("test.bool", false).unwrap());
    let mut found = BTreeMap::new();
    properties
        .foreach(|name, value| {
            found.insert(name.to_owned(), value.to_owned());
        })
        .unwrap();
    assert_eq!(found, expected);
    // No property service has a socket here.
    assert!(matches!(
        properties.write("test.bool", "off"),
        Err(PropertyWatcherError::SetPropertyFailed { name, .. }) if name == "test.bool"
    ));

    let mut watcher = properties.watcher("test.late").unwrap();
    assert!(matches!(
        watcher.wait(Some(Duration::from_millis(1))),
        Err(PropertyWatcherError::WaitFailed(_))
    ));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            area.add("test.early", "1").unwrap();
            area.add("test.late", "1").unwrap();
        });
        watcher.wait(Some(LONG)).unwrap();
    });
    assert_eq!(watcher.read(|_, value| Ok(value.to_owned())).unwrap(), "1");
    std::thread::scope(|scope| {
        scope.spawn(|| area.set("test.late", "2").unwrap());
        watcher.wait_for_value("2", Some(LONG)).unwrap();
    });
    // Another root's file is read all the same: it has no area.
    let other = tempfile::tempdir().unwrap();
    assert!(!Properties::below(other.path()).has_area());
}
