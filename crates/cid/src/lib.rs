// SPDX-License-Identifier: Apache-2.0
//! The CIDs of VMs: which are handed out ([`CIDS`]), and what keeps one from other VMs of the machine: a
//! lock among all processes ([`CidLocks`]), and the kernel, where it has the device for guests' vsock
//! ([`kernel`]).
#![deny(unsafe_code)]

mod file;
pub mod kernel;
mod lock;

pub use lock::{CidLock, CidLocks, Error, FILE};

/// The CIDs that are handed out. Those below are for static assignment.
pub const CIDS: std::ops::RangeInclusive<u32> = 2048..=65535;
