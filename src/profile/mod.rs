// SPDX-License-Identifier: Apache-2.0
//! The one switch between the two programs. Each profile is a module with the same items:
//!
//! | item | what it is |
//! | --- | --- |
//! | `NAME`, `ABOUT` | the program's name and purpose |
//! | `CAPABILITIES` | what this profile can do for a VM at all |
//! | `lift_memory_lock_limit` | how the limit on locked memory is lifted at the start |
//! | `Selection` | which APEXes a Microdroid gets |
//! | `no_global_service` | the answer of a method that needs the global service |
//! | `Provider`, `Grant` | who may have a VM, its CID and directory, its network and devices |
//! | `Attestation` | how a guest has itself certified |

#[cfg(early)]
mod early;
#[cfg(not(early))]
mod full;

#[cfg(early)]
use early as chosen;
#[cfg(not(early))]
use full as chosen;

pub use chosen::{
    ABOUT, Attestation, CAPABILITIES, Grant, NAME, Provider, Selection, lift_memory_lock_limit,
    no_global_service,
};

/// A VM that a client asks for, before anything of it is made.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The VM's name.
    pub name: &'a str,
    /// Its instance id.
    pub instance_id: &'a [u8; 64],
    /// Whether the client says more about it than an app may.
    pub is_custom: bool,
    /// Whether it wants a network.
    pub network: bool,
}
