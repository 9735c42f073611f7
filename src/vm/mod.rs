// SPDX-License-Identifier: Apache-2.0
//! A VM's life: its plan, its state, the thread that owns its processes.

mod channels;
mod control_socket;
mod device;
pub mod directory;
mod driver;
mod error;
mod instance;
mod metrics;
mod output;
pub mod plan;
mod ramdump;
mod registry;
mod state;
mod tombstone;
pub mod vhost;

pub use control_socket::CONTROL_SOCKET;
pub use device::VSOCK_SOCKET;
pub use directory::VmDirectory;
pub use error::Error;
pub use instance::Instance;
pub use ramdump::Destination;
pub use registry::Vms;
pub use state::{PayloadState, State};

use crate::profile::{Atoms, Attestation};
use std::time::Duration;
use vmm::accel::Acceleration;

/// What makes a VM unique on this machine while it lives.
#[derive(Debug)]
pub struct Context {
    /// The VM's name.
    pub name: String,
    /// Its CID.
    pub cid: u32,
    /// The guest's place on the kernel's vsock; none if this host has no such device.
    pub vsock: Option<vhost::KernelVsock>,
    /// Its temporary directory, which holds the CID among managers.
    pub directory: VmDirectory,
    /// What it has of the profile's; given back after the directory.
    pub held: crate::profile::Held,
}

/// How a VM is run on this host, beside what its client asks for.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// How guest code is run.
    pub accel: Acceleration,
    /// How long the guest may take until its payload has started; for ever if absent.
    pub boot_timeout: Option<Duration>,
    /// Where a dump of the guest's memory goes; the guest writes none if absent.
    pub ramdump: Option<Destination>,
    /// Who is told of the boot and the end.
    pub atoms: Atoms,
    /// How the guest has itself certified.
    pub attestation: Attestation,
}
