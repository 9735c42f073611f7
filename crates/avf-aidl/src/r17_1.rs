// SPDX-License-Identifier: Apache-2.0
//! The interfaces of Android 17.1.

crate::release::release! {
    "r17_1.rs",
    common {
        Atom::Atom,
        IEncryptedStoreKEK::{BnEncryptedStoreKEK, BpEncryptedStoreKEK, IEncryptedStoreKEK},
        IGuestAgent::{BnGuestAgent, BpGuestAgent, IGuestAgent},
        ICEStoreKEK::{BnCEStoreKEK, BpCEStoreKEK, ICEStoreKEK},
        IMicrodroidGuestAgent::{BnMicrodroidGuestAgent, BpMicrodroidGuestAgent, IMicrodroidGuestAgent},
    }
    service {
        IVirtualizationService::FEATURE_ADVANCE_MULTITENANCY,
        IVirtualMachine::ERROR_UNEXPECTED,
        AudioConfig::AudioConfig,
        UsbConfig::UsbConfig,
        SharedPath::SharedPath,
        CpuOptions::CpuOptions,
        CustomMemoryBackingFile::CustomMemoryBackingFile,
        SmbiosOptions::SmbiosOptions,
        VirtualMachineDisplay::VirtualMachineDisplay,
        AssignableDeviceSelector::AssignableDeviceSelector,
        DeviceAssignmentConfig::DeviceAssignmentConfig,
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
                StaleEncryptedstoreDetected::StaleEncryptedstoreDetected, VmBooted::VmBooted,
                VmCreationRequested::VmCreationRequested, VmExited::VmExited,
            };
        }
    }
    guest {
        pub use super::generated::android::os::IRpcProvider::{
            BnRpcProvider, BpRpcProvider, IRpcProvider,
            ServiceConnectionInfo::ServiceConnectionInfo, ServiceConnectionInfo::Vsock::Vsock,
        };
    }
    secretkeeper {
        PublicKey::PublicKey,
    }
}

/// Between a manager and the one global service of a running Android system. The one form that is
/// known after that of Android 16; `IGlobalVmContext` is of the forms before it.
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
            IVirtualizationServiceInternal, VmContext::VmContext,
        },
        IVmnic::{BnVmnic, BpVmnic, IVmnic},
    };
}
