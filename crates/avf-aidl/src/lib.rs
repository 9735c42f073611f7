// SPDX-License-Identifier: Apache-2.0
//! Rust bindings of the Android Virtualization Framework's binder interfaces, generated from the
//! `.aidl` files in this repository's directory `aidl`.
//!
//! The generator gives each AIDL type a module of the type's own name. The modules here re-export
//! the types under short paths: one module for each release of Android, and in it one for each peer
//! that they are spoken with. For an
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

mod release;

#[cfg(feature = "release-15")]
pub mod r15;
#[cfg(feature = "release-15-qpr1")]
pub mod r15_qpr1;
#[cfg(feature = "release-15-qpr2")]
pub mod r15_qpr2;
#[cfg(feature = "release-16")]
pub mod r16;
#[cfg(feature = "release-17")]
pub mod r17;
pub mod r17_1;

pub use r17_1::{common, guest, secretkeeper, service};

#[cfg(test)]
mod contract;

/// Compiles the example of the read-me.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadMe;

#[cfg(feature = "full")]
pub use r17_1::global;

/// Between the system server and the global service: what became of apps and users.
#[cfg(feature = "full")]
pub mod maintenance {
    pub use crate::r17_1::generated::android::system::virtualizationmaintenance::{
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
    pub use crate::r17_1::generated::android::{
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
