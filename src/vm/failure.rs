// SPDX-License-Identifier: Apache-2.0
//! The errors and the words for VMs that did not start or were killed.

use crate::error::{Error, Kind};
use std::time::Duration;
use vmm::child::{Exit, signal_name};

/// The VMM did not start the guest within `limit`.
pub(super) fn too_late(limit: Duration) -> Error {
    Error::new(
        Kind::Failure,
        format!(
            "the VMM did not start the guest within {} s and was killed",
            limit.as_secs()
        ),
    )
}

/// The VM was stopped while it started.
pub(super) fn stopped() -> Error {
    Error::new(
        Kind::Failure,
        "the VM was stopped while it was being started",
    )
}

/// A signal's name, or its number.
pub(super) fn signal_word(signal: i32) -> String {
    signal_name(signal).map_or_else(|| format!("signal {signal}"), str::to_owned)
}

/// Why a signal has probably come that nobody here has sent.
pub(super) fn likely_cause(signal: i32) -> &'static str {
    match signal_name(signal) {
        Some("SIGKILL") => {
            ", which nobody here sent: the host may be out of memory, see the kernel's log"
        }
        _ => "",
    }
}

/// What a program said in several lines, as one.
pub(super) fn one_line(said: &str) -> String {
    let lines: Vec<_> = said
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    lines.join(" | ")
}

/// What a client is told whose VM did not start.
pub(super) fn start_failed(exit: Option<Exit>, said: String) -> Error {
    let exit = match exit {
        Some(Exit::Code(code)) => format!("exit status {code}"),
        Some(Exit::Signal(signal)) => {
            format!("killed by {}{}", signal_word(signal), likely_cause(signal))
        }
        None => "it could not be waited for".into(),
    };
    let said = if said.is_empty() {
        "(nothing)".into()
    } else {
        said
    };
    Error::new(
        Kind::Failure,
        format!("the VMM did not start the guest ({exit}); it said: {said}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_vmm_says_in_lines_is_told_in_one() {
        let error = start_failed(Some(Exit::Code(1)), one_line("first\r\n\n  second\n"));
        assert_eq!(
            error.to_string(),
            "the VMM did not start the guest (exit status 1); it said: first | second"
        );
        assert_eq!(one_line("\n"), "");
    }
}
