// SPDX-License-Identifier: Apache-2.0
//! Signals that end this program, in order at first.

use crate::terminal::RawTerminal;
use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use vmclient::HangUp;

/// The signals.
pub(crate) const ENDING: [i32; 4] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];

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
    /// The signal that came; 0 is none.
    caught: AtomicI32,
    hang_up: Mutex<Option<HangUp>>,
    terminal: Mutex<Option<Arc<RawTerminal>>>,
}

impl State {
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

impl Interrupt {
    /// Catches the signals. `first` is called when the first comes, on another thread.
    ///
    /// # Errors
    /// If they cannot be caught.
    pub(crate) fn catch(first: impl Fn() + Send + 'static) -> Result<Self> {
        let mut signals = Signals::new(ENDING).context("catch signals")?;
        let handle = signals.handle();
        let state = Arc::new(State::default());
        let seen = Arc::clone(&state);
        let thread = std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                for signal in signals.forever() {
                    let is_first = seen
                        .caught
                        .compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst)
                        .is_ok();
                    if is_first {
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
            .context("start a thread for signals")?;
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
