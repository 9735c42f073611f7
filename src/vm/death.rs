// SPDX-License-Identifier: Apache-2.0
//! Why a VM died, by the interface's numbers.

use avf_aidl::common::DeathReason;
use vmm::death::Death;

/// The interface's number for a reason.
pub(super) fn death_reason(death: Death) -> DeathReason {
    match death {
        Death::InfrastructureError => DeathReason::INFRASTRUCTURE_ERROR,
        Death::Killed => DeathReason::KILLED,
        Death::Unknown => DeathReason::UNKNOWN,
        Death::Shutdown => DeathReason::SHUTDOWN,
        Death::StartFailed => DeathReason::START_FAILED,
        Death::Reboot => DeathReason::REBOOT,
        Death::Crash => DeathReason::CRASH,
        Death::PvmFirmwarePublicKeyMismatch => DeathReason::PVM_FIRMWARE_PUBLIC_KEY_MISMATCH,
        Death::PvmFirmwareInstanceImageChanged => DeathReason::PVM_FIRMWARE_INSTANCE_IMAGE_CHANGED,
        Death::MicrodroidFailedToConnect => {
            DeathReason::MICRODROID_FAILED_TO_CONNECT_TO_VIRTUALIZATION_SERVICE
        }
        Death::MicrodroidPayloadHasChanged => DeathReason::MICRODROID_PAYLOAD_HAS_CHANGED,
        Death::MicrodroidPayloadVerificationFailed => {
            DeathReason::MICRODROID_PAYLOAD_VERIFICATION_FAILED
        }
        Death::MicrodroidInvalidPayloadConfig => DeathReason::MICRODROID_INVALID_PAYLOAD_CONFIG,
        Death::MicrodroidUnknownRuntimeError => DeathReason::MICRODROID_UNKNOWN_RUNTIME_ERROR,
        Death::Hangup => DeathReason::HANGUP,
        Death::WatchdogReboot => DeathReason::WATCHDOG_REBOOT,
    }
}
