// SPDX-License-Identifier: Apache-2.0
//! What guests and VMMs write, read without blocking and in bounded space.

use rustix::io::Errno;
use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;
use vm_directory::LogFile;

/// Bytes read at once.
const CHUNK: usize = 4096;
/// How often is read before others have their turn: a guest that never stops writing must not keep
/// its VM's thread from hearing anything else.
const TURNS: usize = 64;
/// Bytes of a line; a longer one is logged in pieces.
const MAX_LINE: usize = 1024;
/// Lines that may be logged at once, and how many more each second: a guest must not be able to
/// fill the host's log.
const BURST: u32 = 2000;
const PER_SECOND: u32 = 200;

/// Reads what is there. `false` at the end of the stream.
pub(super) fn drain(fd: impl AsFd, mut take: impl FnMut(&[u8])) -> bool {
    let mut buffer = [0; CHUNK];
    for _ in 0..TURNS {
        match rustix::io::read(&fd, &mut buffer) {
            Ok(0) => return false,
            Ok(n) => {
                take(&buffer[..n]);
                if n < CHUNK {
                    return true;
                }
            }
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return true,
            Err(_) => return false,
        }
    }
    true
}

/// The character, or `?` for one that a terminal would obey.
fn printable(c: char) -> char {
    if c.is_control() && c != '\t' { '?' } else { c }
}

/// The last bytes of a stream.
#[derive(Debug)]
pub(super) struct Tail {
    bytes: VecDeque<u8>,
    limit: usize,
}

impl Tail {
    /// Keeps at most `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            bytes: VecDeque::new(),
            limit,
        }
    }

    /// Adds to the end, forgets from the start.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        let surplus = self.bytes.len().saturating_sub(self.limit);
        self.bytes.drain(..surplus);
    }

    /// The text, trimmed; never invalid, and without control characters but those between words and
    /// lines: a VMM may repeat what its guest says, and people read it on a terminal.
    pub(super) fn text(&mut self) -> String {
        String::from_utf8_lossy(self.bytes.make_contiguous())
            .trim()
            .chars()
            .map(|c| if c == '\n' { c } else { printable(c) })
            .collect()
    }
}

/// The first bytes of a stream.
#[derive(Debug, Default)]
pub(super) struct Head {
    bytes: Vec<u8>,
}

impl Head {
    /// Adds to the end while there is room.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let room = MAX_LINE - self.bytes.len();
        self.bytes.extend(&bytes[..bytes.len().min(room)]);
    }

    /// The text, trimmed; never invalid.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).trim().to_owned()
    }
}

/// A stream whose lines are logged, and whose end is kept in a file.
#[derive(Debug)]
pub(super) struct LineLog {
    fd: OwnedFd,
    name: String,
    /// Absent once it could not be written.
    file: Option<LogFile>,
    line: Vec<u8>,
    allowance: u32,
    refilled: Instant,
    dropped: u64,
}

impl LineLog {
    /// Logs the lines of `fd`, which must be non-blocking, as `name`, and keeps their end in `file`.
    pub(super) fn new(fd: OwnedFd, name: String, file: LogFile) -> Self {
        Self {
            fd,
            name,
            file: Some(file),
            line: Vec::new(),
            allowance: BURST,
            refilled: Instant::now(),
            dropped: 0,
        }
    }

    /// The stream.
    pub(super) fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// Logs what has arrived. `false` at the end of the stream.
    pub(super) fn pump(&mut self) -> bool {
        let Self {
            fd,
            name,
            file,
            line,
            allowance,
            refilled,
            dropped,
        } = self;
        let mut put = |line: &mut Vec<u8>| {
            if *allowance == 0 {
                let seconds = u32::try_from(refilled.elapsed().as_secs()).unwrap_or(u32::MAX);
                if seconds > 0 {
                    *allowance = seconds.saturating_mul(PER_SECOND).min(BURST);
                    *refilled = Instant::now();
                }
            }
            if *allowance == 0 {
                *dropped += 1;
            } else {
                *allowance -= 1;
                if *dropped > 0 {
                    log::warn!("{name}: {dropped} lines not logged, they came too fast");
                    *dropped = 0;
                }
                // A guest must not write control sequences to someone's terminal.
                let text = String::from_utf8_lossy(line);
                let text: String = text.trim_end().chars().map(printable).collect();
                // Only for those who ask for it: a guest may have much to say.
                log::debug!("{name}: {text}");
            }
            line.clear();
        };
        let open = drain(&*fd, |bytes| {
            if let Some(log) = file
                && let Err(e) = log.write(bytes)
            {
                log::warn!("{name}: its file is not written any more: {e}");
                *file = None;
            }
            for byte in bytes {
                if *byte == b'\n' || line.len() == MAX_LINE {
                    put(line);
                }
                if *byte != b'\n' {
                    line.push(*byte);
                }
            }
        });
        if !open && !line.is_empty() {
            put(line);
        }
        open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_and_a_head_are_bounded() {
        let mut tail = Tail::new(10);
        tail.push(b"0123456789");
        tail.push(b"abcde");
        assert_eq!(tail.text(), "56789abcde");
        tail.push(b"\x1b[2J a\n\tb");
        assert_eq!(tail.text(), "e?[2J a\n\tb");
        let mut head = Head::default();
        for _ in 0..100 {
            head.push(&[b'x'; 100]);
        }
        assert_eq!(head.text().len(), MAX_LINE);
    }
}
