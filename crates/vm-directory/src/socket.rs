// SPDX-License-Identifier: Apache-2.0
//! Unix sockets in directories with a path of any length. A socket's address holds 107 bytes; a longer
//! path is reached through its opened directory.

use rustix::fs::{CWD, Mode, OFlags, openat};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// The longest path that an address holds.
const LONGEST: usize = 107;

/// The address of the socket `name` in the opened `directory`, whose path is `path`. It holds as long as
/// the directory is open.
///
/// # Errors
/// If there is no `/proc`, and the path is too long to do without.
pub fn address(directory: BorrowedFd<'_>, path: &Path, name: &str) -> io::Result<PathBuf> {
    let opened = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
    if rustix::fs::stat(&opened).is_ok() {
        return Ok(opened.join(name));
    }
    let full = path.join(name);
    if full.as_os_str().as_bytes().len() <= LONGEST {
        return Ok(full);
    }
    Err(io::Error::other(format!(
        "the path has {} bytes, and without /proc a socket's may have {LONGEST}; mount /proc, or use a \
         shorter path",
        full.as_os_str().as_bytes().len()
    )))
}

/// Connects to the socket at `path`.
///
/// # Errors
/// If that is not possible.
pub fn connect(path: &Path) -> io::Result<UnixStream> {
    with_address(path, |address| UnixStream::connect(address))
}

/// Listens on a new socket at `path`.
///
/// # Errors
/// If that is not possible.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    with_address(path, |address| UnixListener::bind(address))
}

/// Calls `use_it` with an address for `path`.
///
/// # Errors
/// If there is none, or `use_it` fails.
pub fn with_address<T>(path: &Path, use_it: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    if path.as_os_str().as_bytes().len() <= LONGEST {
        return use_it(path);
    }
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(rustix::io::Errno::INVAL.into());
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened: OwnedFd = openat(CWD, directory, flags, Mode::empty())?;
    use_it(&address(
        opened.as_fd(),
        directory,
        &name.to_string_lossy(),
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_any_length_will_do() {
        let base = tempfile::tempdir().unwrap();
        for length in [1, 200] {
            let directory = base.path().join("x".repeat(length));
            std::fs::create_dir(&directory).unwrap();
            let socket = directory.join("socket");
            let listener = bind(&socket).unwrap();
            let _client = connect(&socket).unwrap();
            listener.accept().unwrap();
            assert!(socket.exists());
        }
        let absent = base.path().join("y".repeat(200)).join("socket");
        assert_eq!(
            connect(&absent).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }
}
