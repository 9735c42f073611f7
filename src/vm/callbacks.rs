// SPDX-License-Identifier: Apache-2.0
//! Telling a VM's clients what happens to it.

use crate::status::exception;
use crate::vm::death::death_reason;
use avf_aidl::common::ErrorCode;
use avf_aidl::service::IVirtualMachineCallback;
use host::chain;
use rsbinder::{BinderResult, ExceptionCode, Strong};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use vmm::death::Death;

type Callback = Strong<dyn IVirtualMachineCallback>;

/// Callbacks of one VM; more are refused.
const MAX_CALLBACKS: usize = 64;
/// Errors that one guest may have passed on; later ones are only logged.
const MAX_ERRORS: usize = 100;
/// Bytes of a guest's error message that are passed on.
const MAX_MESSAGE: usize = 4096;

/// The registered callbacks of one VM.
#[derive(Default)]
pub struct Callbacks {
    registered: Mutex<Vec<Callback>>,
    errors: AtomicUsize,
}

impl std::fmt::Debug for Callbacks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Callbacks").finish_non_exhaustive()
    }
}

impl Callbacks {
    /// Adds one.
    ///
    /// # Errors
    /// ILLEGAL_STATE if there are too many.
    pub fn register(&self, callback: &Callback) -> BinderResult<()> {
        let mut registered = self
            .registered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if registered.len() >= MAX_CALLBACKS {
            let text = format!(
                "this VM has {MAX_CALLBACKS} callbacks already; use one for several purposes"
            );
            return Err(exception(ExceptionCode::IllegalState, &text));
        }
        registered.push(callback.clone());
        Ok(())
    }

    /// Removes one, if it is there.
    pub fn unregister(&self, callback: &Callback) {
        let binder = callback.as_binder();
        self.registered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|registered| registered.as_binder() != binder);
    }

    /// Calls each, without a lock: a callback may be slow, or register another.
    fn each(&self, what: &str, call: impl Fn(&Callback) -> BinderResult<()>) {
        let registered = self
            .registered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        for callback in &registered {
            if let Err(e) = call(callback) {
                log::warn!("{what} did not reach a client: {}", chain(&e));
            }
        }
    }

    /// The payload has been started.
    pub fn payload_started(&self, cid: u32) {
        self.each("onPayloadStarted", |c| {
            c.onPayloadStarted(cid.cast_signed())
        });
    }

    /// The payload is ready to serve.
    pub fn payload_ready(&self, cid: u32) {
        self.each("onPayloadReady", |c| c.onPayloadReady(cid.cast_signed()));
    }

    /// The payload has ended.
    pub fn payload_finished(&self, cid: u32, exit_code: i32) {
        self.each("onPayloadFinished", |c| {
            c.onPayloadFinished(cid.cast_signed(), exit_code)
        });
    }

    /// The guest reports an error. Its text is the guest's: it is cut, and so is a flood of them.
    pub fn error(&self, cid: u32, code: ErrorCode, message: &str) {
        let message: String = {
            let mut end = message.len().min(MAX_MESSAGE);
            while !message.is_char_boundary(end) {
                end -= 1;
            }
            message[..end].to_owned()
        };
        if self.errors.fetch_add(1, Ordering::Relaxed) >= MAX_ERRORS {
            return;
        }
        // The clients are told, and tell it in their own words.
        log::info!(
            "VM {cid} reports error {}: {}",
            code.0,
            message.escape_debug()
        );
        self.each("onError", |c| c.onError(cid.cast_signed(), code, &message));
    }

    /// The VM is dead.
    pub fn died(&self, cid: u32, death: Death) {
        let reason = death_reason(death);
        self.each("onDied", |c| c.onDied(cid.cast_signed(), reason));
    }

    /// Lets go of the clients' objects, so that their sessions can end.
    pub fn clear(&self) {
        self.registered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}
