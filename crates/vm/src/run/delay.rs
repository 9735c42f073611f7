// SPDX-License-Identifier: Apache-2.0
//! Tells the user what is being waited for when it takes long.

use super::progress::Progress;
use anyhow::{Context, Result};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A wait that is told to the user if it lasts. Dropping this ends it.
#[derive(Debug)]
pub(super) struct Delay {
    /// Dropped when the wait is over.
    over: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Delay {
    /// Tells `text` after `limit`, unless this is dropped before.
    pub(super) fn tell(progress: &Arc<Progress>, limit: Duration, text: &str) -> Result<Self> {
        let (over, waiting) = channel();
        let progress = Arc::clone(progress);
        let text = text.to_owned();
        let thread = std::thread::Builder::new()
            .name("delay".to_owned())
            .spawn(move || {
                if waiting.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                    progress.note(Instant::now(), text);
                }
            })
            .context("cannot start a thread")?;
        Ok(Self {
            over: Some(over),
            thread: Some(thread),
        })
    }
}

impl Drop for Delay {
    fn drop(&mut self) {
        drop(self.over.take());
        if let Some(thread) = self.thread.take() {
            // A panic there was reported by the panic hook.
            let _ = thread.join();
        }
    }
}
