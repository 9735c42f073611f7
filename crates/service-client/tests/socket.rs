// SPDX-License-Identifier: Apache-2.0
//! Something at the socket's path that is not the service. The service itself is tested in its own crate.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may fail like this, also in what it calls"
)]

use service_client::{Error, SOCKET, Way, connect, connect_by};
use std::fs;
use std::os::unix::net::UnixListener;

#[test]
fn no_service_is_no_error() {
    let root = tempfile::tempdir().unwrap();
    assert!(connect(root.path()).unwrap().is_none());
    // A file where the directory should be, and a socket that no one has any more.
    fs::write(root.path().join("run"), "").unwrap();
    assert!(connect(root.path()).unwrap().is_none());
    fs::remove_file(root.path().join("run")).unwrap();
    let path = root.path().join(SOCKET);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    assert!(connect(root.path()).unwrap().is_none());
}

#[test]
fn a_long_root_directory_is_as_good_as_a_short_one() {
    let base = tempfile::tempdir().unwrap();
    let root = base.path().join("x".repeat(120));
    fs::create_dir(&root).unwrap();
    assert!(connect(&root).unwrap().is_none());
    let path = root.join(SOCKET);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let listener = vm_directory::socket::bind(&path).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| listener.accept().map(drop));
        // It was reached: what answers there is not the service.
        assert!(matches!(connect(&root), Err(Error::Session { .. })));
    });
}

#[test]
fn a_binder_device_that_is_none_is_no_error() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("dev")).unwrap();
    fs::write(root.path().join("dev/binder"), "").unwrap();
    assert!(
        connect_by(root.path(), &[Way::KernelBinder])
            .unwrap()
            .is_none()
    );
}

#[test]
fn something_else_that_answers_is_one() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join(SOCKET);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let listener = UnixListener::bind(&path).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| listener.accept().map(drop));
        let error = connect(root.path()).unwrap_err();
        assert!(matches!(error, Error::Session { .. }), "{error:?}");
        assert!(error.to_string().contains(SOCKET), "{error}");
    });
}
