// SPDX-License-Identifier: Apache-2.0
//! Signals that end this program, in order at first.

use crate::terminal::RawTerminal;
use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use vmclient::HangUp;

/// The signals that end a program.
const ENDING: [i32; 4] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];

/// Those of the signals that end a program that were not ignored when this one started: `nohup` and
/// shells that run a job in the background ignore some, and that is meant.
pub(crate) fn ending() -> Vec<i32> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = ignored(&status);
    ENDING
        .into_iter()
        .filter(|signal| ignored & (1 << (signal - 1)) == 0)
        .collect()
}

/// The set of ignored signals in the text of `/proc/PID/status`; see proc_pid_status(5).
fn ignored(status: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

/// What the signals have to do with a VM: the first has its manager end it, the second ends this
/// program as if nobody had cared.
#[derive(Debug)]
pub(crate) struct Interrupt {
    state: Arc<State>,
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct State {
    /// The signal that was received; 0 for none.
    caught: AtomicI32,
    hang_up: Mutex<Option<HangUp>>,
    terminal: Mutex<Option<Arc<RawTerminal>>>,
}

impl State {
    /// Notes why the VM is ended; false if it is being ended already.
    fn begin(&self, signal: i32) -> bool {
        self.caught
            .compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }

    fn leave_terminal(&self) {
        let terminal = self.terminal.lock();
        if let Some(terminal) = &*terminal.unwrap_or_else(PoisonError::into_inner) {
            terminal.leave();
        }
    }

    fn hang_up(&self) {
        let hang_up = self.hang_up.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(manager) = &*hang_up {
            manager.hang_up();
        }
    }
}

/// Ends the VM because nobody reads its output.
#[derive(Debug, Clone)]
pub(crate) struct BrokenPipe(Arc<State>);

impl BrokenPipe {
    /// Ends the VM as SIGPIPE would end this program; false if it is being ended already.
    pub(crate) fn end(&self) -> bool {
        let is_first = self.0.begin(SIGPIPE);
        if is_first {
            self.0.hang_up();
        }
        is_first
    }
}

impl Interrupt {
    /// Catches the signals. `first` is called when the first comes, on another thread.
    ///
    /// # Errors
    /// If they cannot be caught.
    pub(crate) fn catch(first: impl Fn() + Send + 'static) -> Result<Self> {
        let mut signals = Signals::new(ending()).context("cannot catch signals")?;
        let handle = signals.handle();
        let state = Arc::new(State::default());
        let seen = Arc::clone(&state);
        let thread = std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                for signal in signals.forever() {
                    if seen.begin(signal) {
                        // At once: a second signal may follow.
                        seen.leave_terminal();
                        first();
                        seen.hang_up();
                    } else {
                        // It does not return, or fails for a signal that has no default.
                        let _ = signal_hook::low_level::emulate_default_handler(signal);
                    }
                }
            })
            .context("cannot start a thread for signals")?;
        Ok(Self {
            state,
            handle,
            thread: Some(thread),
        })
    }

    /// From now on a signal has this manager end; so does one that came already.
    pub(crate) fn arm(&self, manager: HangUp) {
        *self
            .state
            .hang_up
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(manager);
        if self.caught().is_some() {
            self.state.hang_up();
        }
    }

    /// From now on a signal restores this terminal; so does one that came already.
    pub(crate) fn restore(&self, terminal: &Arc<RawTerminal>) {
        *self
            .state
            .terminal
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(terminal));
        if self.caught().is_some() {
            terminal.leave();
        }
    }

    /// What ends the VM when nobody reads its output any more.
    pub(crate) fn broken_pipe(&self) -> BrokenPipe {
        BrokenPipe(Arc::clone(&self.state))
    }

    /// The signal that came.
    pub(crate) fn caught(&self) -> Option<i32> {
        Some(self.state.caught.load(Ordering::SeqCst)).filter(|signal| *signal != 0)
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            // A panic there was reported by the panic hook; nothing is left to be done.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_right_line() {
        let status = "SigBlk:\t0000000000000001\nSigIgn:\t0000000000001003\nSigCgt:\t0\n";
        assert_eq!(ignored(status), 0x1003);
        assert_eq!(ignored("SigIgn:\tx\n"), 0);
        assert_eq!(ignored(""), 0);
    }
}
