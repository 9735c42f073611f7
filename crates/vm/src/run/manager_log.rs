// SPDX-License-Identifier: Apache-2.0
//! The manager's log, without what the user is told anyway.
//!
//! A manager logs why it refuses a call, and answers the same to its client. So its errors and
//! warnings are held back while a call is under way, and told only if they are not in the call's own error.

use super::progress::Progress;
use std::sync::{Arc, Mutex, PoisonError};

/// What a manager writes before each line of a VMM's.
const QUOTE: &str = "the VMM said: ";

/// Where a manager's lines go.
#[derive(Debug, Clone)]
pub(super) struct ManagerLog {
    progress: Arc<Progress>,
    /// The errors that are held back; none when they go on at once.
    held: Arc<Mutex<Option<Vec<String>>>>,
}

impl ManagerLog {
    /// One that holds errors back.
    pub(super) fn new(progress: Arc<Progress>) -> Self {
        Self {
            progress,
            held: Arc::new(Mutex::new(Some(Vec::new()))),
        }
    }

    /// The manager wrote a line.
    pub(super) fn line(&self, line: &str) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *held {
            Some(held) if matches!(level(line), Some("error" | "warn")) => {
                held.push(line.to_owned());
            }
            _ => self.progress.tell(line),
        }
    }

    /// Holds nothing back from now on. What was held back is told, unless `error` says the same.
    pub(super) fn release(&self, error: Option<&str>) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        for line in held.take().into_iter().flatten() {
            if !error.is_some_and(|error| says_the_same(error, &line)) {
                self.progress.tell(&line);
            }
        }
    }
}

/// The level of a line `NAME[PID] LEVEL: TEXT`.
fn level(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("] ")?;
    rest.split_once(':').map(|(level, _)| level)
}

/// Whether an error's text has all that a line says: what comes after `CALL of VM 'NAME': `.
fn says_the_same(error: &str, line: &str) -> bool {
    let mut parts = line.splitn(3, ": ");
    let text = parts.nth(2).unwrap_or_default();
    let text = text.strip_prefix(QUOTE).unwrap_or(text);
    !text.is_empty() && error.contains(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_recognized_in_the_error_that_it_became() {
        let line = "virtmgr[7] error: createVm 'a': field x: it must be y";
        assert_eq!(level(line), Some("error"));
        assert!(says_the_same(
            "createVm: ILLEGAL_ARGUMENT: field x: it must be y",
            line
        ));
        assert!(!says_the_same("createVm: ILLEGAL_ARGUMENT: other", line));
        assert!(!says_the_same("anything", "virtmgr[7] error: short"));
        assert!(says_the_same(
            "start: it said: qemu: no",
            "virtmgr[7] warn: VM 'a' (CID 9): the VMM said: qemu: no"
        ));
        assert_eq!(level("some text"), None);
    }
}
