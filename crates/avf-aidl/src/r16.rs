// SPDX-License-Identifier: Apache-2.0
//! The interfaces of Android 16, with what its QPRs added.

crate::release::release! {
    "r16.rs",
    common {
        Atom::Atom,
        IEncryptedStoreKEK::{BnEncryptedStoreKEK, BpEncryptedStoreKEK, IEncryptedStoreKEK},
    }
    service {
        IVirtualizationService::{
            FEATURE_DICE_CHANGES, FEATURE_MULTI_TENANT, FEATURE_REMOTE_ATTESTATION,
        },
        IVirtualMachine::ERROR_UNEXPECTED,
        AudioConfig::AudioConfig,
        UsbConfig::UsbConfig,
        SharedPath::SharedPath,
        CpuOptions::CpuOptions,
        CustomMemoryBackingFile::CustomMemoryBackingFile,
        AssignedDevices::AssignedDevices,
    }
    input_device {
        Switches::Switches, Trackpad::Trackpad, MultiTouch::MultiTouch,
    }
    service_modules {
        /// The parts of [`CpuOptions`].
        pub mod cpu_options {
            pub use super::types::CpuOptions::CpuTopology::CpuTopology;
        }
    }
    common_modules {
        /// The events of an [`Atom`].
        pub mod atom {
            pub use super::types::Atom::{
                CgroupMemoryBreachReported::CgroupMemoryBreachReported,
                FsckFailedReported::FsckFailedReported,
                GetOrCreateSkSecretFailedReported::GetOrCreateSkSecretFailedReported,
                PsiMonitorFailedReported::PsiMonitorFailedReported,
            };
        }
    }
    guest {
        pub use types::IGuestAgent::{BnGuestAgent, BpGuestAgent, IGuestAgent};
        pub use super::generated::android::os::IRpcProvider::{
            BnRpcProvider, BpRpcProvider, IRpcProvider,
            ServiceConnectionInfo::ServiceConnectionInfo, ServiceConnectionInfo::Vsock::Vsock,
        };
    }
    secretkeeper {
        PublicKey::PublicKey,
    }
}

/// Between a manager and the one global service of a running Android system.
#[cfg(feature = "full")]
pub mod global {
    pub use super::generated::android::system::virtualizationservice_internal::{
        AtomVmBooted::AtomVmBooted,
        AtomVmCreationRequested::AtomVmCreationRequested,
        AtomVmExited::AtomVmExited,
        IBoundDevice::{BnBoundDevice, BpBoundDevice, IBoundDevice},
        IGlobalVmContext::{BnGlobalVmContext, BpGlobalVmContext, IGlobalVmContext},
        IVfioHandler::{BnVfioHandler, BpVfioHandler, IVfioHandler, VfioDev::VfioDev},
        IVirtualizationServiceInternal::{
            BnVirtualizationServiceInternal, BpVirtualizationServiceInternal,
            IVirtualizationServiceInternal,
        },
        IVmnic::{BnVmnic, BpVmnic, IVmnic},
    };
}
