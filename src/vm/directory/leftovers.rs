// SPDX-License-Identifier: Apache-2.0
//! Ending and removing what a manager that was killed left.

use super::read_note;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal};
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};
use vm_directory::{Directory, OWNER, Process};

/// How long a killed process may take to be gone.
const KILL: Duration = Duration::from_secs(10);
/// How long processes that the kernel has told of their manager's end may take to end themselves.
const GRACE: Duration = Duration::from_secs(5);

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
            && let Ok(directory) = Directory::open(&path)
            && is_abandoned(&File::from(OwnedFd::from(directory)), &path)
            && let Err(e) = sweep_one(&path)
        {
            log::warn!(
                "cannot remove {}, which a killed manager left: {e}",
                path.display()
            );
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
        remove_leftovers(&lock, path)?;
        // A process that has opened it in the meantime finds that it is gone, and makes a new one.
        fs::remove_dir(path)?;
    }
    Ok(())
}

/// Whether the manager of the VM whose directory is opened is gone. Without a note it is not.
pub(super) fn is_abandoned(opened: &File, path: &Path) -> bool {
    read_note(opened, path).is_ok_and(|note| note.has_live_manager() == Some(false))
}

/// Ends the processes and removes the files that a killed manager left in the directory `path`.
pub(super) fn remove_leftovers(opened: &File, path: &Path) -> io::Result<()> {
    if fs::read_dir(path)?.next().is_none() {
        return Ok(());
    }
    log::warn!("removing what a killed manager left in {}", path.display());
    end_orphans(read_note(opened, path).unwrap_or_default().all_processes())?;
    remove_content(path)
}

/// Removes everything in `path`.
pub(super) fn remove_content(path: &Path) -> io::Result<()> {
    let mut entries: Vec<_> = fs::read_dir(path)?.collect::<Result<_, _>>()?;
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

/// The processes that are still those of the note.
fn orphans(processes: Vec<Process>) -> Vec<(Process, Pid, OwnedFd)> {
    let find = |process: Process| {
        let id = Pid::from_raw(process.pid)?;
        let pidfd = rustix::process::pidfd_open(id, PidfdFlags::empty()).ok()?;
        // Without its time of start it could be any other process.
        let is_noted = process.start != 0 && Process::of_pid(process.pid) == Some(process);
        is_noted.then_some((process, id, pidfd))
    };
    processes.into_iter().filter_map(find).collect()
}

/// Waits until the processes of the note have ended, and kills those that do not end. The kernel has
/// told them of their manager's end; a script's supervisor has to kill its VMM first, and must not
/// be killed before it has.
fn end_orphans(processes: Vec<Process>) -> io::Result<()> {
    let end = Instant::now() + GRACE;
    let mut left = Vec::new();
    for orphan in orphans(processes) {
        if !has_ended(&orphan.2, end.saturating_duration_since(Instant::now()))? {
            left.push(orphan);
        }
    }
    for (process, id, pidfd) in &left {
        let pid = process.pid;
        log::warn!("killing process {pid}, which a killed manager left running");
        // What a script has started is in its process group, which the supervisor leads.
        if rustix::process::getpgid(Some(*id)) == Ok(*id) && Process::of_pid(pid) == Some(*process)
        {
            // It fails only if nothing is left to kill.
            let _ = rustix::process::kill_process_group(*id, Signal::KILL);
        }
        match rustix::process::pidfd_send_signal(pidfd, Signal::KILL) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(e) => return Err(e.into()),
        }
        if !has_ended(pidfd, KILL)? {
            return Err(io::Error::other(format!(
                "process {pid} does not end after SIGKILL"
            )));
        }
    }
    Ok(())
}

/// Waits until the process of `pidfd` has ended, at most for `limit`.
fn has_ended(pidfd: &OwnedFd, limit: Duration) -> io::Result<bool> {
    let end = Instant::now() + limit;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&timeout)) {
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
            Ok(count) => return Ok(count > 0),
        }
    }
}
