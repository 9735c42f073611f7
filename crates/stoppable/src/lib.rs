// SPDX-License-Identifier: Apache-2.0
//! Threads that wait in `poll(2)` and that their owner can stop.
//!
//! * [`Signal`] is a descriptor that becomes readable when it is raised.
//! * [`StoppableThread`] is a thread with such a signal; dropping it stops and joins the thread.
#![forbid(unsafe_code)]

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

/// Compiles the example in the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadMe;

/// A descriptor that is readable from the moment it is raised until it is cleared. Clones share it.
#[derive(Debug, Clone)]
pub struct Signal(Arc<OwnedFd>);

impl Signal {
    /// Makes a signal that is not raised.
    ///
    /// # Errors
    /// If the process or the system has no descriptor to spare.
    pub fn new() -> io::Result<Self> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self(Arc::new(fd)))
    }

    /// Wakes every thread that polls the signal.
    pub fn raise(&self) {
        // It fails only if the counter is full, and then the descriptor is readable already.
        let _ = rustix::io::write(&*self.0, &1_u64.to_ne_bytes());
    }

    /// Makes the signal unreadable until it is raised again.
    pub fn clear(&self) {
        // It fails only if the signal was not raised.
        let _ = rustix::io::read(&*self.0, &mut [0; 8]);
    }

    /// Whether `other` is a clone of this signal.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Blocks until `fd` is readable or closed by its peer (true), or the signal is raised (false).
    ///
    /// # Errors
    /// If `poll` fails, as it does without memory.
    pub fn or_readable(&self, fd: impl AsFd) -> io::Result<bool> {
        loop {
            let mut fds = [
                PollFd::new(self, PollFlags::IN),
                PollFd::new(&fd, PollFlags::IN),
            ];
            match poll(&mut fds, None) {
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
                Ok(_) => return Ok(fds[0].revents().is_empty()),
            }
        }
    }
}

impl AsFd for Signal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A thread that ends when its owner says so. Dropping this stops and joins it.
#[derive(Debug)]
pub struct StoppableThread<T = ()> {
    stop: Signal,
    thread: Option<JoinHandle<T>>,
}

impl<T: Send + 'static> StoppableThread<T> {
    /// Starts `run` on a thread called `name`. It must return soon after its signal is raised.
    ///
    /// # Errors
    /// If the signal or the thread cannot be made.
    pub fn start(name: &str, run: impl FnOnce(&Signal) -> T + Send + 'static) -> io::Result<Self> {
        Self::start_with(|run| Builder::new().name(name.to_owned()).spawn(run), run)
    }

    /// Starts `run` on a thread that `spawn` makes, for callers whose threads need more than a name.
    ///
    /// # Errors
    /// If the signal cannot be made, or `spawn` fails.
    pub fn start_with(
        spawn: impl FnOnce(Box<dyn FnOnce() -> T + Send>) -> io::Result<JoinHandle<T>>,
        run: impl FnOnce(&Signal) -> T + Send + 'static,
    ) -> io::Result<Self> {
        let stop = Signal::new()?;
        let seen = stop.clone();
        let thread = spawn(Box::new(move || run(&seen)))?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl<T> StoppableThread<T> {
    /// Stops the thread, waits for it, and returns its result. `None` if it panicked, or if this is
    /// called on the thread itself.
    #[must_use]
    pub fn finish(mut self) -> Option<T> {
        self.stop_and_join()
    }

    fn stop_and_join(&mut self) -> Option<T> {
        self.stop.raise();
        let thread = self.thread.take()?;
        if thread.thread().id() == std::thread::current().id() {
            return None;
        }
        // The panic hook has reported a panic there.
        thread.join().ok()
    }
}

impl<T> Drop for StoppableThread<T> {
    fn drop(&mut self) {
        self.stop_and_join();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn a_drop_stops_and_joins_the_thread() {
        let (done, is_done) = channel();
        let thread = StoppableThread::start("test-stop", move |stop| {
            let (never, _writer) = rustix::pipe::pipe().unwrap();
            assert!(!stop.or_readable(&never).unwrap());
            done.send(()).unwrap();
        })
        .unwrap();
        drop(thread);
        is_done.try_recv().unwrap();
    }

    #[test]
    fn finish_returns_the_result() {
        let thread = StoppableThread::start("test-result", |_| 7).unwrap();
        assert_eq!(thread.finish(), Some(7));
    }

    #[test]
    fn a_thread_may_drop_its_own_handle() {
        let (hand, handed) = channel::<StoppableThread>();
        let (done, is_done) = channel();
        let thread = StoppableThread::start("test-own", move |_| {
            drop(handed.recv().unwrap());
            done.send(()).unwrap();
        })
        .unwrap();
        hand.send(thread).unwrap();
        is_done.recv().unwrap();
    }

    #[test]
    fn readable_descriptors_and_raised_signals_are_told_apart() {
        let signal = Signal::new().unwrap();
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        rustix::io::write(&writer, b"x").unwrap();
        assert!(signal.or_readable(&reader).unwrap());
        signal.raise();
        assert!(!signal.or_readable(&reader).unwrap());
        signal.clear();
        assert!(signal.or_readable(&reader).unwrap());
        signal.clear();
    }
}
