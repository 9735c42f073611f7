// SPDX-License-Identifier: Apache-2.0
//! The binder that shows the displays of VMs: one for the machine, and those who wait for it.

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::sync::{Mutex, MutexGuard, PoisonError};
use stoppable::Signal;

/// How many may wait at once: each takes a thread.
pub(crate) const MOST_WAITING: usize = 8;

/// Why there is no display service.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Too many wait.
    #[error("{MOST_WAITING} callers already wait for the display service, which is the limit")]
    TooMany,
    /// The process that waited is gone.
    #[error("the caller has ended")]
    CallerGone,
    /// The service ends.
    #[error("the virtualization service is being stopped")]
    Stopped,
    /// A system call failed.
    #[error("cannot wait for the display service")]
    Io(#[source] std::io::Error),
}

/// The place of one object that can be waited for.
#[derive(Debug)]
pub(crate) struct Display<T> {
    state: Mutex<State<T>>,
}

#[derive(Debug)]
struct State<T> {
    service: Option<T>,
    waiting: Vec<Signal>,
    is_stopped: bool,
}

impl<T: Clone> Display<T> {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                service: None,
                waiting: Vec::new(),
                is_stopped: false,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an object there, or takes it away, and wakes those who wait.
    pub(crate) fn set(&self, service: Option<T>) {
        let mut state = self.state();
        state.service = service;
        state.wake();
    }

    /// Sends everyone away, for ever.
    pub(crate) fn stop(&self) {
        let mut state = self.state();
        state.is_stopped = true;
        state.wake();
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.state().waiting.len()
    }

    /// Waits until there is an object, on behalf of process `pid`, but not longer than that process lives.
    pub(crate) fn wait(&self, pid: i32) -> Result<T, Error> {
        let io = |e: Errno| Error::Io(e.into());
        let caller = Pid::from_raw(pid.max(0))
            .ok_or(Errno::SRCH)
            .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()));
        let caller = match caller {
            Ok(caller) => caller,
            Err(Errno::SRCH) => return Err(Error::CallerGone),
            Err(e) => return Err(io(e)),
        };
        let signal = Signal::new().map_err(Error::Io)?;
        let _place = {
            let mut state = self.state();
            if let Some(answer) = state.answer() {
                return answer;
            }
            if state.waiting.len() >= MOST_WAITING {
                return Err(Error::TooMany);
            }
            state.waiting.push(signal.clone());
            Waiting {
                display: self,
                signal: signal.clone(),
            }
        };
        loop {
            let has_ended = signal.or_readable(&caller).map_err(Error::Io)?;
            // Before the look at the state: what is set after that raises the signal again.
            signal.clear();
            if let Some(answer) = self.state().answer() {
                return answer;
            }
            if has_ended {
                return Err(Error::CallerGone);
            }
        }
    }
}

impl<T: Clone> State<T> {
    fn answer(&self) -> Option<Result<T, Error>> {
        if self.is_stopped {
            return Some(Err(Error::Stopped));
        }
        self.service.clone().map(Ok)
    }
}

impl<T> State<T> {
    fn wake(&self) {
        for signal in &self.waiting {
            signal.raise();
        }
    }
}

/// A place among those who wait, given back when dropped.
struct Waiting<'a, T> {
    display: &'a Display<T>,
    signal: Signal,
}

impl<T> Drop for Waiting<'_, T> {
    fn drop(&mut self) {
        let mut state = self
            .display
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        state.waiting.retain(|other| !other.is(&self.signal));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};
    use std::thread;

    fn me() -> i32 {
        rustix::process::getpid().as_raw_nonzero().get()
    }

    fn until_waiting(display: &Display<u32>, count: usize) {
        while display.waiting() != count {
            thread::yield_now();
        }
    }

    #[test]
    fn those_who_wait_get_what_is_set() {
        let display = Display::new();
        thread::scope(|scope| {
            let waiting = [(); 3].map(|()| scope.spawn(|| display.wait(me())));
            until_waiting(&display, 3);
            display.set(None);
            display.set(Some(7));
            for waiting in waiting {
                assert_eq!(waiting.join().unwrap().unwrap(), 7);
            }
        });
        assert_eq!(display.waiting(), 0);
        assert_eq!(display.wait(me()).unwrap(), 7);
        display.set(Some(8));
        assert_eq!(display.wait(me()).unwrap(), 8);
    }

    #[test]
    fn no_one_waits_longer_than_they_live() {
        let display = Display::<u32>::new();
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| display.wait(pid));
            until_waiting(&display, 1);
            child.kill().unwrap();
            assert!(matches!(waiting.join().unwrap(), Err(Error::CallerGone)));
        });
        child.wait().unwrap();
        for gone in [pid, 0, -1] {
            assert!(
                matches!(display.wait(gone), Err(Error::CallerGone)),
                "{gone}"
            );
        }
        assert_eq!(display.waiting(), 0);
    }

    #[test]
    fn not_too_many_and_not_for_ever() {
        let display = Display::<u32>::new();
        thread::scope(|scope| {
            let waiting = [(); MOST_WAITING].map(|()| scope.spawn(|| display.wait(me())));
            until_waiting(&display, MOST_WAITING);
            assert!(matches!(display.wait(me()), Err(Error::TooMany)));
            display.stop();
            for waiting in waiting {
                assert!(matches!(waiting.join().unwrap(), Err(Error::Stopped)));
            }
        });
        display.set(Some(1));
        assert!(matches!(display.wait(me()), Err(Error::Stopped)));
    }
}
