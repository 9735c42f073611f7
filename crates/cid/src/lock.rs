// SPDX-License-Identifier: Apache-2.0
//! Locks on the CIDs of VMs, which hold between all processes of a machine.
//!
//! The lock of a CID is a write lock of the kind "open file description" (`F_OFD_SETLK`, see
//! `fcntl(2)`) on the byte of [`FILE`] whose offset is the CID. Unlike a classic lock, it belongs to
//! one opened descriptor and not to the process, so that closing another one does not give it up.

/// Compiles the example of the read-me.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadMe;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// The file whose bytes stand for CIDs, below the root directory.
pub const FILE: &str = "run/lock/avf-cids";

/// Why a CID cannot be locked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be opened or made.
    #[error("cannot open {}, whose bytes are the locks on CIDs", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The system error, with what can be done about it where that is known.
        source: io::Error,
    },
    /// Something else than a file is there.
    #[error("{}: not a regular file; remove it (it is made again when needed)", path.display())]
    NotAFile {
        /// Where.
        path: PathBuf,
    },
    /// The kernel refused a lock, and not because it is taken.
    #[error("cannot lock CID {cid} in {}", path.display())]
    Lock {
        /// The CID.
        cid: u32,
        /// The file.
        path: PathBuf,
        /// The system error.
        source: io::Error,
    },
}

/// The locks of a machine.
#[derive(Debug)]
pub struct CidLocks {
    path: PathBuf,
    /// For questions: a lock is never held by this one.
    asking: File,
}

impl CidLocks {
    /// The locks below `root`, which is `/` but in tests. The file is made if it is not there.
    ///
    /// # Errors
    /// If the file can neither be opened for reading and writing, nor made.
    pub fn open(root: &Path) -> Result<Self, Error> {
        let path = root.join(FILE);
        let asking = crate::file::open(&path)?;
        Ok(Self { path, asking })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the lock of `cid`, or `None` if someone else, in this process or another, has it.
    ///
    /// # Errors
    /// If the file cannot be opened, or the kernel has no more locks.
    pub fn lock(&self, cid: u32) -> Result<Option<CidLock>, Error> {
        let file = crate::file::open(&self.path)?;
        match fcntl(&file, FcntlArg::F_OFD_SETLK(&byte(cid))) {
            Ok(_) => Ok(Some(CidLock { cid, _file: file })),
            Err(Errno::EAGAIN | Errno::EACCES) => Ok(None),
            Err(e) => Err(self.failed(cid, e)),
        }
    }

    /// Whether someone, in this process or another, has the lock of `cid`.
    ///
    /// # Errors
    /// If the kernel does not say.
    pub fn is_locked(&self, cid: u32) -> Result<bool, Error> {
        let mut found = byte(cid);
        fcntl(&self.asking, FcntlArg::F_OFD_GETLK(&mut found)).map_err(|e| self.failed(cid, e))?;
        Ok(i32::from(found.l_type) != libc::F_UNLCK)
    }

    fn failed(&self, cid: u32, e: Errno) -> Error {
        Error::Lock {
            cid,
            path: self.path.clone(),
            source: e.into(),
        }
    }
}

/// A CID that is locked until this is dropped.
#[derive(Debug)]
pub struct CidLock {
    cid: u32,
    _file: File,
}

impl CidLock {
    /// The CID.
    #[must_use]
    pub fn cid(&self) -> u32 {
        self.cid
    }
}

/// A write lock on the byte of `cid`.
#[expect(
    clippy::cast_possible_truncation,
    reason = "constants that the kernel keeps in 16 bits"
)]
fn byte(cid: u32) -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: libc::off_t::from(cid),
        l_len: 1,
        l_pid: 0,
    }
}
