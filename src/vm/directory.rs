// SPDX-License-Identifier: Apache-2.0
//! A VM's temporary directory, which is also the lock on its CID.
//!
//! The directory `{base}/{cid}` belongs to whoever holds an exclusive `flock` on it. The kernel
//! drops that lock with its owner, so a directory that can be locked is free or was left by a
//! manager that was killed; then what it left is ended and removed. The lock is not inherited:
//! every descriptor here is close-on-exec.

use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The file in the directory that says whose it is.
const OWNER: &str = "owner";
/// How often the directory may be taken away under us by another's clean-up before it is an error.
const ATTEMPTS: usize = 16;
/// How long its holder is left alone before the next attempt.
const BETWEEN: std::time::Duration = std::time::Duration::from_millis(2);
/// How long a killed process may take to be gone.
const KILL: rustix::event::Timespec = rustix::event::Timespec {
    tv_sec: 10,
    tv_nsec: 0,
};

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
    #[error("{what} {}", path.display())]
    Io {
        /// What was being done.
        what: &'static str,
        /// To what.
        path: PathBuf,
        /// The system's answer.
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

/// A VM's temporary directory. Dropping it removes the directory and everything in it, then gives
/// the CID free.
#[derive(Debug)]
pub struct VmDirectory {
    path: PathBuf,
    lock: File,
}

impl VmDirectory {
    /// Takes the directory `{base}/{cid}` for the VM called `name`, wanted by process `client`.
    ///
    /// # Errors
    /// [`Error::Running`] if another VM holds it; other errors if it cannot be made or locked.
    pub fn claim(base: &Path, cid: u32, name: &str, client: i32) -> Result<Self, Error> {
        let path = base.join(cid.to_string());
        let io = |what: &'static str| {
            let path = path.clone();
            move |source: io::Error| Error::Io { what, path, source }
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(base)
            .map_err(|source| Error::Io {
                what: "make directory",
                path: base.to_owned(),
                source,
            })?;
        for _ in 0..ATTEMPTS {
            match DirBuilder::new().mode(0o700).create(&path) {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(io("make directory")(e));
                }
                _ => {}
            }
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
            let lock = match rustix::fs::openat(CWD, &path, flags, Mode::empty()) {
                Ok(fd) => File::from(fd),
                // Removed by its owner since.
                Err(Errno::NOENT) => continue,
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
                Err(Errno::WOULDBLOCK) => match fs::read_to_string(path.join(OWNER)) {
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
            let directory = Self { path, lock };
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
        if let Err(e) = fs::remove_dir_all(&self.path) {
            log::error!("remove {}: {e}", self.path.display());
        }
    }
}

/// Removes what managers that were killed left in `base`. Directories that are held stay, and so do
/// those of other users.
pub fn sweep(base: &Path) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.parse::<u32>().is_ok())
            // One without a note is just being made: its maker holds no lock on it yet.
            && is_abandoned(&path)
            && let Err(e) = sweep_one(&path)
        {
            log::warn!("{}: what a killed manager left stays: {e}", path.display());
        }
    }
}

fn sweep_one(path: &Path) -> io::Result<()> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    let lock = match rustix::fs::openat(CWD, path, flags, Mode::empty()) {
        Ok(fd) => File::from(fd),
        // Gone by now, or another user's.
        Err(Errno::NOENT | Errno::ACCESS) => return Ok(()),
        Err(e) => return Err(e.into()),
    };
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Ok(()),
        Err(e) => return Err(e.into()),
    }
    let held = lock.metadata()?;
    let is_same = fs::symlink_metadata(path)
        .is_ok_and(|named| (named.dev(), named.ino()) == (held.dev(), held.ino()));
    if is_same && held.uid() == rustix::process::geteuid().as_raw() {
        remove_leftovers(path)?;
        // Whoever has opened it meanwhile finds that it is gone, and makes a new one.
        fs::remove_dir(path)?;
    }
    Ok(())
}

/// Notes in the VM's directory where the client says that its console can be had.
///
/// # Errors
/// If the note cannot be written, as when the VM has ended.
pub fn note_console(directory: &Path, console: &str) -> io::Result<()> {
    append(&directory.join(OWNER), &format!("console {console}\n"))
}

fn append(note: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new()
        .append(true)
        .open(note)?
        .write_all(text.as_bytes())
}

/// What stands in a directory about its owner.
fn owner_note(name: &str, client: i32) -> String {
    let me = rustix::process::getpid().as_raw_nonzero().get();
    let start = start_time(me).unwrap_or_default();
    let name = one_line(name);
    format!("name {name}\nclient {client}\nmanager {me} {start}\n")
}

/// Whether the manager that made the directory `path` is gone. Without a note it is not.
fn is_abandoned(path: &Path) -> bool {
    let note = fs::read_to_string(path.join(OWNER)).unwrap_or_default();
    note.lines().any(|line| {
        let mut words = line.split(' ');
        words.next() == Some("manager")
            && words
                .next()
                .and_then(|pid| pid.parse().ok())
                .is_some_and(|pid| start_time(pid).as_deref() != words.next())
    })
}

/// What the owner's note says of the VM that holds the directory.
fn running(note: &str, cid: u32) -> Error {
    let value = |key: &str| {
        note.lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))
            .unwrap_or("(unknown)")
            .to_owned()
    };
    Error::Running {
        name: value("name"),
        cid,
        pid: value("client"),
    }
}

/// Ends the processes and removes the files that a killed manager left in `path`.
fn remove_leftovers(path: &Path) -> io::Result<()> {
    let mut entries: Vec<_> = fs::read_dir(path)?.collect::<Result<_, _>>()?;
    if entries.is_empty() {
        return Ok(());
    }
    log::warn!(
        "{}: removing what a manager that was killed left here",
        path.display()
    );
    let note = fs::read_to_string(path.join(OWNER)).unwrap_or_default();
    for line in note.lines() {
        let mut words = line.split_whitespace();
        if words.next() == Some("process")
            && let (Some(pid), Some(start)) = (words.next(), words.next())
            && let Ok(pid) = pid.parse()
        {
            end_orphan(pid, start)?;
        }
    }
    // The note goes last: it is what tells others that this is being removed.
    entries.sort_by_key(|entry| entry.file_name() == OWNER);
    for entry in entries {
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            rustix::fs::unlinkat(CWD, entry.path(), AtFlags::empty())?;
        }
    }
    Ok(())
}

/// Kills process `pid` if it is still the one that started at `start`.
fn end_orphan(pid: i32, start: &str) -> io::Result<()> {
    let Some(id) = Pid::from_raw(pid) else {
        return Ok(());
    };
    let Ok(pidfd) = rustix::process::pidfd_open(id, PidfdFlags::empty()) else {
        return Ok(());
    };
    if start_time(pid).as_deref() != Some(start) {
        return Ok(());
    }
    log::warn!("killing process {pid}, which a manager that was killed left running");
    match rustix::process::pidfd_send_signal(&pidfd, Signal::KILL) {
        Ok(()) | Err(Errno::SRCH) => {}
        Err(e) => return Err(e.into()),
    }
    let mut fds = [rustix::event::PollFd::new(
        &pidfd,
        rustix::event::PollFlags::IN,
    )];
    match rustix::event::poll(&mut fds, Some(&KILL)) {
        Ok(0) => Err(io::Error::other(format!(
            "process {pid} does not end after SIGKILL"
        ))),
        Ok(_) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// When process `pid` started: field 22 of `/proc/PID/stat`, counted after the name.
fn start_time(pid: i32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(19)
        .map(str::to_owned)
}

/// `text` without line breaks.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_cid_is_held_until_its_directory_goes() {
        let base = tempfile::tempdir().unwrap();
        let first = VmDirectory::claim(base.path(), 100, "first", 4711).unwrap();
        assert!(first.path().is_dir());
        let error = VmDirectory::claim(base.path(), 100, "second", 4712).unwrap_err();
        assert_eq!(
            error.to_string(),
            "VM 'first' (CID 100) is already running, started by pid 4711"
        );
        VmDirectory::claim(base.path(), 101, "other", 4712).unwrap();
        drop(first);
        assert!(!base.path().join("100").exists());
        VmDirectory::claim(base.path(), 100, "second", 4712).unwrap();
    }

    #[test]
    fn a_sweep_removes_what_no_one_holds() {
        let base = tempfile::tempdir().unwrap();
        let held = VmDirectory::claim(base.path(), 100, "held", 1).unwrap();
        for (name, note) in [
            ("101", "manager 1 0\n".to_owned()),
            ("102", owner_note("alive", 1)),
            ("other", "manager 1 0\n".to_owned()),
        ] {
            fs::create_dir(base.path().join(name)).unwrap();
            fs::write(base.path().join(name).join(OWNER), note).unwrap();
        }
        fs::create_dir(base.path().join("103")).unwrap();
        sweep(base.path());
        assert!(held.path().join(OWNER).exists());
        assert!(!base.path().join("101").exists());
        // Those of a living manager, just being made, and of someone else stay.
        for name in ["102", "103", "other"] {
            assert!(base.path().join(name).exists(), "{name}");
        }
    }

    #[test]
    fn a_claim_waits_for_a_manager_that_removes_leftovers() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("100");
        fs::create_dir(&path).unwrap();
        fs::write(path.join(OWNER), "manager 1 0\n").unwrap();
        let remover = File::open(&path).unwrap();
        flock(&remover, FlockOperation::LockExclusive).unwrap();
        std::thread::scope(|scope| {
            let claim = scope.spawn(|| VmDirectory::claim(base.path(), 100, "new", 1).map(drop));
            // It either waits for the lock already, or will find the directory gone.
            std::thread::yield_now();
            fs::remove_dir_all(&path).unwrap();
            drop(remover);
            claim.join().unwrap().unwrap();
        });
    }

    #[test]
    fn leftovers_of_a_killed_manager_are_ended_and_removed() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("100");
        fs::create_dir_all(path.join("sub")).unwrap();
        fs::write(path.join("sub/file"), "x").unwrap();
        let mut orphan = Command::new("sleep")
            .arg("1000")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut bystander = Command::new("sleep")
            .arg("1000")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let pid = i32::try_from(orphan.id()).unwrap();
        let other = i32::try_from(bystander.id()).unwrap();
        let note = format!(
            "process {pid} {}\nprocess {other} 1\n",
            start_time(pid).unwrap()
        );
        fs::write(path.join(OWNER), note).unwrap();
        let directory = VmDirectory::claim(base.path(), 100, "new", 1).unwrap();
        assert!(!directory.path().join("sub").exists());
        assert!(!orphan.wait().unwrap().success());
        assert!(
            bystander.try_wait().unwrap().is_none(),
            "a process with a reused number was killed"
        );
        bystander.kill().unwrap();
        bystander.wait().unwrap();
    }
}
