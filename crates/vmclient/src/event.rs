// SPDX-License-Identifier: Apache-2.0
//! What a VM tells its client, and the waiting for it.

use crate::names::{DeathReason, ErrorCode};
use avf_aidl::common;
use avf_aidl::service::IVirtualMachineCallback;
use rsbinder::{BinderResult, DeathRecipient, Interface, WIBinder};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Events kept for [`VmInstance::events`](crate::VmInstance::events); a guest may report errors
/// without end.
const MAX_EVENTS: usize = 256;
/// Bytes kept of a guest's error message.
const MAX_MESSAGE: usize = 4096;

/// What happened to a VM.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The guest has started the payload.
    PayloadStarted,
    /// The payload serves.
    PayloadReady,
    /// The payload ended with this exit code.
    PayloadFinished(i32),
    /// The guest reports an error.
    Error {
        /// Its kind.
        code: ErrorCode,
        /// Its text; not to be trusted, the guest may write what it likes.
        message: String,
    },
    /// The VM is dead.
    Died(DeathReason),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PayloadStarted => f.write_str("payload started"),
            Self::PayloadReady => f.write_str("payload ready"),
            Self::PayloadFinished(code) => write!(f, "payload finished with exit code {code}"),
            Self::Error { code, message } => {
                // A message may carry terminal control sequences.
                write!(f, "guest error {code}: {}", message.escape_debug())
            }
            Self::Died(reason) => write!(f, "VM died: {reason}"),
        }
    }
}

/// An event and when it arrived.
#[derive(Debug, Clone)]
pub struct TimedEvent {
    /// When.
    pub at: Instant,
    /// What.
    pub event: Event,
}

/// What is called for each event.
pub(crate) type Handler = Box<dyn Fn(&TimedEvent) + Send + Sync>;

/// What is known about a VM from its events.
#[derive(Debug, Default, Clone)]
pub(crate) struct Known {
    pub(crate) events: Vec<TimedEvent>,
    pub(crate) ready: bool,
    pub(crate) finished: Option<i32>,
    pub(crate) error: Option<String>,
    pub(crate) died: Option<DeathReason>,
    /// The manager is gone, so nothing more will be known.
    pub(crate) lost: bool,
}

/// The place where events arrive and waiters wait.
#[derive(Default)]
pub(crate) struct Watch {
    known: Mutex<Known>,
    changed: Condvar,
    handler: OnceLock<Handler>,
}

impl Watch {
    /// Calls `handler` for what arrives from now on. False if there is one already.
    pub(crate) fn set_handler(&self, handler: Handler) -> bool {
        self.handler.set(handler).is_ok()
    }

    pub(crate) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `answer` gives one, or `timeout` has passed.
    pub(crate) fn wait<T>(
        &self,
        timeout: Option<Duration>,
        mut answer: impl FnMut(&Known) -> Option<T>,
    ) -> Option<T> {
        // A time too far away to express is not a limit.
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut known = self.known();
        loop {
            if let Some(answer) = answer(&known) {
                return Some(answer);
            }
            known = match deadline {
                None => self
                    .changed
                    .wait(known)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.checked_duration_since(Instant::now())?;
                    self.changed
                        .wait_timeout(known, left)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
            };
        }
    }

    fn arrived(&self, event: Event) {
        let timed = TimedEvent {
            at: Instant::now(),
            event,
        };
        let mut known = self.known();
        match &timed.event {
            Event::PayloadReady => known.ready = true,
            Event::PayloadFinished(code) => known.finished = Some(*code),
            Event::Error { .. } => known.error = Some(timed.event.to_string()),
            Event::Died(reason) => known.died = Some(*reason),
            Event::PayloadStarted => {}
        }
        // The death is always kept: a timeline without it would mislead.
        if known.events.len() < MAX_EVENTS || matches!(timed.event, Event::Died(_)) {
            known.events.push(timed.clone());
        }
        drop(known);
        self.changed.notify_all();
        if let Some(handler) = self.handler.get() {
            handler(&timed);
        }
    }
}

impl DeathRecipient for Watch {
    fn binder_died(&self, _who: &WIBinder) {
        self.known().lost = true;
        self.changed.notify_all();
    }
}

/// The binder object that the manager calls.
pub(crate) struct Callback(pub(crate) Arc<Watch>);

impl Interface for Callback {}

#[allow(non_snake_case, reason = "AIDL method names")]
impl IVirtualMachineCallback for Callback {
    fn onPayloadStarted(&self, _cid: i32) -> BinderResult<()> {
        self.0.arrived(Event::PayloadStarted);
        Ok(())
    }

    fn onPayloadReady(&self, _cid: i32) -> BinderResult<()> {
        self.0.arrived(Event::PayloadReady);
        Ok(())
    }

    fn onPayloadFinished(&self, _cid: i32, exit_code: i32) -> BinderResult<()> {
        self.0.arrived(Event::PayloadFinished(exit_code));
        Ok(())
    }

    fn onError(&self, _cid: i32, code: common::ErrorCode, message: &str) -> BinderResult<()> {
        let mut message = message.to_owned();
        if message.len() > MAX_MESSAGE {
            let end = (0..=MAX_MESSAGE)
                .rev()
                .find(|at| message.is_char_boundary(*at));
            message.truncate(end.unwrap_or(0));
        }
        self.0.arrived(Event::Error {
            code: code.into(),
            message,
        });
        Ok(())
    }

    fn onDied(&self, _cid: i32, reason: common::DeathReason) -> BinderResult<()> {
        self.0.arrived(Event::Died(reason.into()));
        Ok(())
    }

    fn onGuestAgentRegistered(&self, _cid: i32, _port: i32) -> BinderResult<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_without_end_do_not_fill_the_memory_nor_hide_the_death() {
        let watch = Arc::new(Watch::default());
        let callback = Callback(Arc::clone(&watch));
        let long = "é".repeat(MAX_MESSAGE);
        for _ in 0..2 * MAX_EVENTS {
            callback
                .onError(3, common::ErrorCode::PAYLOAD_CHANGED, &long)
                .unwrap();
        }
        callback.onDied(3, common::DeathReason::CRASH).unwrap();
        let known = watch.known();
        assert_eq!(known.events.len(), MAX_EVENTS + 1);
        assert_eq!(
            known.events[MAX_EVENTS].event,
            Event::Died(DeathReason::Crash)
        );
        let Event::Error { message, .. } = &known.events[0].event else {
            panic!()
        };
        assert!(message.len() <= MAX_MESSAGE);
    }

    #[test]
    fn an_error_message_cannot_control_the_terminal() {
        let event = Event::Error {
            code: ErrorCode::Unknown,
            message: "\x1b[2Jgone".into(),
        };
        assert_eq!(event.to_string(), "guest error UNKNOWN: \\u{1b}[2Jgone");
    }
}
