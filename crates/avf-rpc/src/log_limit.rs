// SPDX-License-Identifier: Apache-2.0
//! Log lines that a peer can cause as often as it likes.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts log lines of one kind and lets so many of them through that a peer cannot fill the log:
/// the first eight, then those whose number is a power of two.
#[derive(Debug, Default)]
pub struct LogLimit(AtomicU64);

impl LogLimit {
    /// Lines that are all logged.
    const ALL: u64 = 8;

    /// A limit that has let nothing through yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Logs `text` as a warning, unless there were too many.
    pub fn warn(&self, text: fmt::Arguments<'_>) {
        if let Some(number) = self.admit() {
            log::warn!("{text}{number}");
        }
    }

    /// Counts a line. If it is to be logged, returns what follows its text: nothing at first, later
    /// its number.
    pub fn admit(&self) -> Option<Number> {
        let number = self.0.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        (number <= Self::ALL || number.is_power_of_two()).then_some(Number(number))
    }
}

/// How often something happened, as a log line ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number(u64);

impl Number {
    /// Nothing needs to be said of the first.
    pub(crate) const FIRST: Self = Self(1);
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 <= LogLimit::ALL {
            return Ok(());
        }
        write!(f, " ({} times so far; most are not logged)", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_of_many_lines_are_logged() {
        let limit = LogLimit::new();
        let logged: Vec<String> = (0..10_000)
            .filter_map(|_| limit.admit())
            .map(|number| number.to_string())
            .collect();
        // Eight, then number 16 to 8192.
        assert_eq!(logged.len(), 8 + 10);
        assert_eq!(logged[7], "");
        assert_eq!(logged[8], " (16 times so far; most are not logged)");
    }
}
