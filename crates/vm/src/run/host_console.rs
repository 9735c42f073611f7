// SPDX-License-Identifier: Apache-2.0
//! The host's side of a guest's console: a pseudo-terminal to which others attach.

use crate::pipes::put;
use anyhow::{Context, Result};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, QueueSelector, tcflush, tcgetattr, tcsetattr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A pseudo-terminal whose master is the guest, so to speak.
#[derive(Debug)]
pub(super) struct HostConsole {
    master: OwnedFd,
    /// Held so that there is no hang-up, which could not be waited out, while no one is attached.
    slave: OwnedFd,
    path: String,
}

impl HostConsole {
    /// A new one, in raw mode: the guest itself echoes and edits.
    pub(super) fn new() -> Result<Self> {
        let what = "make a pseudo-terminal for the console";
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).context(what)?;
        grantpt(&master).context(what)?;
        unlockpt(&master).context(what)?;
        let path = ptsname(&master, Vec::new()).context(what)?;
        let slave = ioctl_tiocgptpeer(&master, flags).context(what)?;
        let mut modes = tcgetattr(&slave).context(what)?;
        modes.make_raw();
        tcsetattr(&slave, OptionalActions::Now, &modes).context(what)?;
        let flags = rustix::fs::fcntl_getfl(&master).context(what)?;
        rustix::fs::fcntl_setfl(&master, flags | OFlags::NONBLOCK).context(what)?;
        Ok(Self {
            master,
            slave,
            path: path.into_string().context(what)?,
        })
    }

    /// Where others attach.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Readable when someone has typed.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }

    /// Shows what the guest wrote. If no one reads, the oldest of it is lost, so that who attaches
    /// sees what was last.
    pub(super) fn show(&self, bytes: &[u8]) {
        let rest = match put(&self.master, bytes) {
            Ok(rest) => rest,
            Err(_) => return,
        };
        if rest.is_empty() {
            return;
        }
        // What is in the slave's queue, and what is on the way there. Should it fail, the new is
        // lost and not the old.
        let _ = tcflush(&self.slave, QueueSelector::IFlush);
        let _ = tcflush(&self.master, QueueSelector::OFlush);
        let _ = put(&self.master, rest);
    }

    /// What someone has typed.
    pub(super) fn typed<'a>(&self, buffer: &'a mut [u8]) -> Result<&'a [u8], Errno> {
        match rustix::io::read(&self.master, &mut *buffer) {
            Ok(count) => Ok(&buffer[..count]),
            Err(Errno::AGAIN | Errno::INTR) => Ok(&[]),
            Err(e) => Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, poll};
    use std::fs::OpenOptions;
    use std::io::{Read, Write};
    use std::os::unix::fs::OpenOptionsExt;

    fn wait(fd: impl AsFd) {
        poll(&mut [PollFd::new(&fd, PollFlags::IN)], None).unwrap();
    }

    #[test]
    fn bytes_pass_as_they_are_and_no_reader_is_needed() {
        let console = HostConsole::new().unwrap();
        // Without a reader nothing blocks, and what is last is kept.
        let line = [b'x'; 1000];
        for _ in 0..1000 {
            console.show(&line);
        }
        console.show(b"\nlast \x03\x04\x1b[1m\n");
        let mut other = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(OFlags::NOCTTY.bits().cast_signed())
            .open(console.path())
            .unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"\nlast \x03\x04\x1b[1m\n") {
            let mut chunk = [0; 4096];
            let count = other.read(&mut chunk).unwrap();
            seen.extend_from_slice(&chunk[..count]);
        }
        assert!(seen.len() < 1_000_000, "{}", seen.len());
        // The other way, without echo and without line editing.
        other.write_all(b"a\x03\r").unwrap();
        wait(console.fd());
        let mut buffer = [0; 16];
        assert_eq!(console.typed(&mut buffer).unwrap(), b"a\x03\r");
        drop(other);
        // No hang-up when the last has left.
        assert_eq!(console.typed(&mut buffer).unwrap(), b"");
    }
}
