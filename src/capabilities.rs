// SPDX-License-Identifier: Apache-2.0
//! What a manager can do for VMs, as it was built.
//!
//! | Cargo feature | flag of the interface | without it |
//! | --- | --- | --- |
//! | `network` | `com.android.kvm.NETWORK` | `networkSupported` is refused |
//! | `vendor_modules` | `com.android.kvm.VENDOR_MODULES` | `customConfig.vendorImage` and `customKernelImage` are refused |
//! | `multi_tenant` | `com.android.kvm.MULTI_TENANT` | further APKs are refused |
//! | `device_assignment` | - | `devices` are refused, and none are listed |
//! | `llpvm_changes` | `com.android.kvm.LLPVM_CHANGES` | no instance ids are given out, removed or claimed; no VM can be updated |
//! | `remote_attestation` | `com.android.kvm.REMOTE_ATTESTATION` | attestation is refused to clients and guests |
//! | `dice_changes` | `com.android.kvm.DICE_CHANGES` | only the flag: what it stands for is in the guest |
//!
//! What is refused is UNSUPPORTED_OPERATION, with the name of the field or method.

use avf_aidl::service::{FEATURE_LLPVM_CHANGES, FEATURE_NETWORK, FEATURE_VENDOR_MODULES};

/// Flags of older releases, whose clients still ask for them.
const FEATURE_DICE_CHANGES: &str = "com.android.kvm.DICE_CHANGES";
/// See [`FEATURE_DICE_CHANGES`].
const FEATURE_MULTI_TENANT: &str = "com.android.kvm.MULTI_TENANT";
/// See [`FEATURE_DICE_CHANGES`].
const FEATURE_REMOTE_ATTESTATION: &str = "com.android.kvm.REMOTE_ATTESTATION";

/// What a profile can do for a VM. A permission check that is not made never switches one on.
#[derive(Debug, Clone, Copy)]
pub struct Capabilities {
    /// The program that has them.
    pub program: &'static str,
    /// Networking (a TAP device).
    pub network: bool,
    /// Assigning devices of the host.
    pub device_assignment: bool,
    /// Kernels and images of the vendor for Microdroid.
    pub vendor_modules: bool,
    /// Several payloads in one VM.
    pub multi_tenant: bool,
    /// Instances that keep their secrets over an update.
    pub llpvm_changes: bool,
    /// Certifying to others what runs in a guest.
    pub remote_attestation: bool,
    /// The newer way in which a guest derives its secrets.
    pub dice_changes: bool,
}

impl Capabilities {
    /// All that `program` was built with.
    pub(crate) const fn of_build(program: &'static str) -> Self {
        Self {
            program,
            network: cfg!(feature = "network"),
            device_assignment: cfg!(feature = "device_assignment"),
            vendor_modules: cfg!(feature = "vendor_modules"),
            multi_tenant: cfg!(feature = "multi_tenant"),
            llpvm_changes: cfg!(feature = "llpvm_changes"),
            remote_attestation: cfg!(feature = "remote_attestation"),
            dice_changes: cfg!(feature = "dice_changes"),
        }
    }

    /// Whether the feature with the interface's name `flag` is there; an unknown one is not.
    #[must_use]
    pub fn has(self, flag: &str) -> bool {
        match flag {
            FEATURE_DICE_CHANGES => self.dice_changes,
            FEATURE_LLPVM_CHANGES => self.llpvm_changes,
            FEATURE_MULTI_TENANT => self.multi_tenant,
            FEATURE_NETWORK => self.network,
            FEATURE_REMOTE_ATTESTATION => self.remote_attestation,
            FEATURE_VENDOR_MODULES => self.vendor_modules,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_flag_has_its_own_feature() {
        let none = Capabilities {
            program: "program",
            network: false,
            device_assignment: true,
            vendor_modules: false,
            multi_tenant: false,
            llpvm_changes: false,
            remote_attestation: false,
            dice_changes: false,
        };
        let flags = [
            (
                "NETWORK",
                Capabilities {
                    network: true,
                    ..none
                },
            ),
            (
                "VENDOR_MODULES",
                Capabilities {
                    vendor_modules: true,
                    ..none
                },
            ),
            (
                "MULTI_TENANT",
                Capabilities {
                    multi_tenant: true,
                    ..none
                },
            ),
            (
                "LLPVM_CHANGES",
                Capabilities {
                    llpvm_changes: true,
                    ..none
                },
            ),
            (
                "REMOTE_ATTESTATION",
                Capabilities {
                    remote_attestation: true,
                    ..none
                },
            ),
            (
                "DICE_CHANGES",
                Capabilities {
                    dice_changes: true,
                    ..none
                },
            ),
        ];
        for (flag, _) in flags {
            let name = format!("com.android.kvm.{flag}");
            assert!(!none.has(&name));
            let with: Vec<_> = flags.iter().filter(|(_, c)| c.has(&name)).collect();
            assert_eq!((with.len(), with[0].0), (1, flag));
        }
        assert!(!Capabilities::of_build("program").has("com.android.kvm.OTHER"));
    }
}
