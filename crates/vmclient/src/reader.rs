// SPDX-License-Identifier: Apache-2.0
//! A thread that reads a pipe until its end, or until it is stopped.

use crate::error::Error;
use crate::options::LogHandler;
use crate::thread;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use stoppable::{Signal, StoppableThread};

/// The end of the standard error text of a manager and of a console's output that is kept.
pub const TAIL_BYTES: usize = 16 * 1024;

/// The reading thread. Dropping it reads what the pipe holds at that moment and joins the thread,
/// even if someone still has the pipe's other end.
#[derive(Debug)]
pub(crate) struct Reader {
    _thread: StoppableThread,
}

impl Reader {
    /// Gives what arrives on `pipe` to `take`, on a thread called `name`.
    pub(crate) fn start(
        name: &str,
        pipe: OwnedFd,
        take: impl FnMut(&[u8]) + Send + 'static,
    ) -> Result<Self, Error> {
        let thread = StoppableThread::start_with(
            |run| thread::start(name, run),
            move |stop| read(&pipe, stop, take),
        )
        .map_err(Error::system("cannot start a reader thread"))?;
        Ok(Self { _thread: thread })
    }
}

fn read(pipe: &OwnedFd, stop: &Signal, mut take: impl FnMut(&[u8])) {
    let mut chunk = [0u8; 4096];
    let mut stopping = false;
    loop {
        let mut fds = [
            PollFd::new(pipe, PollFlags::IN),
            PollFd::new(stop, PollFlags::IN),
        ];
        // Once stopping, take only what is there.
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        match poll(&mut fds, stopping.then_some(&now)) {
            Err(Errno::INTR) => continue,
            Err(_) => return,
            Ok(_) => {}
        }
        let (readable, stopped) = (!fds[0].revents().is_empty(), !fds[1].revents().is_empty());
        if readable {
            match rustix::io::read(pipe, &mut chunk) {
                Ok(0) => return,
                Ok(n) => take(&chunk[..n]),
                Err(Errno::INTR) => {}
                Err(_) => return,
            }
        } else if stopping {
            return;
        }
        stopping |= stopped;
    }
}

/// The last bytes of a stream.
#[derive(Debug)]
pub(crate) struct Tail {
    bytes: VecDeque<u8>,
    most: usize,
    cut: bool,
}

impl Tail {
    /// Keeps at most `most` bytes.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            bytes: VecDeque::new(),
            most,
            cut: false,
        }
    }

    pub(crate) fn push(&mut self, chunk: &[u8]) {
        self.bytes.extend(chunk);
        let surplus = self.bytes.len().saturating_sub(self.most);
        self.cut |= surplus > 0;
        self.bytes.drain(..surplus);
    }

    /// The kept text, from the start of a line.
    pub(crate) fn text(&self) -> String {
        let bytes: Vec<u8> = self.bytes.iter().copied().collect();
        let from = if self.cut {
            bytes
                .iter()
                .position(|b| *b == b'\n')
                .map_or(0, |at| at + 1)
        } else {
            0
        };
        String::from_utf8_lossy(&bytes[from..]).into_owned()
    }
}

/// Gives a stream on line by line.
pub(crate) struct Lines {
    line: Vec<u8>,
    handler: LogHandler,
}

/// A line is given on in pieces of this many bytes.
const LONGEST_LINE: usize = 16 * 1024;

impl Lines {
    pub(crate) fn new(handler: LogHandler) -> Self {
        Self {
            line: Vec::new(),
            handler,
        }
    }

    pub(crate) fn push(&mut self, chunk: &[u8]) {
        for byte in chunk {
            if *byte != b'\n' {
                self.line.push(*byte);
            }
            if *byte == b'\n' || self.line.len() == LONGEST_LINE {
                self.flush();
            }
        }
    }

    fn flush(&mut self) {
        (self.handler.0)(&String::from_utf8_lossy(&self.line));
        self.line.clear();
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        // What the stream ended with, without a line break.
        if !self.line.is_empty() {
            self.flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn lines_come_whole_and_the_last_may_be_unfinished() {
        let (tx, rx) = std::sync::mpsc::channel();
        let handler = move |line: &str| tx.send(line.to_owned()).unwrap();
        let mut lines = Lines::new(LogHandler(Arc::new(handler)));
        for piece in ["a", "b\n\nc\u{e9}", "d"] {
            lines.push(piece.as_bytes());
        }
        lines.push(&vec![b'x'; LONGEST_LINE]);
        drop(lines);
        let got: Vec<String> = rx.iter().collect();
        assert_eq!(got[..2], ["ab", ""]);
        assert_eq!(got[2].len(), LONGEST_LINE);
        assert_eq!(got[3], "xxxx");
    }

    #[test]
    fn a_tail_is_bounded_and_starts_at_a_line() {
        let mut tail = Tail::new(8);
        tail.push(b"first\n");
        assert_eq!(tail.text(), "first\n");
        tail.push(b"second\nx");
        assert_eq!(tail.text(), "x");
        tail.push(b"0123456789");
        assert_eq!(tail.text(), "23456789");
    }

    #[test]
    fn dropping_a_reader_does_not_need_the_end_of_the_pipe() {
        let (read_end, write_end) =
            rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let (tx, rx) = std::sync::mpsc::channel();
        let reader = Reader::start("test-reader", read_end, move |c| {
            tx.send(c.to_vec()).unwrap();
        })
        .unwrap();
        rustix::io::write(&write_end, b"words").unwrap();
        drop(reader);
        assert_eq!(rx.iter().flatten().collect::<Vec<u8>>(), b"words");
        drop(write_end);
    }
}
