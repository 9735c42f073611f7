// SPDX-License-Identifier: Apache-2.0
//! A blocking accept loop that its owner can end, and that pauses when descriptors run out.

use crate::Error;
use crate::log_limit::LogLimit;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::io;
use std::os::fd::AsFd;
use stoppable::{Signal, StoppableThread};

/// How long a listener is left alone when there is no descriptor for its next connection.
const PAUSE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};

/// A named thread that accepts connections until it is dropped.
#[derive(Debug)]
pub struct AcceptLoop {
    _thread: StoppableThread,
}

impl AcceptLoop {
    /// Calls `accept` each time that `listener` has a connection, on a thread called `name`.
    ///
    /// `accept` returns the error of `accept(2)` only. The loop logs it, at a limited rate and after
    /// the text `what`, and goes on. Without descriptors or memory to spare the connection stays in
    /// the queue and the listener readable, so the loop pauses instead of spinning.
    ///
    /// # Errors
    /// If the thread or its stop signal cannot be made.
    pub fn start<L, F>(
        name: &str,
        what: impl Into<String>,
        listener: L,
        mut accept: F,
    ) -> Result<Self, Error>
    where
        L: AsFd + Send + 'static,
        F: FnMut(&L) -> io::Result<()> + Send + 'static,
    {
        let what = what.into();
        let thread = StoppableThread::start(name, move |stop| {
            let failures = LogLimit::default();
            loop {
                match stop.or_readable(&listener) {
                    Ok(true) => {}
                    Ok(false) => return,
                    Err(e) => {
                        log::error!("{what}: cannot wait for connections: {e}");
                        return;
                    }
                }
                match accept(&listener) {
                    Ok(()) => {}
                    Err(e) if is_final(&e) => {
                        log::error!("{what}: cannot accept connections any more: {e}");
                        return;
                    }
                    Err(e) => {
                        failures.warn(format_args!("{what}: cannot accept a connection: {e}"));
                        if is_shortage(&e) {
                            pause(stop);
                        }
                    }
                }
            }
        })
        .map_err(|e| Error::io(format!("cannot start the thread {name}"), e))?;
        Ok(Self { _thread: thread })
    }
}

/// Whether the process or the system lacks what a connection takes.
fn is_shortage(e: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(e),
        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS)
    )
}

/// Whether the listener is not one, so that it will never accept anything.
fn is_final(e: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(e),
        Some(Errno::BADF | Errno::INVAL | Errno::NOTSOCK | Errno::OPNOTSUPP)
    )
}

/// Waits for [`PAUSE`], or until the loop is stopped.
fn pause(stop: &Signal) {
    // An interrupted pause is short, which does no harm.
    let _ = poll(&mut [PollFd::new(stop, PollFlags::IN)], Some(&PAUSE));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, mpsc};
    use std::time::{Duration, Instant};

    fn listener() -> (tempfile::TempDir, UnixListener, UnixStream) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let waiting = UnixStream::connect(&path).unwrap();
        (directory, listener, waiting)
    }

    #[test]
    fn a_listener_without_descriptors_is_left_alone_for_a_while() {
        let (_directory, listener, _waiting) = listener();
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let (third, is_third) = mpsc::channel();
        let started = Instant::now();
        let _accept = AcceptLoop::start("test-accept", "test", listener, move |_| {
            if counted.fetch_add(1, Ordering::Relaxed) == 2 {
                third.send(()).unwrap();
            }
            Err(Errno::MFILE.into())
        })
        .unwrap();
        is_third.recv_timeout(Duration::from_secs(60)).unwrap();
        // Two pauses lie between the first call and the third.
        assert!(started.elapsed() >= Duration::from_millis(190));
    }

    #[test]
    fn a_drop_ends_a_pause() {
        let (_directory, listener, _waiting) = listener();
        let (called, is_called) = mpsc::channel();
        let accept = AcceptLoop::start("test-accept", "test", listener, move |_| {
            // Nobody counts the later calls.
            let _ = called.send(());
            Err(Errno::NFILE.into())
        })
        .unwrap();
        is_called.recv_timeout(Duration::from_secs(60)).unwrap();
        drop(accept);
        assert!(is_called.iter().count() < 1000);
    }

    #[test]
    fn what_is_not_a_listener_ends_the_loop() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        let (called, is_called) = mpsc::channel();
        let _accept = AcceptLoop::start("test-accept", "test", ours, move |_| {
            called.send(()).unwrap();
            Err(Errno::INVAL.into())
        })
        .unwrap();
        // The channel ends with the loop.
        assert_eq!(is_called.iter().count(), 1);
    }
}
