// SPDX-License-Identifier: Apache-2.0
//! Opening the file, making it if it is not there, so that all users can.

use crate::Error;
use host::with_remedy;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

/// How often making and opening may cross with another process before it is an error.
const ATTEMPTS: usize = 8;
const FLAGS: OFlags = OFlags::RDWR
    .union(OFlags::CLOEXEC)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY);

/// Opens the file `path` for reading and writing.
pub(crate) fn open(path: &Path) -> Result<File, Error> {
    let mut last = Errno::NOENT;
    for _ in 0..ATTEMPTS {
        // Not O_CREAT: in a directory with the sticky bit, the kernel (fs.protected_regular) would
        // refuse that to all but the file's owner, though the file is there and open to all.
        match openat(CWD, path, FLAGS, Mode::empty()) {
            Ok(fd) => return checked(File::from(fd), path),
            Err(Errno::NOENT) => {}
            Err(e) => return Err(refused(path, e)),
        }
        match openat(
            CWD,
            path,
            FLAGS | OFlags::CREATE | OFlags::EXCL,
            Mode::from_raw_mode(0o666),
        ) {
            Ok(fd) => {
                // Whatever the umask says. Who opens it between the two calls and may not gets an
                // error that says so; nobody gets a lock that does not hold.
                rustix::fs::fchmod(&fd, Mode::from_raw_mode(0o666))
                    .map_err(|e| refused(path, e))?;
                return checked(File::from(fd), path);
            }
            // Another process has made it since.
            Err(e @ Errno::EXIST) => last = e,
            Err(e @ Errno::NOENT) => {
                last = e;
                make_directory(path)?;
            }
            Err(e) => return Err(refused(path, e)),
        }
    }
    Err(refused(path, last))
}

fn checked(file: File, path: &Path) -> Result<File, Error> {
    match file.metadata() {
        Ok(metadata) if metadata.is_file() => Ok(file),
        Ok(_) => Err(Error::NotAFile {
            path: path.to_owned(),
        }),
        Err(source) => Err(Error::Open {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Makes the directory of `path`, as systems have it that have one: anyone may make files in it.
fn make_directory(path: &Path) -> Result<(), Error> {
    let Some(directory) = path.parent() else {
        return Ok(());
    };
    let failed = |source: io::Error| Error::Open {
        path: path.to_owned(),
        source: with_remedy(
            source,
            "its directory is missing: make it as root, mode 1777",
        ),
    };
    if let Some(above) = directory.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(above)
            .map_err(failed)?;
    }
    match DirBuilder::new().mode(0o755).create(directory) {
        Ok(()) => {
            std::fs::set_permissions(directory, Permissions::from_mode(0o1777)).map_err(failed)
        }
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(failed(e)),
    }
}

fn refused(path: &Path, e: Errno) -> Error {
    let remedy = match e {
        Errno::LOOP => "a symbolic link is there: remove it",
        Errno::ACCESS | Errno::PERM => {
            "it must be open to every user: chmod 666 it as its owner, or remove it as root"
        }
        Errno::ROFS => "its file system is read-only: mount a tmpfs on /run",
        _ => "",
    };
    Error::Open {
        path: path.to_owned(),
        source: with_remedy(e.into(), remedy),
    }
}
