// SPDX-License-Identifier: Apache-2.0
//! What a measurement should reach, and whether it does.

use std::fmt;

/// The goal of one measurement, in its unit.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    /// A ratio of at most this.
    RatioAtMost(f64),
    /// A ratio of at least this.
    RatioAtLeast(f64),
    /// Less than this many microseconds.
    Micros(u32),
    /// Less than this many KiB.
    Kib(u32),
}

impl Goal {
    /// Whether `measured` reaches it.
    fn is_met(self, measured: f64) -> bool {
        match self {
            Self::RatioAtMost(limit) => measured <= limit,
            Self::RatioAtLeast(limit) => measured >= limit,
            Self::Micros(limit) | Self::Kib(limit) => measured < f64::from(limit),
        }
    }

    /// The goal, and whether `measured` misses it.
    pub(crate) fn verdict(self, measured: f64) -> String {
        if self.is_met(measured) {
            self.to_string()
        } else {
            format!("{self}: missed")
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RatioAtMost(limit) => write!(f, "ratio <= {limit}"),
            Self::RatioAtLeast(limit) => write!(f, "ratio >= {limit}"),
            Self::Micros(limit) => write!(f, "< {limit} us"),
            Self::Kib(limit) => write!(f, "< {limit} KiB"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_goal_says_so() {
        for (goal, measured, verdict) in [
            (Goal::RatioAtMost(1.5), 1.5, "ratio <= 1.5"),
            (Goal::RatioAtMost(1.5), 1.51, "ratio <= 1.5: missed"),
            (Goal::RatioAtLeast(0.9), 0.9, "ratio >= 0.9"),
            (Goal::RatioAtLeast(0.9), 0.8, "ratio >= 0.9: missed"),
            (Goal::Micros(10_000), 9999.0, "< 10000 us"),
            (Goal::Kib(3072), 3072.0, "< 3072 KiB: missed"),
            (Goal::Kib(3072), f64::NAN, "< 3072 KiB: missed"),
        ] {
            assert_eq!(goal.verdict(measured), verdict);
        }
    }
}
