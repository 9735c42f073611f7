// SPDX-License-Identifier: Apache-2.0
//! A VM's temporary directory, which is also the lock on its CID.
//!
//! The directory `{base}/{cid}` belongs to whoever holds an exclusive `flock` on it. The kernel
//! drops that lock with its owner, so a directory that can be locked is free or was left by a
//! manager that was killed; then what it left is ended and removed. The lock is not inherited:
//! every descriptor here is close-on-exec.

mod leftovers;
#[cfg(test)]
mod tests;

pub use leftovers::sweep;

use host::{printable, with_remedy};
use leftovers::{is_abandoned, remove_content, remove_leftovers};
use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, flock, fstat, statat};
use rustix::io::Errno;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use vm_directory::{Directory, Line, Note, Process, append, socket};

/// How often the directory may be taken away under us by another's clean-up before it is an error.
const ATTEMPTS: usize = 16;
/// How long its holder is left alone before the next attempt.
const BETWEEN: std::time::Duration = std::time::Duration::from_millis(2);

/// Why a directory cannot be used.
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
        /// What was to be done.
        what: &'static str,
        /// To what.
        path: PathBuf,
        /// The system error.
        source: io::Error,
    },
    /// The directory belongs to another user.
    #[error(
        "cannot use {}: it belongs to user {owner}, not to user {me}; stop the VM of user {owner}, or remove the \
         directory if none runs",
        path.display()
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// The user who wants it.
        me: u32,
    },
    /// Others kept removing it.
    #[error("cannot use {}: others keep making and removing it", path.display())]
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

/// The process that made a directory and removes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Maker {
    /// A manager, in a directory of its user.
    Manager,
    /// The global service, in a directory of its own.
    GlobalService,
}

impl VmDirectory {
    /// Takes the directory `{base}/{cid}` for the VM called `name`, wanted by process `client`. The base
    /// must be there.
    ///
    /// # Errors
    /// [`Error::Running`] if another VM holds it; other errors if it cannot be made or locked.
    pub fn claim(base: &Path, cid: u32, name: &str, client: i32) -> Result<Self, Error> {
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
                let remedy = match e.kind() {
                    io::ErrorKind::PermissionDenied => {
                        "the directory above must let this user make directories: chmod 1777 it as its owner"
                    }
                    _ => "",
                };
                return Err(io("make directory")(with_remedy(e, remedy)));
            }
            // Another user's note could say anything, and that user's lock could be held for ever: neither
            // is looked at. Whether the directory may be opened makes no difference.
            match statat(CWD, &path, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => check_owner(&path, stat.st_uid)?,
                Err(Errno::NOENT) if maker == Maker::Manager => continue,
                Err(e) => return Err(io("stat directory")(e.into())),
            }
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
            let lock = match rustix::fs::openat(CWD, &path, flags, Mode::empty()) {
                Ok(fd) => File::from(fd),
                // Removed by its owner since.
                Err(Errno::NOENT) if maker == Maker::Manager => continue,
                Err(e) => return Err(io("open directory")(e.into())),
            };
            // It could have been replaced since.
            let stat = fstat(&lock).map_err(|e| io("stat directory")(e.into()))?;
            check_owner(&path, stat.st_uid)?;
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) if is_abandoned(&lock, &path) => {
                    // Another manager is just removing it: that ends, and then there is room.
                    match flock(&lock, FlockOperation::LockExclusive) {
                        Ok(()) | Err(Errno::INTR) => continue,
                        Err(e) => return Err(io("lock directory")(e.into())),
                    }
                }
                Err(Errno::WOULDBLOCK) => match read_note(&lock, &path) {
                    Ok(note) if note.manager.is_some() => return Err(running(&note, cid)),
                    // Between taking the lock and writing the note, or between removing the note
                    // and giving the lock back: its holder is about to be through with that.
                    _ => {
                        std::thread::sleep(BETWEEN);
                        continue;
                    }
                },
                Err(e) => return Err(unlockable(&path, maker, e)),
            }
            let held = lock.metadata().map_err(io("stat directory"))?;
            match fs::symlink_metadata(&path) {
                Ok(named) if (named.dev(), named.ino()) == (held.dev(), held.ino()) => {}
                // Its owner removed it between our opening and our locking it.
                _ => continue,
            }
            remove_leftovers(&lock, &path).map_err(io("remove what a killed manager left in"))?;
            // From here on it is removed with its owner.
            let directory = Self { path, lock, maker };
            Note::begin(directory.fd(), name, client).map_err(|source| Error::Io {
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

    /// The address of the socket `name` in the directory, whatever the length of its path.
    ///
    /// # Errors
    /// See [`socket::address`].
    pub fn socket(&self, name: &str) -> io::Result<PathBuf> {
        socket::address(self.fd(), &self.path, name)
    }

    /// Notes that process `pid` belongs to this VM, so that a later manager can end it should this
    /// one be killed and the kernel not have ended it.
    ///
    /// # Errors
    /// If the note cannot be written.
    pub fn note_process(&self, pid: i32) -> io::Result<()> {
        self.append(&Line::Process(process(pid)?))
    }

    /// Notes that process `pid` is this VM's VMM, of that kind.
    ///
    /// # Errors
    /// If the note cannot be written.
    pub fn note_vmm(&self, pid: i32, kind: &str) -> io::Result<()> {
        self.append(&Line::Vmm(process(pid)?, &kind.to_ascii_lowercase()))
    }

    /// Notes the VM's instance id, for programs that list VMs, unless it has none.
    ///
    /// # Errors
    /// If the note cannot be written.
    pub fn note_instance(&self, id: &[u8; 64]) -> io::Result<()> {
        if *id == [0; 64] {
            return Ok(());
        }
        self.append(&Line::Instance(id))
    }

    fn append(&self, line: &Line<'_>) -> io::Result<()> {
        append(self.fd(), line)
    }
}

/// Refuses the directory `path` if its `owner` is another user.
fn check_owner(path: &Path, owner: u32) -> Result<(), Error> {
    let me = rustix::process::geteuid().as_raw();
    if owner == me {
        return Ok(());
    }
    Err(Error::Foreign {
        path: path.to_owned(),
        owner,
        me,
    })
}

fn process(pid: i32) -> io::Result<Process> {
    Process::of_pid(pid).ok_or_else(|| io::Error::other(format!("process {pid} has ended")))
}

/// Adds a line to the note in the VM's directory `path`.
///
/// # Errors
/// If the note cannot be written, as when the VM has ended.
pub fn note_in(path: &Path, line: &Line<'_>) -> io::Result<()> {
    append(Directory::open(path)?.as_fd(), line)
}

/// The note in the opened directory. Whoever else opened the directory could have changed its name.
fn read_note(opened: &File, path: &Path) -> io::Result<Note> {
    Note::read(&Directory::again(opened.as_fd(), path)?)
}

/// What the owner's note says of the VM that holds the directory.
fn running(note: &Note, cid: u32) -> Error {
    Error::Running {
        name: printable(&note.name).into_owned(),
        cid,
        pid: note
            .client
            .map_or_else(|| "(unknown)".to_owned(), |pid| pid.to_string()),
    }
}

/// A file system without locks (ENOLCK, EOPNOTSUPP) cannot hold VMs' directories; the one that was just
/// made there does not stay.
fn unlockable(path: &Path, maker: Maker, error: Errno) -> Error {
    if maker == Maker::Manager {
        // It fails for one that holds anything.
        let _ = fs::remove_dir(path);
    }
    Error::Io {
        what: "lock",
        path: path.to_owned(),
        source: with_remedy(
            error.into(),
            "its file system must support flock, as a tmpfs does",
        ),
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
            log::error!("cannot remove {}: {e}", self.path.display());
        }
    }
}
