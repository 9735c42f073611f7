// SPDX-License-Identifier: Apache-2.0
//! crosvm's exit statuses.

use crate::death::Death;

/// What an exit status means with `--extended-status`.
#[must_use]
pub(super) fn from_extended_status(code: i32) -> Death {
    match code {
        0 => Death::Shutdown,
        // A VM that does not start; unknown arguments.
        1 | 35 => Death::StartFailed,
        32 => Death::Reboot,
        // A crash of crosvm itself; a panic of the guest.
        33 | 34 => Death::Crash,
        36 => Death::WatchdogReboot,
        _ => Death::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::child::Exit;
    use crate::death::{Status, from_exit};

    #[test]
    fn an_extended_status_is_the_reason() {
        let of = |code| {
            let status = |code| Status::Means(from_extended_status(code));
            from_exit(Some(Exit::Code(code)), None, true, status)
        };
        for (code, death) in [
            (0, Death::Shutdown),
            (1, Death::StartFailed),
            (32, Death::Reboot),
            (33, Death::Crash),
            (34, Death::Crash),
            (35, Death::StartFailed),
            (36, Death::WatchdogReboot),
            (2, Death::Unknown),
            (143, Death::Unknown),
        ] {
            assert_eq!(of(code), death, "{code}");
        }
    }
}
