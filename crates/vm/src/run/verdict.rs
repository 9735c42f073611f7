// SPDX-License-Identifier: Apache-2.0
//! What a VM's end means: words for the user, and an exit status.

use super::progress::Progress;
use crate::harmless::harmless;
use crate::out::{tell, tell_failure};
use std::process::ExitCode;
use std::time::Instant;
use vmclient::DeathReason;

/// Lines of the console that are shown when a VM fails whose console was not.
const LAST_LINES: usize = 20;

/// How a VM ended.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) reason: DeathReason,
    /// The payload's exit code, if it reported one.
    pub(super) code: Option<i32>,
    /// Whether the guest reported an error, which was told when it came.
    pub(super) has_told_error: bool,
    /// The end of the console's output.
    pub(super) last_words: String,
    /// Whether output of the guest could not be written where the user wanted it.
    pub(super) has_lost_output: bool,
}

/// Tells how the VM ended, and makes an exit status of it.
pub(super) fn judge(outcome: &Outcome, hides_console: bool, progress: &Progress) -> ExitCode {
    match (outcome.reason, outcome.code) {
        (DeathReason::Shutdown, code) => {
            progress.done(Instant::now(), "the guest has powered off");
            match code.unwrap_or(0) {
                // It was told when it happened.
                0 if outcome.has_lost_output => ExitCode::FAILURE,
                code => exit_code(code),
            }
        }
        (reason, code) => {
            // A guest that was killed from outside has not said why, another has said it already.
            let may_tell =
                reason != DeathReason::Killed && hides_console && !outcome.has_told_error;
            if may_tell && !outcome.last_words.trim().is_empty() {
                tell(&format!(
                    "The last lines of the console:\n{}",
                    last_lines(&harmless(&outcome.last_words))
                ));
            }
            tell_failure(&format!("the VM died: {} ({reason})", explain(reason)));
            code.filter(|code| *code != 0)
                .map_or(ExitCode::FAILURE, exit_code)
        }
    }
}

/// A reason in words, with a likely cause where the reason alone does not help.
fn explain(reason: DeathReason) -> &'static str {
    match reason {
        DeathReason::InfrastructureError => "the manager lost its VMM",
        DeathReason::Killed => {
            "the VMM was killed, by `vm stop` or by someone else, for example the kernel when the \
             host ran out of memory"
        }
        DeathReason::Shutdown => "the guest powered off",
        DeathReason::StartFailed => "the VMM did not start the guest",
        DeathReason::Reboot => {
            "the guest asked for a reboot, which ends a VM; its kernel does so after a panic if its \
             parameters have panic=-1"
        }
        DeathReason::Crash => "the guest's kernel or the VMM crashed",
        DeathReason::PvmFirmwarePublicKeyMismatch => {
            "the firmware of the protected VM found another public key than at the first boot"
        }
        DeathReason::PvmFirmwareInstanceImageChanged => {
            "the firmware of the protected VM found that the instance image was changed"
        }
        DeathReason::MicrodroidFailedToConnectToVirtualizationService => {
            "the guest could not connect to the manager over vsock"
        }
        DeathReason::MicrodroidPayloadHasChanged => {
            "the payload is not the one of this instance's first boot"
        }
        DeathReason::MicrodroidPayloadVerificationFailed => {
            "the guest could not verify the payload"
        }
        DeathReason::MicrodroidInvalidPayloadConfig => "the guest cannot run the payload",
        DeathReason::MicrodroidUnknownRuntimeError => "the guest failed; its log says why",
        DeathReason::Hangup => "the guest did not report in time",
        DeathReason::WatchdogReboot => "the guest hung, and its watchdog reset it",
        DeathReason::HostShutdown => "the host shuts down",
        _ => "the VMM ended for an unknown reason",
    }
}

/// A payload's exit code as ours: what does not fit is a failure.
fn exit_code(code: i32) -> ExitCode {
    u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from)
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_lines_are_shown() {
        let text: String = (0..LAST_LINES + 3).map(|n| format!("line {n}\n")).collect();
        let shown = last_lines(&text);
        assert!(shown.starts_with("line 3\n"), "{shown}");
        assert!(
            shown.ends_with(&format!("line {}", LAST_LINES + 2)),
            "{shown}"
        );
        assert_eq!(last_lines("one"), "one");
    }

    #[test]
    fn a_death_is_told_in_words() {
        assert!(explain(DeathReason::Killed).contains("vm stop"));
        assert!(explain(DeathReason::Reboot).contains("panic"));
        assert!(explain(DeathReason::Unrecognized(99)).contains("unknown reason"));
    }
}
