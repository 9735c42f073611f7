// SPDX-License-Identifier: Apache-2.0
//! The enumerations of the interface, with their names.

use avf_aidl::{common, service};
use std::fmt;

/// Makes an enum of an AIDL enumeration whose `Display` is the name in the interface definition.
macro_rules! named {
    ($(#[$meta:meta])* $name:ident($aidl:ty) { $($(#[$vmeta:meta])* $variant:ident = $constant:ident,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$vmeta])* $variant,)*
            /// A value that this version does not know: the peer is newer.
            Unrecognized(i32),
        }

        impl From<$aidl> for $name {
            fn from(value: $aidl) -> Self {
                match value {
                    $(<$aidl>::$constant => Self::$variant,)*
                    other => Self::Unrecognized(other.0),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant => f.pad(stringify!($constant)),)*
                    Self::Unrecognized(value) => f.pad(&format!("unrecognized value {value}")),
                }
            }
        }
    };
}

named! {
    /// Why a VM died: `android.system.virtualizationcommon.DeathReason`.
    DeathReason(common::DeathReason) {
        /// The manager failed to wait for the VMM.
        InfrastructureError = INFRASTRUCTURE_ERROR,
        /// The VMM was killed, as `stop` does.
        Killed = KILLED,
        /// None of the other reasons is known.
        Unknown = UNKNOWN,
        /// The guest powered off.
        Shutdown = SHUTDOWN,
        /// The VMM did not start the guest.
        StartFailed = START_FAILED,
        /// The guest asked for a reboot.
        Reboot = REBOOT,
        /// The guest's kernel or the VMM crashed.
        Crash = CRASH,
        /// Protected VM firmware: the public key of the instance differs.
        PvmFirmwarePublicKeyMismatch = PVM_FIRMWARE_PUBLIC_KEY_MISMATCH,
        /// Protected VM firmware: the instance image was changed.
        PvmFirmwareInstanceImageChanged = PVM_FIRMWARE_INSTANCE_IMAGE_CHANGED,
        /// The guest could not reach the manager.
        MicrodroidFailedToConnectToVirtualizationService = MICRODROID_FAILED_TO_CONNECT_TO_VIRTUALIZATION_SERVICE,
        /// The payload is another than at the first boot.
        MicrodroidPayloadHasChanged = MICRODROID_PAYLOAD_HAS_CHANGED,
        /// The payload's signature or hash is wrong.
        MicrodroidPayloadVerificationFailed = MICRODROID_PAYLOAD_VERIFICATION_FAILED,
        /// The payload's configuration is wrong.
        MicrodroidInvalidPayloadConfig = MICRODROID_INVALID_PAYLOAD_CONFIG,
        /// Another failure in the guest.
        MicrodroidUnknownRuntimeError = MICRODROID_UNKNOWN_RUNTIME_ERROR,
        /// The VM did not report in time.
        Hangup = HANGUP,
        /// The guest's watchdog fired.
        WatchdogReboot = WATCHDOG_REBOOT,
        /// The host shuts down; since Android 17.
        HostShutdown = HOST_SHUTDOWN,
    }
}

named! {
    /// What a guest complains about: `android.system.virtualizationcommon.ErrorCode`.
    ErrorCode(common::ErrorCode) {
        /// None of the other errors.
        Unknown = UNKNOWN,
        /// The payload's signature or hash is wrong.
        PayloadVerificationFailed = PAYLOAD_VERIFICATION_FAILED,
        /// The payload is another than at the first boot.
        PayloadChanged = PAYLOAD_CHANGED,
        /// The payload's configuration is wrong.
        PayloadInvalidConfig = PAYLOAD_INVALID_CONFIG,
    }
}

named! {
    /// How far a VM is: `android.system.virtualizationservice.VirtualMachineState`.
    State(service::VirtualMachineState) {
        /// Created, not started.
        NotStarted = NOT_STARTED,
        /// The VMM runs; the payload has not been started.
        Starting = STARTING,
        /// The payload has been started.
        Started = STARTED,
        /// The payload says that it is ready.
        Ready = READY,
        /// The payload has ended.
        Finished = FINISHED,
        /// The VM is dead.
        Dead = DEAD,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The generated bindings know all values; each must have a name of its own here.
    #[test]
    fn every_value_of_the_interface_has_its_name() {
        for value in common::DeathReason::enum_values() {
            assert!(
                !matches!(DeathReason::from(value), DeathReason::Unrecognized(_)),
                "{value:?}"
            );
        }
        for value in common::ErrorCode::enum_values() {
            assert!(
                !matches!(ErrorCode::from(value), ErrorCode::Unrecognized(_)),
                "{value:?}"
            );
        }
        for value in service::VirtualMachineState::enum_values() {
            assert!(
                !matches!(State::from(value), State::Unrecognized(_)),
                "{value:?}"
            );
        }
    }

    #[test]
    fn names_are_those_of_the_interface() {
        assert_eq!(
            DeathReason::from(common::DeathReason(3)).to_string(),
            "SHUTDOWN"
        );
        assert_eq!(
            DeathReason::from(common::DeathReason(9)).to_string(),
            "unrecognized value 9"
        );
        assert_eq!(
            format!("{:>8}", State::from(service::VirtualMachineState(6))),
            "    DEAD"
        );
    }
}
