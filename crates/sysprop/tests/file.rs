// SPDX-License-Identifier: Apache-2.0
//! The properties file of a host without a property area.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    reason = "a test may fail like this, also in what it calls"
)]

use std::fs;
use std::path::Path;
use std::time::Duration;
use sysprop::{Properties, PropertyWatcherError, parse_bool};

const LONG: Duration = Duration::from_secs(60);

fn host(text: &str) -> (tempfile::TempDir, Properties) {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("etc/avf")).unwrap();
    fs::write(file(root.path()), text).unwrap();
    let properties = Properties::below(root.path());
    (root, properties)
}

fn file(root: &Path) -> std::path::PathBuf {
    root.join("etc/avf/build.prop")
}

#[test]
fn lines_are_properties() {
    let (_root, properties) = host(
        "# a comment=1\n\nro.build.version.sdk=36\n  spaced.key = a value=b \nempty=\nno line\nbad..name=1\n\
         twice=1\ntwice=2",
    );
    let read = |name| properties.read(name).unwrap();
    assert!(!properties.has_area());
    assert_eq!(read("ro.build.version.sdk").as_deref(), Some("36"));
    assert_eq!(read("spaced.key").as_deref(), Some("a value=b"));
    assert_eq!(read("empty").as_deref(), Some(""));
    assert_eq!(read("twice").as_deref(), Some("2"));
    assert_eq!(read("# a comment"), None);
    let mut all = Vec::new();
    properties
        .foreach(|name, value| all.push(format!("{name}={value}")))
        .unwrap();
    assert_eq!(
        all,
        [
            "empty=",
            "ro.build.version.sdk=36",
            "spaced.key=a value=b",
            "twice=2"
        ]
    );
}

#[test]
fn a_host_without_the_file_has_no_properties() {
    let root = tempfile::tempdir().unwrap();
    let properties = Properties::below(root.path());
    assert_eq!(properties.read("a.b").unwrap(), None);
    assert!(properties.read_bool("a.b", true).unwrap());
    properties.foreach(|name, _| panic!("{name}")).unwrap();
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_that_names_it() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(file(root.path())).unwrap();
    let error = Properties::below(root.path()).read("a.b").unwrap_err();
    assert!(matches!(error, PropertyWatcherError::ReadFailed { .. }));
    assert!(error.to_string().ends_with("etc/avf/build.prop"), "{error}");
}

#[test]
fn booleans_have_one_spelling() {
    for (value, is) in [
        ("1", Some(true)),
        ("y", Some(true)),
        ("yes", Some(true)),
        ("on", Some(true)),
        ("true", Some(true)),
        ("0", Some(false)),
        ("n", Some(false)),
        ("no", Some(false)),
        ("off", Some(false)),
        ("false", Some(false)),
        ("TRUE", None),
        ("2", None),
        ("", None),
    ] {
        assert_eq!(parse_bool(value), is, "{value:?}");
        let (_root, properties) = host(&format!("a={value}\n"));
        for default in [true, false] {
            assert_eq!(
                properties.read_bool("a", default).unwrap(),
                is.unwrap_or(default)
            );
        }
    }
}

#[test]
fn what_is_written_is_read_and_the_rest_stays() {
    let (root, properties) = host("# mine\na.b=1\nc.d=2\n");
    properties.write("a.b", "new").unwrap();
    properties.write("e.f", "3").unwrap();
    assert_eq!(
        fs::read_to_string(file(root.path())).unwrap(),
        "# mine\nc.d=2\na.b=new\ne.f=3\n"
    );
    let fresh = tempfile::tempdir().unwrap();
    Properties::below(fresh.path()).write("a.b", "1").unwrap();
    assert_eq!(fs::read_to_string(file(fresh.path())).unwrap(), "a.b=1\n");
}

#[test]
fn what_android_would_refuse_is_refused() {
    let (root, properties) = host("ro.a=1\n");
    let before = fs::read_to_string(file(root.path())).unwrap();
    for (name, value) in [
        ("ro.a", "2"),
        ("", "1"),
        (".a", "1"),
        ("a..b", "1"),
        ("a b", "1"),
        ("a", "two\nlines"),
        ("a", &"x".repeat(92)),
    ] {
        properties.write(name, value).unwrap_err();
    }
    assert_eq!(fs::read_to_string(file(root.path())).unwrap(), before);
    properties.write("a", &"x".repeat(91)).unwrap();
    properties.write("ro.long", &"x".repeat(500)).unwrap();
    let entries = fs::read_dir(root.path().join("etc/avf")).unwrap().count();
    assert_eq!(entries, 1);
}

#[test]
fn many_writers_lose_nothing() {
    let root = tempfile::tempdir().unwrap();
    let write = |writer: usize| {
        let properties = Properties::below(root.path());
        move || {
            for i in 0..20 {
                properties.write(&format!("w{writer}.n{i}"), "1").unwrap();
            }
        }
    };
    std::thread::scope(|scope| {
        for writer in 0..4 {
            scope.spawn(write(writer));
        }
    });
    let mut count = 0;
    let properties = Properties::below(root.path());
    properties.foreach(|_, _| count += 1).unwrap();
    assert_eq!(count, 80);
}

#[test]
fn a_watcher_waits_for_creation_and_change() {
    // Not even the directory is there at first.
    let root = tempfile::tempdir().unwrap();
    let properties = Properties::below(root.path());
    let mut watcher = properties.watcher("a.b").unwrap();
    assert!(matches!(
        watcher.read(|_, _| Ok(())),
        Err(PropertyWatcherError::SystemPropertyAbsent(_))
    ));
    assert!(matches!(
        watcher.wait(Some(Duration::from_millis(1))),
        Err(PropertyWatcherError::WaitFailed(_))
    ));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            properties.write("other", "1").unwrap();
            properties.write("a.b", "1").unwrap();
        });
        watcher.wait(Some(LONG)).unwrap();
    });
    let read = |name: &str, value: &str| {
        assert_eq!(name, "a.b");
        Ok(value.to_owned())
    };
    assert_eq!(watcher.read(read).unwrap(), "1");
    std::thread::scope(|scope| {
        scope.spawn(|| properties.write("a.b", "2").unwrap());
        watcher.wait(Some(LONG)).unwrap();
    });
    assert_eq!(watcher.read(read).unwrap(), "2");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            properties.write("a.b", "3").unwrap();
            properties.write("a.b", "4").unwrap();
        });
        watcher.wait_for_value("4", Some(LONG)).unwrap();
    });
    let failed = watcher.read(|_, _| -> anyhow::Result<()> { anyhow::bail!("no") });
    assert!(matches!(failed, Err(PropertyWatcherError::CallbackError(e)) if e.to_string() == "no"));
}

#[test]
fn the_first_wait_for_what_is_there_returns_at_once() {
    let (_root, properties) = host("a=1\n");
    properties.watcher("a").unwrap().wait(None).unwrap();
    assert!(properties.watcher("a..b").is_err());
}

#[test]
fn a_pipe_in_the_place_of_the_file_is_an_error_at_once() {
    let (root, properties) = host("");
    let path = file(root.path());
    fs::remove_file(&path).unwrap();
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &path, kind, 0o600.into(), 0).unwrap();
    let error = properties.read("ro.some").unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(cause, "not a regular file");
}
