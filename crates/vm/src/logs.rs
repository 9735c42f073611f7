// SPDX-License-Identifier: Apache-2.0
//! `vm logs`: what a guest has written, as far as it is kept, and what it goes on to write.

use crate::cli::machines::LogsArgs;
use crate::harmless::Harmless;
use crate::machines::{self, Machine, select};
use crate::out::{self, Reader};
use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Read};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use vm_directory::Directory;

/// Prints the log or console of a VM.
pub(crate) fn logs(args: &LogsArgs) -> Result<ExitCode> {
    let machines = machines::all(&args.manager)?;
    let machine = select(&machines, &args.vm)?;
    machine.check_access()?;
    let name = if args.console {
        vm_directory::CONSOLE
    } else {
        vm_directory::LOG
    };
    let path = machine.directory.join(name);
    // Before the first byte is read, so that nothing is missed between.
    let watch = args.follow.then(|| Watch::new(machine)).transpose()?;
    let mut follower = Follower::new(path);
    let kept = follower.kept()?;
    let shown = match args.lines {
        Some(lines) => last_lines(&kept, lines),
        None => &kept,
    };
    let mut stdout = Shown::new();
    let reader = stdout.write(shown)?;
    match watch {
        Some(watch) if reader == Reader::Present => follow(&mut follower, &watch, &mut stdout)?,
        None if kept.is_empty() => hint(machine, args.console),
        _ => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn hint(machine: &Machine, console: bool) {
    if console {
        out::tell(&format!(
            "VM {} has written nothing to its console.",
            machine.title()
        ));
    } else {
        out::tell(&format!(
            "VM {} has written nothing to its log; its console: vm logs --console {}",
            machine.title(),
            machine.cid
        ));
    }
}

/// Standard output. A terminal gets harmless text, a file or a pipe the guest's own bytes.
struct Shown(Option<Harmless>);

impl Shown {
    fn new() -> Self {
        Self(io::stdout().is_terminal().then(Harmless::default))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<Reader> {
        match &mut self.0 {
            Some(harmless) => out::print_bytes(harmless.show(bytes).as_bytes()),
            None => out::print_bytes(bytes),
        }
    }
}

/// Prints what comes until the VM is gone, or nobody reads it any more.
fn follow(follower: &mut Follower, watch: &Watch, stdout: &mut Shown) -> Result<()> {
    loop {
        let change = watch.wait()?;
        if change == Change::Unread {
            return Ok(());
        }
        let reader = stdout.write(&follower.more()?)?;
        if reader == Reader::Gone || change == Change::Gone {
            return Ok(());
        }
    }
}

/// The end of `text` from its last `count` lines on.
fn last_lines(text: &[u8], count: usize) -> &[u8] {
    if count == 0 {
        return &[];
    }
    let body = text.strip_suffix(b"\n").unwrap_or(text);
    let breaks = body.iter().enumerate().rev().filter(|(_, b)| **b == b'\n');
    let start = breaks.map(|(at, _)| at + 1).nth(count - 1);
    &text[start.unwrap_or(0)..]
}

/// Reads a log file that is renamed and begun again when it is full.
struct Follower {
    path: PathBuf,
    file: Option<File>,
}

impl Follower {
    fn new(path: PathBuf) -> Self {
        Self { path, file: None }
    }

    /// All that is kept: the file before, and the present one up to here.
    fn kept(&mut self) -> Result<Vec<u8>> {
        // The present one first: if it becomes the old one now, it is read as what it was.
        self.file = open(&self.path)?;
        let mut bytes = Vec::new();
        if let Some(mut old) = open(&vm_directory::old(&self.path))? {
            let is_same = match &self.file {
                Some(file) => file.metadata()?.ino() == old.metadata()?.ino(),
                None => false,
            };
            if !is_same {
                read(&mut old, &mut bytes)?;
            }
        }
        bytes.extend(self.more()?);
        Ok(bytes)
    }

    /// What came since.
    fn more(&mut self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        if let Some(file) = &mut self.file {
            read(file, &mut bytes)?;
        }
        if let Some(next) = open(&self.path)? {
            let is_next = match &self.file {
                Some(file) => file.metadata()?.ino() != next.metadata()?.ino(),
                None => true,
            };
            if is_next {
                // What was added between the reading and the renaming; no more can come.
                if let Some(file) = &mut self.file {
                    read(file, &mut bytes)?;
                }
                read(self.file.insert(next), &mut bytes)?;
            }
        }
        Ok(bytes)
    }
}

fn open(path: &Path) -> Result<Option<File>> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(None);
    };
    let directory = Directory::open(directory);
    match directory.and_then(|directory| directory.file(&name.to_string_lossy())) {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).with_context(|| format!("cannot open {}", path.display())),
    }
}

fn read(file: &mut File, bytes: &mut Vec<u8>) -> Result<()> {
    // A manager begins a new file at this length; no manager wrote a longer one.
    file.take(2 * vm_directory::FULL)
        .read_to_end(bytes)
        .context("cannot read the log")?;
    Ok(())
}

/// What a wait ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    /// Something may have been written.
    Written,
    /// The VM is gone.
    Gone,
    /// Nobody reads standard output any more.
    Unread,
}

/// Tells that a VM's directory has changed, and when the VM is gone.
struct Watch {
    inotify: OwnedFd,
    /// The directory above: the end of one that someone holds open shows there only.
    base: i32,
    name: Vec<u8>,
    manager: Option<OwnedFd>,
}

impl Watch {
    fn new(machine: &Machine) -> Result<Self> {
        let directory = &machine.directory;
        let failed = || format!("cannot watch {}", directory.display());
        let inotify =
            inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).with_context(failed)?;
        let inside = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO;
        inotify::add_watch(&inotify, directory, inside).with_context(failed)?;
        let above = directory.parent().unwrap_or(Path::new("/"));
        let base = inotify::add_watch(&inotify, above, WatchFlags::DELETE).with_context(failed)?;
        // A manager that is killed leaves the directory.
        let manager = machine.note.as_ref().and_then(|note| note.manager);
        let manager = manager.and_then(|manager| {
            let pidfd = pidfd_open(Pid::from_raw(manager.pid)?, PidfdFlags::empty()).ok()?;
            manager.is_alive().then_some(pidfd)
        });
        Ok(Self {
            inotify,
            base,
            name: directory
                .file_name()
                .map(|name| name.as_bytes().to_owned())
                .unwrap_or_default(),
            manager,
        })
    }

    /// Waits for a change.
    fn wait(&self) -> Result<Change> {
        let Some(manager) = &self.manager else {
            return Ok(Change::Gone);
        };
        let stdout = out::stdout();
        let mut fds = [
            PollFd::new(&self.inotify, PollFlags::IN),
            PollFd::new(manager, PollFlags::IN),
            // No events are asked for: what comes is that the reader has gone.
            PollFd::new(&stdout, PollFlags::empty()),
        ];
        match poll(&mut fds, None) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(Change::Written),
            Err(e) => return Err(e).context("cannot wait for the VM"),
        }
        if fds[2].revents().intersects(PollFlags::ERR | PollFlags::HUP) {
            return Ok(Change::Unread);
        }
        if !fds[1].revents().is_empty() {
            return Ok(Change::Gone);
        }
        let mut space = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(&self.inotify, &mut space);
        loop {
            match events.next() {
                Ok(event)
                    if event.wd() == self.base
                        && event.events().contains(ReadFlags::DELETE)
                        && event
                            .file_name()
                            .is_some_and(|name| name.to_bytes() == self.name) =>
                {
                    return Ok(Change::Gone);
                }
                Ok(_) => {}
                Err(Errno::AGAIN) => return Ok(Change::Written),
                Err(Errno::INTR) => {}
                Err(e) => return Err(e).context("cannot read what has changed"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vm_directory::{FULL, LogFile};

    #[test]
    fn the_last_lines() {
        assert_eq!(last_lines(b"a\nb\nc\n", 2), b"b\nc\n");
        assert_eq!(last_lines(b"a\nb\nc", 1), b"c");
        assert_eq!(last_lines(b"a\n", 5), b"a\n");
        assert_eq!(last_lines(b"a\n", 0), b"");
        assert_eq!(last_lines(b"", 1), b"");
    }

    #[test]
    fn a_file_that_is_begun_anew_is_followed_without_a_gap() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut log = LogFile::new(path.clone());
        let line = |n: u32| format!("line {n:05}\n").into_bytes();
        let mut follower = Follower::new(path.clone());
        assert!(follower.kept().unwrap().is_empty());
        let mut all = Vec::new();
        // More than twice what one file holds, with a look in between each 1000 lines.
        let count = u32::try_from(3 * FULL / 11).unwrap();
        for n in 0..count {
            log.write(&line(n)).unwrap();
            if n % 1000 == 0 {
                all.extend(follower.more().unwrap());
            }
        }
        all.extend(follower.more().unwrap());
        let expected: Vec<u8> = (0..count).flat_map(line).collect();
        assert_eq!(all.len(), expected.len());
        assert!(all == expected);
        // A reader that comes now gets both files.
        let kept = Follower::new(path).kept().unwrap();
        assert!(expected.ends_with(&kept) && kept.len() as u64 >= FULL);
    }
}
