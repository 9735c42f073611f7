// SPDX-License-Identifier: Apache-2.0
//! The manager's log on the user's standard error.
//!
//! A manager logs why it refuses a call, and answers the same to its client. So, unless the user asks
//! for its log, the lines that come before the VM runs are held back: they are not shown if a call is
//! refused, since its error says it all, and shown in every other case.

use super::progress::Progress;
use host::printable;
use std::sync::{Arc, Mutex, PoisonError};

/// Where a manager's lines go.
#[derive(Debug, Clone)]
pub(super) struct ManagerLog {
    progress: Arc<Progress>,
    /// The lines that are held back; none when they are shown at once.
    held: Arc<Mutex<Option<Vec<String>>>>,
}

impl ManagerLog {
    /// A log whose lines are shown at once if the user asked for them (`is_wanted`), and else held
    /// back until they are released.
    pub(super) fn new(progress: Arc<Progress>, is_wanted: bool) -> Self {
        let held = (!is_wanted).then(Vec::new);
        Self {
            progress,
            held: Arc::new(Mutex::new(held)),
        }
    }

    /// The manager wrote a line.
    pub(super) fn line(&self, line: &str) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *held {
            Some(held) => held.push(line.to_owned()),
            None => self.progress.tell(&printable(line)),
        }
    }

    /// Shows the lines that were held back, and from now on each at once.
    pub(super) fn release(&self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        for line in held.take().into_iter().flatten() {
            self.progress.tell(&printable(&line));
        }
    }
}
