// SPDX-License-Identifier: Apache-2.0
//! A bound for the whole run: whatever is being waited for, it ends.

use anyhow::{Context, Result};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use vmclient::HangUp;

/// How long the manager may take to end when it is told to.
const GRACE: Duration = Duration::from_secs(15);

/// Ends the manager if it is not dropped in time. Every call that waits for the manager or its VM
/// fails then.
#[derive(Debug)]
pub(crate) struct Watchdog {
    expired: Arc<AtomicBool>,
    cancel: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    pub(crate) fn start(timeout: Duration, manager: HangUp) -> Result<Self> {
        let expired = Arc::new(AtomicBool::new(false));
        let (cancel, cancelled) = channel();
        let noted = Arc::clone(&expired);
        let thread = std::thread::Builder::new()
            .name("watchdog".into())
            .spawn(move || {
                if cancelled.recv_timeout(timeout) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
                noted.store(true, Ordering::Release);
                manager.hang_up();
                if cancelled.recv_timeout(GRACE) == Err(RecvTimeoutError::Timeout) {
                    vm_demo::output::note(format_args!(
                        "vm_demo_native_early: neither the VM nor the manager ends; giving up"
                    ));
                    // The manager sees it as the client's death, which ends its VMs, too.
                    process::exit(1);
                }
            })
            .context("cannot start the watchdog's thread")?;
        Ok(Self {
            expired,
            cancel: Some(cancel),
            thread: Some(thread),
        })
    }

    /// Whether the time is over.
    pub(crate) fn has_expired(&self) -> bool {
        self.expired.load(Ordering::Acquire)
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.cancel.take();
        if let Some(thread) = self.thread.take() {
            // A panic there was reported by the panic hook; nothing is left to be done.
            let _ = thread.join();
        }
    }
}
