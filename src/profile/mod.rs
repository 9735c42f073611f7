// SPDX-License-Identifier: Apache-2.0
//! The one switch between the two programs. Each profile is a module with the same items:
//!
//! | item | what it is |
//! | --- | --- |
//! | `NAME`, `ABOUT` | the program's name and purpose |
//! | `CAPABILITIES` | what this profile can do for a VM at all |
//! | `lift_memory_lock_limit` | how the limit on locked memory is lifted |
//! | `Selection` | which APEXes a Microdroid gets |
//! | `vendor_digest` | what the guest verifies the vendor's image by |
//! | `no_global_service` | the answer of a method that needs the global service |
//! | `Provider`, `Request` | who may have a VM, and its CID and directory |

#[cfg(early)]
mod early;
#[cfg(not(early))]
mod full;
#[cfg(not(early))]
mod vendor_image;

#[cfg(early)]
use early as chosen;
#[cfg(not(early))]
use full as chosen;

pub use chosen::{
    ABOUT, CAPABILITIES, NAME, Provider, Request, Selection, lift_memory_lock_limit,
    no_global_service, vendor_digest,
};

/// What a profile can do for a VM. A permission check that is not made never switches one on.
#[derive(Debug, Clone, Copy)]
pub struct Capabilities {
    /// Networking (a TAP device).
    pub network: bool,
    /// Assigning devices of the host.
    pub device_assignment: bool,
    /// Kernels and images of the vendor for Microdroid.
    pub vendor_modules: bool,
    /// Several payloads in one VM.
    pub multi_tenant: bool,
}
