// SPDX-License-Identifier: Apache-2.0
//! A reader for a guest's console or log: remembers its end, and when it said what.

use crate::error::Error;
use crate::reader::{Reader, TAIL_BYTES, Tail};
use rustix::pipe::{PipeFlags, pipe_with};
use std::fmt;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Reads a console on a thread of its own, until the VM is gone or this is dropped.
pub struct Console {
    seen: Arc<Mutex<Seen>>,
    reader: Reader,
}

struct Seen {
    tail: Tail,
    first: Option<Instant>,
    marks: Vec<(Vec<u8>, Option<Instant>)>,
    /// The end of what was searched, in which a mark may have begun.
    carry: Vec<u8>,
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console")
            .field("reader", &self.reader)
            .finish_non_exhaustive()
    }
}

impl Console {
    /// Makes a pipe and reads it. The returned write end is for
    /// [`Streams`](crate::Streams); the pipe ends when no one has it any more.
    ///
    /// The time at which each of `marks` first appears is noted. What is read is written to
    /// `copy` as it comes, until that fails.
    ///
    /// # Errors
    /// If the pipe or the thread cannot be made.
    pub fn new(
        marks: &[&str],
        mut copy: Option<Box<dyn Write + Send>>,
    ) -> Result<(Self, OwnedFd), Error> {
        let (read_end, write_end) = pipe_with(PipeFlags::CLOEXEC)
            .map_err(Error::system("cannot make a pipe for a console"))?;
        let seen = Arc::new(Mutex::new(Seen {
            tail: Tail::new(TAIL_BYTES),
            first: None,
            marks: marks
                .iter()
                .map(|mark| (mark.as_bytes().to_vec(), None))
                .collect(),
            carry: Vec::new(),
        }));
        let noted = Arc::clone(&seen);
        let reader = Reader::start("console", read_end, move |chunk| {
            lock(&noted).take(chunk);
            if let Some(to) = &mut copy
                && to.write_all(chunk).and_then(|()| to.flush()).is_err()
            {
                // The reader of the copy is gone; the guest must not notice.
                copy = None;
            }
        })?;
        Ok((Self { seen, reader }, write_end))
    }

    /// When the first byte came.
    #[must_use]
    pub fn first_output(&self) -> Option<Instant> {
        lock(&self.seen).first
    }

    /// When `mark`, one of those given to [`Console::new`], first appeared.
    #[must_use]
    pub fn seen(&self, mark: &str) -> Option<Instant> {
        lock(&self.seen)
            .marks
            .iter()
            .find(|(m, _)| m == mark.as_bytes())
            .and_then(|(_, at)| *at)
    }

    /// The end of the output: at most [`TAIL_BYTES`], with what is no UTF-8 replaced.
    #[must_use]
    pub fn tail(&self) -> String {
        lock(&self.seen).tail.text()
    }

    /// Reads what the pipe still holds, ends, and returns the [tail](Self::tail).
    #[must_use]
    pub fn finish(self) -> String {
        drop(self.reader);
        lock(&self.seen).tail.text()
    }
}

impl Seen {
    fn take(&mut self, chunk: &[u8]) {
        let now = Instant::now();
        self.first.get_or_insert(now);
        self.tail.push(chunk);
        let longest = self
            .marks
            .iter()
            .filter(|(_, at)| at.is_none())
            .map(|(m, _)| m.len())
            .max();
        if let Some(longest) = longest {
            self.carry.extend_from_slice(chunk);
            for (mark, at) in self.marks.iter_mut().filter(|(_, at)| at.is_none()) {
                if self
                    .carry
                    .windows(mark.len().max(1))
                    .any(|window| window == &mark[..])
                {
                    *at = Some(now);
                }
            }
            let surplus = self.carry.len().saturating_sub(longest.saturating_sub(1));
            self.carry.drain(..surplus);
        }
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_may_come_in_pieces() {
        let (console, pipe) = Console::new(&["init: started", "never"], None).unwrap();
        for piece in ["boot\nin", "it: sta", "rted (kernel up 1 s)\n"] {
            rustix::io::write(&pipe, piece.as_bytes()).unwrap();
        }
        drop(pipe);
        let seen = Arc::clone(&console.seen);
        assert_eq!(console.finish(), "boot\ninit: started (kernel up 1 s)\n");
        let seen = lock(&seen);
        assert!(seen.marks[0].1.is_some());
        assert!(seen.marks[1].1.is_none());
        assert!(seen.first <= seen.marks[0].1);
    }
}
