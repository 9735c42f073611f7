// SPDX-License-Identifier: Apache-2.0
//! The one switch between the two programs. Each profile is a module with the same items:
//!
//! | item | what it is |
//! | --- | --- |
//! | `NAME`, `ABOUT` | the program's name and purpose |
//! | `CAPABILITIES` | what this profile can do for a VM at all |
//! | `lift_memory_lock_limit` | how the limit on locked memory is lifted at the start |
//! | `Selection` | which APEXes a Microdroid gets |
//! | `vendor_digest` | what the guest verifies the vendor's image by |
//! | `no_global_service` | the answer of a method that needs the global service |
//! | `Provider`, `Request` | who may have a VM, its CID and directory, its network and devices |
//! | `Held`, `Listing` | what a VM has of the profile's, and how its console is listed |
//! | `Atoms` | who is told of creations, boots and ends |
//! | `Attestation` | how a guest has itself certified |

mod capabilities;
#[cfg(early)]
mod early;
#[cfg(not(early))]
mod full;

#[cfg(early)]
use early as chosen;
#[cfg(not(early))]
use full as chosen;

pub use capabilities::Capabilities;
pub use chosen::{
    ABOUT, Atoms, Attestation, CAPABILITIES, Held, Listing, NAME, Provider, Request, Selection,
    lift_memory_lock_limit, no_global_service, vendor_digest,
};

use avf_aidl::common::DeathReason;
use std::time::Duration;
use vmm::plan::Assigned;

/// A VM that a client asks for, before anything of it is made.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// The VM's name.
    pub name: &'a str,
    /// Its instance id.
    pub instance_id: &'a [u8; 64],
    /// Whether the client says more about it than an app may.
    pub is_custom: bool,
    /// Whether it wants a network.
    pub network: bool,
}

/// Network and devices for one VM.
#[derive(Debug, Default)]
pub struct Equipment {
    /// An opened TAP device.
    pub tap: Option<std::os::fd::OwnedFd>,
    /// Devices of the host.
    pub assigned: Option<Assigned>,
}

/// A creation that was asked for.
#[derive(Debug)]
pub struct Creation<'a> {
    /// The VM's name.
    pub name: &'a str,
    /// Whether its memory should be protected from the host.
    pub is_protected: bool,
    /// Whether it was an app config.
    pub is_app: bool,
    /// Virtual CPUs.
    pub cpus: u32,
    /// Memory in MiB; 0 for the default.
    pub memory_mib: i32,
    /// The exception that the client got; 0 if the VM was created.
    pub exception: i32,
}

/// A VM that has ended.
#[derive(Debug)]
pub struct End<'a> {
    /// The VM's name.
    pub name: &'a str,
    /// Why.
    pub reason: DeathReason,
    /// The signal that ended the VMM; 0 if none did.
    pub signal: i32,
    /// From the start of its VMM to its end.
    pub elapsed: Duration,
    /// CPU time of the guest.
    pub guest_time: Duration,
    /// Peak resident set of the VMM, with the guest's memory, in KiB.
    pub peak_rss_kib: u64,
}
