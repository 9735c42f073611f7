// SPDX-License-Identifier: Apache-2.0
//! Emptying a directory that belongs to a user.
//!
//! The user may have nested directories in it without end, and may go on changing them meanwhile. So
//! nothing here grows with their depth, neither the stack nor the number of descriptors: a directory
//! within is emptied by moving its directories up.

use rustix::fs::{AtFlags, Dir, Mode, OFlags, RenameFlags, openat, renameat_with, unlinkat};
use rustix::io::Errno;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// The most that is removed or moved; who makes more while it is removed does not keep us for ever.
const MOST: usize = 1 << 20;

/// Removes all that is in the directory `top`, on one file system and without following links.
///
/// # Errors
/// If something cannot be removed, or the limit is reached.
pub(super) fn empty(top: BorrowedFd<'_>) -> io::Result<()> {
    let mut work = Work {
        top,
        steps: 0,
        names: 0,
    };
    while work.pass()? {}
    Ok(())
}

struct Work<'a> {
    top: BorrowedFd<'a>,
    steps: usize,
    /// How many names have been tried for what was moved up.
    names: usize,
}

impl Work<'_> {
    /// Goes once over what is there; whether there was anything.
    fn pass(&mut self) -> io::Result<bool> {
        let mut any = false;
        let top = self.top;
        each(top, |name| {
            any = true;
            self.step()?;
            if remove(top, name)? {
                return Ok(());
            }
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
            let within = match openat(top, name, flags, Mode::empty()) {
                Ok(within) => within,
                Err(Errno::NOENT) => return Ok(()),
                Err(e) => return Err(e.into()),
            };
            each(within.as_fd(), |inner| {
                self.step()?;
                if !remove(within.as_fd(), inner)? {
                    self.move_up(within.as_fd(), inner)?;
                }
                Ok(())
            })?;
            match unlinkat(top, name, AtFlags::REMOVEDIR) {
                // Something was put there meanwhile: it is found in the next pass.
                Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY) => Ok(()),
                Err(e) => Err(e.into()),
            }
        })?;
        Ok(any)
    }

    fn step(&mut self) -> io::Result<()> {
        self.steps += 1;
        if self.steps > MOST {
            return Err(io::Error::other(format!(
                "there are more than {MOST} files in it, or a process keeps making them"
            )));
        }
        Ok(())
    }

    fn move_up(&mut self, from: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
        loop {
            self.step()?;
            self.names += 1;
            let up = format!(".removed-{}", self.names);
            match renameat_with(from, name, self.top, up, RenameFlags::NOREPLACE) {
                Err(Errno::EXIST) => {}
                Ok(()) | Err(Errno::NOENT) => return Ok(()),
                Err(e) => return Err(e.into()),
            }
        }
    }
}

/// Calls `body` for each name in `directory`; for none if it was removed meanwhile.
fn each(
    directory: BorrowedFd<'_>,
    mut body: impl FnMut(&CStr) -> io::Result<()>,
) -> io::Result<()> {
    let entries = match Dir::read_from(directory) {
        Ok(entries) => entries,
        Err(Errno::NOENT) => return Ok(()),
        Err(e) => return Err(e.into()),
    };
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(Errno::NOENT) => return Ok(()),
            Err(e) => return Err(e.into()),
        };
        if ![c".", c".."].contains(&entry.file_name()) {
            body(entry.file_name())?;
        }
    }
    Ok(())
}

/// Removes `name` in `directory`, unless it is a directory that is not empty; whether it is gone.
fn remove(directory: BorrowedFd<'_>, name: &CStr) -> io::Result<bool> {
    for flags in [AtFlags::empty(), AtFlags::REMOVEDIR] {
        match unlinkat(directory, name, flags) {
            Ok(()) | Err(Errno::NOENT) => return Ok(true),
            Err(Errno::ISDIR) => {}
            Err(Errno::NOTEMPTY) => return Ok(false),
            Err(e) => return Err(e.into()),
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::os::unix::fs::symlink;

    #[test]
    fn all_kinds_go_and_what_links_name_stays() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("file"), "x").unwrap();
        let root = tempfile::tempdir().unwrap();
        for directory in ["a/b/c", "a/d", "e", ".removed-1/x", "a/.removed-2/y"] {
            fs::create_dir_all(root.path().join(directory)).unwrap();
        }
        for place in ["file", "a/file", "a/b/c/file", ".removed-3"] {
            fs::write(root.path().join(place), "x").unwrap();
        }
        for place in ["link", "a/b/link"] {
            symlink(outside.path(), root.path().join(place)).unwrap();
        }
        empty(File::open(root.path()).unwrap().as_fd()).unwrap();
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
        assert!(outside.path().join("file").exists());
    }

    #[test]
    fn any_depth_goes_with_little_stack_and_few_descriptors() {
        // More levels than this thread has stack for calls, or the process descriptors.
        const DEPTH: usize = 20_000;
        let root = tempfile::tempdir().unwrap();
        let top = File::open(root.path()).unwrap();
        let mut at = top.try_clone().unwrap().into();
        for _ in 0..DEPTH {
            rustix::fs::mkdirat(&at, c"d", Mode::RWXU).unwrap();
            at = openat(
                &at,
                c"d",
                OFlags::DIRECTORY | OFlags::CLOEXEC,
                Mode::empty(),
            )
            .unwrap();
        }
        std::thread::Builder::new()
            .stack_size(256 << 10)
            .spawn(move || empty(top.as_fd()).unwrap())
            .unwrap()
            .join()
            .unwrap();
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }
}
