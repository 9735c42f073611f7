// SPDX-License-Identifier: Apache-2.0
//! The interfaces of Android 15 QPR1.

crate::release::release! {
    "r15_qpr1.rs",
    common {}
    service {
        CpuTopology::CpuTopology,
        IVirtualizationService::{
            FEATURE_DICE_CHANGES, FEATURE_MULTI_TENANT, FEATURE_REMOTE_ATTESTATION,
        },
        AudioConfig::AudioConfig,
        UsbConfig::UsbConfig,
    }
    input_device {
        Switches::Switches, Trackpad::Trackpad, MultiTouch::MultiTouch,
    }
    service_modules {}
    common_modules {}
    guest {}
    secretkeeper {}
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

/// The package manager of the platform.
#[cfg(feature = "full")]
pub mod package_manager {
    pub use super::generated::android::content::pm::{
        IPackageManagerNative::{
            BnPackageManagerNative, BpPackageManagerNative, IPackageManagerNative,
        },
        StagedApexInfo::StagedApexInfo,
    };
}
