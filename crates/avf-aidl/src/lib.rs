// SPDX-License-Identifier: Apache-2.0
//! Rust bindings of the Android Virtualization Framework's binder interfaces, generated from the
//! `.aidl` files in this repository's directory `aidl`.
//!
//! The generator gives each AIDL type a module of the type's own name. The modules here re-export
//! the types under short paths, one module for each peer that they are spoken with. For an
//! interface `IFoo` there are the trait `IFoo` (what a server implements and a client calls),
//! `BnFoo` (`BnFoo::new_binder(server)` makes a binder object of a server) and `BpFoo` (the proxy,
//! seldom needed by name).
//!
//! What the Rust types do not show:
//!
//! - An enum is a newtype around its number, so a peer may send a value that no constant names.
//! - A field of the type `ParcelFileDescriptor` that the AIDL does not call `@nullable` is an
//!   `Option` all the same, as its type has no default; sending `None` is an error
//!   (`UnexpectedNull`), and it never arrives as `None`.
#![forbid(unsafe_code)]

#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::pedantic,
    clippy::restriction,
    reason = "generated code; its documentation is in the .aidl files"
)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/avf.rs"));
}

#[cfg(test)]
mod contract;

/// Compiles the example of the read-me.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadMe;

/// Types that several of the interfaces use.
pub mod common {
    pub use crate::generated::android::system::virtualizationcommon::{
        Certificate::Certificate, DeathReason::DeathReason, ErrorCode::ErrorCode,
    };
}

/// Between a client and its VM manager.
pub mod service {
    use crate::generated::android::system::virtualizationservice as types;

    pub use types::{
        AssignableDevice::AssignableDevice,
        AudioConfig::AudioConfig,
        CpuTopology::CpuTopology,
        DiskImage::DiskImage,
        DisplayConfig::DisplayConfig,
        GpuConfig::GpuConfig,
        IVirtualMachine::{BnVirtualMachine, BpVirtualMachine, IVirtualMachine},
        IVirtualMachineCallback::{
            BnVirtualMachineCallback, BpVirtualMachineCallback, IVirtualMachineCallback,
        },
        IVirtualizationService::{
            BnVirtualizationService, BpVirtualizationService, FEATURE_DICE_CHANGES,
            FEATURE_LLPVM_CHANGES, FEATURE_MULTI_TENANT, FEATURE_NETWORK,
            FEATURE_REMOTE_ATTESTATION, FEATURE_VENDOR_MODULES, IVirtualizationService,
        },
        InputDevice::InputDevice,
        Partition::Partition,
        PartitionType::PartitionType,
        UsbConfig::UsbConfig,
        VirtualMachineAppConfig::VirtualMachineAppConfig,
        VirtualMachineConfig::VirtualMachineConfig,
        VirtualMachineDebugInfo::VirtualMachineDebugInfo,
        VirtualMachinePayloadConfig::VirtualMachinePayloadConfig,
        VirtualMachineRawConfig::VirtualMachineRawConfig,
        VirtualMachineState::VirtualMachineState,
    };

    /// The kinds of [`InputDevice`].
    pub mod input_device {
        pub use super::types::InputDevice::{
            EvDev::EvDev, Keyboard::Keyboard, Mouse::Mouse, MultiTouch::MultiTouch,
            SingleTouch::SingleTouch, Switches::Switches, Trackpad::Trackpad,
        };
    }

    /// The parts of a [`VirtualMachineAppConfig`].
    pub mod app_config {
        pub use super::types::VirtualMachineAppConfig::{
            CustomConfig::CustomConfig, DebugLevel::DebugLevel, Payload::Payload,
        };
    }
}

/// Between a guest and its VM manager.
pub mod guest {
    pub use crate::generated::android::system::virtualmachineservice::IVirtualMachineService::{
        BnVirtualMachineService, BpVirtualMachineService, IVirtualMachineService,
        VM_TOMBSTONES_SERVICE_PORT,
    };
}

/// The store for secrets of VMs, which a guest reaches through its manager.
pub mod secretkeeper {
    pub use crate::generated::android::hardware::security::secretkeeper::{
        ISecretkeeper::{BnSecretkeeper, BpSecretkeeper, ISecretkeeper},
        SecretId::SecretId,
    };
}

/// Between a manager and the one global service of a running Android system.
#[cfg(feature = "full")]
pub mod global {
    pub use crate::generated::android::system::virtualizationservice_internal::{
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

/// Between the system server and the global service: what became of apps and users.
#[cfg(feature = "full")]
pub mod maintenance {
    pub use crate::generated::android::system::virtualizationmaintenance::{
        IVirtualizationMaintenance::{
            BnVirtualizationMaintenance, BpVirtualizationMaintenance, IVirtualizationMaintenance,
        },
        IVirtualizationReconciliationCallback::{
            BnVirtualizationReconciliationCallback, BpVirtualizationReconciliationCallback,
            ERROR_STOP_REQUESTED, IVirtualizationReconciliationCallback,
        },
    };
}

/// Other Android services that the manager calls.
#[cfg(feature = "full")]
pub mod platform {
    pub use crate::generated::android::{
        content::pm::{
            IPackageManagerNative::{
                BnPackageManagerNative, BpPackageManagerNative, IPackageManagerNative,
            },
            StagedApexInfo::StagedApexInfo,
        },
        os::IPermissionController::{
            BnPermissionController, BpPermissionController, IPermissionController,
        },
        system::vmtethering::IVmTethering::{BnVmTethering, BpVmTethering, IVmTethering},
    };
}
