// SPDX-License-Identifier: Apache-2.0
//! Why a VM died: from the VMM's exit, its last words and the guest's own failure text.

use crate::child::Exit;

/// How the VMM says that a VM ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The guest powered off.
    Shutdown,
    /// The guest asked for a reboot.
    Reboot,
    /// The guest's kernel panicked.
    Crash,
    /// The guest's watchdog fired.
    Watchdog,
    /// The host ended it (a signal to the VMM, or a command).
    Host,
}

/// Why a VM died, as clients are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// Waiting for the VMM failed.
    InfrastructureError,
    /// The VMM was killed.
    Killed,
    /// None of the other reasons is known.
    Unknown,
    /// The guest powered off.
    Shutdown,
    /// The VMM did not start the guest.
    StartFailed,
    /// The guest asked for a reboot.
    Reboot,
    /// The guest's kernel panicked.
    Crash,
    /// Protected VM firmware: the instance's public key differs.
    PvmFirmwarePublicKeyMismatch,
    /// Protected VM firmware: the instance image was changed.
    PvmFirmwareInstanceImageChanged,
    /// Microdroid did not reach the manager's guest-facing service.
    MicrodroidFailedToConnect,
    /// Microdroid: the payload is another than at the first boot.
    MicrodroidPayloadHasChanged,
    /// Microdroid: the payload's signature or hash is wrong.
    MicrodroidPayloadVerificationFailed,
    /// Microdroid: the payload's configuration is wrong.
    MicrodroidInvalidPayloadConfig,
    /// Microdroid: another failure.
    MicrodroidUnknownRuntimeError,
    /// The VM did not report in time.
    Hangup,
    /// The guest's watchdog fired.
    WatchdogReboot,
}

/// The reason that a guest writes on its failure line: the text up to `|`.
#[must_use]
pub fn from_failure_text(text: &str) -> Option<Death> {
    let word = text.split('|').next().unwrap_or_default().trim();
    Some(match word {
        "PVM_FIRMWARE_PUBLIC_KEY_MISMATCH" => Death::PvmFirmwarePublicKeyMismatch,
        "PVM_FIRMWARE_INSTANCE_IMAGE_CHANGED" => Death::PvmFirmwareInstanceImageChanged,
        "MICRODROID_FAILED_TO_CONNECT_TO_VIRTUALIZATION_SERVICE" => {
            Death::MicrodroidFailedToConnect
        }
        "MICRODROID_PAYLOAD_HAS_CHANGED" => Death::MicrodroidPayloadHasChanged,
        "MICRODROID_PAYLOAD_VERIFICATION_FAILED" => Death::MicrodroidPayloadVerificationFailed,
        "MICRODROID_INVALID_PAYLOAD_CONFIG" => Death::MicrodroidInvalidPayloadConfig,
        "MICRODROID_UNKNOWN_RUNTIME_ERROR" => Death::MicrodroidUnknownRuntimeError,
        "HANGUP" => Death::Hangup,
        _ => return None,
    })
}

/// What a VMM's exit status says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The reason itself.
    Means(Death),
    /// Nothing: the VMM tells over its control channel how a guest ended.
    Silent,
}

/// The reason from what the VMM did: `ready` tells whether it ever ran the guest.
#[must_use]
pub fn from_exit(
    exit: Option<Exit>,
    ending: Option<Ending>,
    ready: bool,
    status: impl FnOnce(i32) -> Status,
) -> Death {
    let code = match exit {
        None => return Death::InfrastructureError,
        Some(Exit::Signal(_)) => return Death::Killed,
        Some(Exit::Code(code)) => code,
    };
    match (ending, status(code)) {
        (Some(Ending::Host), _) => Death::Killed,
        (Some(Ending::Shutdown), _) => Death::Shutdown,
        (Some(Ending::Reboot), _) => Death::Reboot,
        (Some(Ending::Crash), _) => Death::Crash,
        (Some(Ending::Watchdog), _) => Death::WatchdogReboot,
        (None, Status::Means(death)) => death,
        (None, Status::Silent) if !ready => Death::StartFailed,
        (None, Status::Silent) if code == 0 => Death::Shutdown,
        (None, Status::Silent) => Death::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_failure_text_ends_at_the_bar() {
        assert_eq!(from_failure_text("HANGUP|no answer"), Some(Death::Hangup));
        assert_eq!(
            from_failure_text("MICRODROID_PAYLOAD_HAS_CHANGED"),
            Some(Death::MicrodroidPayloadHasChanged)
        );
        assert_eq!(from_failure_text("Kernel panic"), None);
        assert_eq!(from_failure_text(""), None);
    }

    #[test]
    fn a_vmm_that_never_ran_the_guest_failed_to_start_it() {
        let silent = |_| Status::Silent;
        let code = |code, ending, ready| from_exit(Some(Exit::Code(code)), ending, ready, silent);
        assert_eq!(code(1, None, false), Death::StartFailed);
        assert_eq!(code(1, None, true), Death::Unknown);
        assert_eq!(code(0, Some(Ending::Reboot), true), Death::Reboot);
        let killed = from_exit(Some(Exit::Signal(9)), Some(Ending::Shutdown), true, silent);
        assert_eq!(killed, Death::Killed);
        assert_eq!(
            from_exit(None, None, true, silent),
            Death::InfrastructureError
        );
    }
}
