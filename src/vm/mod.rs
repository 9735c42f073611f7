// SPDX-License-Identifier: Apache-2.0
//! A VM's life: its plan, its state, the thread that owns its processes.

mod callbacks;
mod control_socket;
mod death;
pub mod directory;
mod displays;
mod driver;
mod failure;
mod instance;
mod metrics;
mod output;
pub mod plan;
mod prepare;
mod ramdump;
mod registry;
mod state;
mod tombstone;
pub mod vhost;
mod vsock;

pub use callbacks::Callbacks;
pub use directory::VmDirectory;
pub use instance::Instance;
pub use ramdump::Destination;
pub use registry::Vms;
pub use state::{PayloadState, State};
pub use vsock::VSOCK_DEVICE;

use crate::reports::Reports;
use avf_aidl::common::IEncryptedStoreKEK;
use plan::Equipment;
use rsbinder::{SIBinder, Strong};
use std::any::Any;
use std::sync::Arc;
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
    /// Its network and devices of the host.
    pub equipment: Equipment,
    /// Where its console is listed, if it is.
    pub listing: Option<Arc<dyn Listing>>,
    /// What it has of the profile's; given back, by dropping it, after the directory.
    pub resources: Box<dyn Any + Send>,
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
    /// Receives the boot and the end of the VM.
    pub reports: Arc<dyn Reports>,
    /// The binder objects that a VM offers.
    pub roots: Roots,
    /// Whose VM it is.
    pub identity: Identity,
    /// The client's store for the key of the guest's encrypted storage.
    pub storage_key: Option<Strong<dyn IEncryptedStoreKEK>>,
}

/// Whose VM it is, for those who list VMs.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    /// The instance id that the client gave.
    pub instance_id: [u8; 64],
    /// The client's user.
    pub client_uid: u32,
    /// The client's process.
    pub client_pid: i32,
}

/// Makes a binder object for a VM.
pub type Root = Arc<dyn Fn(&Arc<Instance>) -> SIBinder + Send + Sync>;

/// The binder objects that a VM offers, as made by those who know the interfaces.
#[derive(Clone)]
pub struct Roots {
    /// What its guest calls.
    pub guest: Root,
    /// What other programs call over the VM's control socket.
    pub control: Root,
}

impl std::fmt::Debug for Roots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Roots").finish_non_exhaustive()
    }
}

/// Lists where a VM's console is.
pub trait Listing: std::fmt::Debug + Send + Sync {
    /// The console is at `path`.
    fn set_console(&self, path: &str);
}
