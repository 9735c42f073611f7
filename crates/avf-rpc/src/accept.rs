// SPDX-License-Identifier: Apache-2.0
//! A blocking accept loop that another thread can end.

use crate::Error;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a listener is left alone for which there are no descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// A named thread that accepts connections until it is dropped.
#[derive(Debug)]
pub struct AcceptLoop {
    stop: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl AcceptLoop {
    /// Calls `accept` each time that `listener` has a connection, on a thread called `name`.
    ///
    /// # Errors
    /// If the thread or its stop signal cannot be made.
    pub fn start<L, F>(name: &str, listener: L, mut accept: F) -> Result<Self, Error>
    where
        L: AsFd + Send + 'static,
        F: FnMut(&L) + Send + 'static,
    {
        let stop = eventfd(0, EventfdFlags::CLOEXEC).map_err(|e| Error::io("eventfd", e))?;
        let stop = Arc::new(stop);
        let seen = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                while wait(&listener, seen.as_fd()) {
                    accept(&listener);
                }
            })
            .map_err(|e| Error::io(format!("start thread {name}"), e))?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

/// Says that a connection could not be accepted. Without descriptors to spare the connection stays in
/// the queue and the listener readable, so this must not spin.
pub(crate) fn failed(what: std::fmt::Arguments<'_>, e: &io::Error) {
    log::warn!("{what}: accept: {e}");
    if matches!(
        Errno::from_io_error(e),
        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM)
    ) {
        std::thread::sleep(PAUSE);
    }
}

/// Blocks until `listener` is readable (true) or `stop` is signalled (false).
fn wait(listener: &impl AsFd, stop: impl AsFd) -> bool {
    loop {
        let mut fds = [
            PollFd::new(listener, PollFlags::IN),
            PollFd::new(&stop, PollFlags::IN),
        ];
        match poll(&mut fds, None) {
            Err(Errno::INTR) => {}
            Err(e) => {
                log::error!("accept loop ends: poll: {e}");
                return false;
            }
            Ok(_) if !fds[1].revents().is_empty() => return false,
            Ok(_) if fds[0].revents().contains(PollFlags::IN) => return true,
            Ok(_) => return false,
        }
    }
}

impl Drop for AcceptLoop {
    fn drop(&mut self) {
        // Cannot fail: the counter is far from its maximum and the fd is ours.
        let _ = rustix::io::write(&*self.stop, &1u64.to_ne_bytes());
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
            && thread.join().is_err()
        {
            log::error!("an accept loop panicked");
        }
    }
}
