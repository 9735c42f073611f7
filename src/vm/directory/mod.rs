// SPDX-License-Identifier: Apache-2.0
//! A VM's temporary directory, which is also the lock on its CID.
//!
//! The directory `{base}/{cid}` belongs to whoever holds an exclusive `flock` on it. The kernel
//! drops that lock with its owner, so a directory that can be locked is free or was left by a
//! manager that was killed; then what it left is ended and removed. The lock is not inherited:
//! every descriptor here is close-on-exec.

mod leftovers;
mod note;
#[cfg(test)]
mod tests;

pub use leftovers::sweep;
pub use note::{Held, held, note_console, note_state};

use leftovers::{remove_content, remove_leftovers};
use note::{OWNER, is_abandoned, owner_note, running, start_time};
use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// How often the directory may be taken away under us by another's clean-up before it is an error.
const ATTEMPTS: usize = 16;
/// How long its holder is left alone before the next attempt.
const BETWEEN: std::time::Duration = std::time::Duration::from_millis(2);
/// Why a directory could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another VM holds it.
    #[error("VM '{name}' (CID {cid}) is already running, started by pid {pid}")]
    Running {
        /// The VM's name, as its owner wrote it.
        name: String,
        /// The CID.
        cid: u32,
        /// The process that had it started.
        pid: String,
    },
    /// A system call failed.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// What was being done.
        what: &'static str,
        /// To what.
        path: PathBuf,
        /// The system error.
        source: io::Error,
    },
    /// The directory belongs to another user.
    #[error("{}: it belongs to user {owner}, not to user {me}; remove it, or run as its owner", path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// Who owns it.
        owner: u32,
        /// Who wants it.
        me: u32,
    },
    /// Others kept removing it.
    #[error("{}: others keep creating and removing it", path.display())]
    Contended {
        /// The directory.
        path: PathBuf,
    },
}

impl From<Error> for crate::error::Error {
    fn from(error: Error) -> Self {
        Self::of(crate::error::Kind::Failure, error)
    }
}

/// A VM's temporary directory. Dropping it removes the directory, or everything in it if the global
/// service made it, then gives the CID free.
#[derive(Debug)]
pub struct VmDirectory {
    path: PathBuf,
    lock: File,
    maker: Maker,
}

/// Who made a directory, and removes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Maker {
    /// A manager, in a directory of its user.
    Manager,
    /// The global service, in a directory of its own.
    GlobalService,
}

impl VmDirectory {
    /// Takes the directory `{base}/{cid}` for the VM called `name`, wanted by process `client`.
    ///
    /// # Errors
    /// [`Error::Running`] if another VM holds it; other errors if it cannot be made or locked.
    pub fn claim(base: &Path, cid: u32, name: &str, client: i32) -> Result<Self, Error> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(base)
            .map_err(|source| Error::Io {
                what: "make directory",
                path: base.to_owned(),
                source,
            })?;
        Self::take(
            base.join(cid.to_string()),
            Maker::Manager,
            cid,
            name,
            client,
        )
    }

    /// Takes the directory `path`, which the global service made for the VM called `name`, and which
    /// it will remove.
    ///
    /// # Errors
    /// As [`VmDirectory::claim`].
    pub fn adopt(path: &Path, cid: u32, name: &str, client: i32) -> Result<Self, Error> {
        Self::take(path.to_owned(), Maker::GlobalService, cid, name, client)
    }

    fn take(path: PathBuf, maker: Maker, cid: u32, name: &str, client: i32) -> Result<Self, Error> {
        let io = |what: &'static str| {
            let path = path.clone();
            move |source: io::Error| Error::Io { what, path, source }
        };
        for _ in 0..ATTEMPTS {
            if maker == Maker::Manager
                && let Err(e) = DirBuilder::new().mode(0o700).create(&path)
                && e.kind() != io::ErrorKind::AlreadyExists
            {
                return Err(io("make directory")(e));
            }
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
            let lock = match rustix::fs::openat(CWD, &path, flags, Mode::empty()) {
                Ok(fd) => File::from(fd),
                // Removed by its owner since.
                Err(Errno::NOENT) if maker == Maker::Manager => continue,
                Err(e) => return Err(io("open directory")(e.into())),
            };
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) if is_abandoned(&path) => {
                    // Another manager is just removing it: that ends, and then there is room.
                    match flock(&lock, FlockOperation::LockExclusive) {
                        Ok(()) | Err(Errno::INTR) => continue,
                        Err(e) => return Err(io("lock directory")(e.into())),
                    }
                }
                Err(Errno::WOULDBLOCK) => match note::read(&path) {
                    Ok(note) => return Err(running(&note, cid)),
                    // Between taking the lock and writing the note, or between removing the note
                    // and giving the lock back: its holder is about to be through with that.
                    Err(_) => {
                        std::thread::sleep(BETWEEN);
                        continue;
                    }
                },
                Err(e) => return Err(io("lock directory")(e.into())),
            }
            let held = lock.metadata().map_err(io("stat directory"))?;
            match fs::symlink_metadata(&path) {
                Ok(named) if (named.dev(), named.ino()) == (held.dev(), held.ino()) => {}
                // Its owner removed it between our opening and our locking it.
                _ => continue,
            }
            let me = rustix::process::geteuid().as_raw();
            if held.uid() != me {
                return Err(Error::Foreign {
                    path,
                    owner: held.uid(),
                    me,
                });
            }
            remove_leftovers(&path).map_err(io("remove what a killed manager left in"))?;
            let directory = Self { path, lock, maker };
            directory
                .note(&owner_note(name, client))
                .map_err(|source| Error::Io {
                    what: "write the owner's note in",
                    path: directory.path.clone(),
                    source,
                })?;
            return Ok(directory);
        }
        Err(Error::Contended { path })
    }

    /// The directory's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory, opened.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.lock.as_fd()
    }

    /// A short path to the file `name` in the directory, whatever the length of its own: the
    /// address of a Unix socket holds 107 bytes only.
    #[must_use]
    pub fn short_path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{name}", self.lock.as_raw_fd()))
    }

    /// Notes that process `pid` belongs to this VM, so that a later manager can end it should this
    /// one be killed and the kernel not have ended it.
    ///
    /// # Errors
    /// If the note cannot be written.
    pub fn note_process(&self, pid: i32) -> io::Result<()> {
        let start = start_time(pid).ok_or_else(|| io::Error::other(format!("no process {pid}")))?;
        self.note(&format!("process {pid} {start}\n"))
    }

    fn note(&self, text: &str) -> io::Result<()> {
        OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(self.path.join(OWNER))?
            .write_all(text.as_bytes())
    }
}

impl Drop for VmDirectory {
    fn drop(&mut self) {
        // The lock goes after this, with the descriptor.
        let removed = match self.maker {
            Maker::Manager => fs::remove_dir_all(&self.path),
            Maker::GlobalService => remove_content(&self.path),
        };
        if let Err(e) = removed {
            log::error!("remove {}: {e}", self.path.display());
        }
    }
}
