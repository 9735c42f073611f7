// SPDX-License-Identifier: Apache-2.0
//! When what happened.

use serde::Serialize;
use std::fmt;
use std::time::{Duration, Instant};

/// Which side spent the time before a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Who {
    /// This program, the manager, the VMM's own start.
    Host,
    /// The guest: firmware, kernel, init, payload.
    Guest,
}

/// A step that was done.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Step {
    /// When, in milliseconds since the fork of the manager.
    ms: f64,
    who: Who,
    step: &'static str,
}

/// The steps, in the order of time.
#[derive(Debug)]
pub(crate) struct Timeline {
    begin: Instant,
    steps: Vec<Step>,
}

impl Timeline {
    pub(crate) fn new(begin: Instant) -> Self {
        Self {
            begin,
            steps: Vec::new(),
        }
    }

    /// Notes a step; one that was not seen (`None`) is left out.
    pub(crate) fn note(&mut self, who: Who, step: &'static str, at: impl Into<Option<Instant>>) {
        if let Some(at) = at.into() {
            let ms = milliseconds(at.saturating_duration_since(self.begin));
            let behind = self.steps.partition_point(|earlier| earlier.ms <= ms);
            self.steps.insert(behind, Step { ms, who, step });
        }
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }
}

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut before, mut host, mut guest) = (0.0, 0.0, 0.0);
        writeln!(
            f,
            "{:>12}  {:>9}  {:5}  step",
            "ms from fork", "took", "who"
        )?;
        for Step { ms, who, step } in &self.steps {
            let took = ms - before;
            before = *ms;
            let name = match who {
                Who::Host => {
                    host += took;
                    "host"
                }
                Who::Guest => {
                    guest += took;
                    "guest"
                }
            };
            writeln!(f, "{ms:12.1}  {took:9.1}  {name:5}  {step}")?;
        }
        write!(
            f,
            "Of these, the host took {host:.1} ms and the guest {guest:.1} ms."
        )
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_in_order_of_time_and_each_time_is_someones() {
        let begin = Instant::now();
        let at = |ms| begin + Duration::from_millis(ms);
        let mut timeline = Timeline::new(begin);
        timeline.note(Who::Host, "answer", at(1000));
        timeline.note(Who::Host, "manager ready", at(4));
        timeline.note(Who::Guest, "payload ready", at(900));
        timeline.note(Who::Guest, "never seen", None);
        let text = timeline.to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 5, "{text}");
        assert!(lines[1].ends_with("host   manager ready"), "{text}");
        assert!(lines[2].ends_with("guest  payload ready"), "{text}");
        assert!(
            lines[4].contains("host took 104.0 ms and the guest 896.0 ms"),
            "{text}"
        );
    }
}
