// SPDX-License-Identifier: Apache-2.0
//! The directories of VMs. The process that runs a VM holds an exclusive `flock` on its directory.

use super::removal::empty;
use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock, openat};
use rustix::io::Errno;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::path::Path;

/// What happened to a directory that is not needed any more.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Removal {
    /// It is gone, or never was.
    Gone,
    /// A manager holds it.
    Held,
}

/// Makes the directory `path` for the user `uid`; what nobody holds there is removed before.
///
/// # Errors
/// `WouldBlock` if a manager holds it.
pub(crate) fn make(path: &Path, uid: u32) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            if remove(path)? == Removal::Held {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            DirBuilder::new().mode(0o700).create(path)?;
        }
        other => other?,
    }
    // Nobody else can write to the directory above, so that this is the one just made.
    if uid != rustix::process::geteuid().as_raw() {
        chown(path, Some(uid), None)?;
    }
    Ok(())
}

/// Removes the directory `path` with all in it, unless a manager holds it.
pub(crate) fn remove(path: &Path) -> io::Result<Removal> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    let directory = match openat(CWD, path, flags, Mode::empty()) {
        Ok(directory) => directory,
        Err(Errno::NOENT) => return Ok(Removal::Gone),
        // Something else of that name.
        Err(Errno::NOTDIR | Errno::LOOP) => {
            fs::remove_file(path)?;
            return Ok(Removal::Gone);
        }
        Err(e) => return Err(e.into()),
    };
    match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Ok(Removal::Held),
        Err(e) => return Err(e.into()),
    }
    // The lock is kept meanwhile, so that no manager takes what is being removed. The manager may
    // remove it itself at the same time.
    empty(directory.as_fd())?;
    match fs::remove_dir(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(Removal::Gone),
    }
}

/// Whether a manager holds the directory `path`.
pub(crate) fn is_held(path: &Path) -> bool {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    openat(CWD, path, flags, Mode::empty()).is_ok_and(|directory| {
        flock(&directory, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK)
    })
}

/// Whose the directory `path` is.
pub(crate) fn owner(path: &Path) -> Option<u32> {
    fs::symlink_metadata(path).ok().map(|of| of.uid())
}
