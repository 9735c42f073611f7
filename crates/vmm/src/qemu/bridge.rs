// SPDX-License-Identifier: Apache-2.0
//! Input for a console whose output goes to a file, pipe or terminal.
//!
//! QEMU before 8.0 has no character device that reads from one descriptor and writes to another. So
//! such a console is a socket to QEMU, and a thread copies between that and the two.

use crate::Error;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use std::os::fd::{AsFd, OwnedFd};
use stoppable::{Signal, StoppableThread};

/// Bytes that are under way in each direction: what a pipe with room takes at once.
const CHUNK: usize = 4096;
/// No time at all.
const NOW: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

/// The copying thread. Dropping it hands on what QEMU has written, as far as that is taken at
/// once, and joins the thread.
#[derive(Debug)]
pub(super) struct Bridge {
    _thread: StoppableThread,
}

impl Bridge {
    /// Starts copying, and returns QEMU's end of the socket.
    ///
    /// # Errors
    /// If the socket or the thread cannot be made.
    pub(super) fn start(id: &str, out: OwnedFd, input: OwnedFd) -> Result<(Self, OwnedFd), Error> {
        let io = |e: Errno| Error::io(format!("{id}: cannot make a socket for its input"), e);
        let (ours, theirs) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )
        .map_err(io)?;
        // Only ours: the flag is the open socket's, and each end is one.
        rustix::io::ioctl_fionbio(&ours, true).map_err(io)?;
        let mut copying = Copying {
            to_guest: Way::new(Some(input)),
            from_guest: Way::new(None),
            socket: Some(ours),
            out,
        };
        let thread = StoppableThread::start(id, move |stop| copying.run(stop))
            .map_err(|e| Error::io(format!("{id}: cannot start a thread for its input"), e))?;
        Ok((Self { _thread: thread }, theirs))
    }
}

/// One direction: bytes that were read and not written yet.
struct Way {
    /// Where they come from, if that is not the socket.
    source: Option<OwnedFd>,
    pending: Vec<u8>,
}

impl Way {
    fn new(source: Option<OwnedFd>) -> Self {
        Self {
            source,
            pending: Vec::new(),
        }
    }

    fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Reads from `fd`; false at its end.
    fn fill(&mut self, fd: impl AsFd) -> bool {
        let mut chunk = [0; CHUNK];
        match rustix::io::read(fd, &mut chunk) {
            Ok(0) => false,
            Ok(count) => {
                self.pending.extend_from_slice(&chunk[..count]);
                true
            }
            Err(Errno::INTR | Errno::AGAIN) => true,
            Err(_) => false,
        }
    }

    /// Writes to `fd`; false if that takes no more for ever.
    fn flush(&mut self, fd: impl AsFd) -> bool {
        match rustix::io::write(fd, &self.pending) {
            Ok(count) => {
                self.pending.drain(..count);
                true
            }
            Err(Errno::INTR | Errno::AGAIN) => true,
            Err(_) => {
                self.pending.clear();
                false
            }
        }
    }
}

struct Copying {
    to_guest: Way,
    from_guest: Way,
    /// None when QEMU is gone.
    socket: Option<OwnedFd>,
    out: OwnedFd,
}

impl Copying {
    fn run(&mut self, stop: &Signal) {
        let mut is_stopping = false;
        loop {
            // What QEMU wrote last is handed on even if QEMU is gone.
            if self.socket.is_none() && self.from_guest.is_empty() {
                return;
            }
            let mut socket_flags = PollFlags::empty();
            if self.from_guest.is_empty() {
                socket_flags |= PollFlags::IN;
            }
            if !self.to_guest.is_empty() {
                socket_flags |= PollFlags::OUT;
            }
            let mut fds = vec![PollFd::new(stop, PollFlags::IN)];
            let mut at = [None; 3];
            let places = [
                // With nothing to ask for, only its end would be told, over and over.
                (self.socket.as_ref(), socket_flags),
                (
                    self.to_guest
                        .source
                        .as_ref()
                        .filter(|_| self.to_guest.is_empty() && !is_stopping),
                    PollFlags::IN,
                ),
                (
                    Some(&self.out).filter(|_| !self.from_guest.is_empty()),
                    PollFlags::OUT,
                ),
            ];
            for (place, (fd, flags)) in at.iter_mut().zip(places) {
                if let Some(fd) = fd
                    && !flags.is_empty()
                {
                    *place = Some(fds.len());
                    fds.push(PollFd::new(fd, flags));
                }
            }
            match poll(&mut fds, is_stopping.then_some(&NOW)) {
                Err(Errno::INTR) => continue,
                Err(_) => return,
                Ok(0) => return,
                Ok(_) => {}
            }
            let events = |place: Option<usize>| {
                place.map_or(PollFlags::empty(), |place| fds[place].revents())
            };
            let [socket, source, out] = at.map(events);
            let ends = PollFlags::HUP | PollFlags::ERR;
            let stopped = !fds[0].revents().is_empty();
            if is_stopping && (socket | out).is_empty() {
                return;
            }
            is_stopping |= stopped;
            if !source.is_empty()
                && let Some(input) = self.to_guest.source.take()
                && self.to_guest.fill(&input)
            {
                self.to_guest.source = Some(input);
            }
            if socket.intersects(PollFlags::OUT)
                && let Some(qemu) = &self.socket
                && !self.to_guest.flush(qemu)
            {
                self.to_guest.source = None;
            }
            if socket.intersects(PollFlags::IN | ends)
                && self.from_guest.is_empty()
                && let Some(qemu) = self.socket.take()
                && self.from_guest.fill(&qemu)
            {
                self.socket = Some(qemu);
            }
            if !out.is_empty() {
                // A reader that is gone must not keep the guest waiting.
                let _ = self.from_guest.flush(&self.out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::{PipeFlags, pipe_with};
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    fn pipe() -> (File, File) {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        (read.into(), write.into())
    }

    #[test]
    fn both_ways_and_the_end() {
        let (mut seen, out) = pipe();
        let (input, mut keys) = pipe();
        let (bridge, qemu) = Bridge::start("hvc0", out.into(), input.into()).unwrap();
        let mut qemu = UnixStream::from(qemu);
        keys.write_all(b"typed").unwrap();
        let mut typed = [0; 5];
        qemu.read_exact(&mut typed).unwrap();
        assert_eq!(&typed, b"typed");
        // The end of the input is not that of the output.
        drop(keys);
        // More than the pipe and the socket hold: it comes as it is read.
        let sent: Vec<u8> = (0..1_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let copy = sent.clone();
        let writer = std::thread::spawn(move || qemu.write_all(&copy));
        let mut got = Vec::new();
        seen.read_to_end(&mut got).unwrap();
        writer.join().unwrap().unwrap();
        assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
        drop(bridge);
    }

    #[test]
    fn a_drop_hands_on_what_was_written() {
        let (mut seen, out) = pipe();
        let (input, _keys) = pipe();
        let (bridge, qemu) = Bridge::start("hvc0", out.into(), input.into()).unwrap();
        let mut qemu = UnixStream::from(qemu);
        qemu.write_all(&[7; 20_000]).unwrap();
        drop(bridge);
        let mut got = Vec::new();
        seen.read_to_end(&mut got).unwrap();
        assert_eq!(got, [7; 20_000]);
    }

    #[test]
    fn a_reader_that_is_gone_does_not_stop_the_guest() {
        let (seen, out) = pipe();
        let (input, _keys) = pipe();
        let (_bridge, qemu) = Bridge::start("hvc0", out.into(), input.into()).unwrap();
        drop(seen);
        let mut qemu = UnixStream::from(qemu);
        qemu.set_write_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        qemu.write_all(&[7; 1_000_000])
            .expect("the guest's output is not taken any more");
    }
}
