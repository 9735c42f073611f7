// SPDX-License-Identifier: Apache-2.0
//! A VM's life: its plan, its state, the thread that owns its processes.

mod device;
pub mod directory;
mod driver;
mod error;
mod instance;
mod output;
pub mod plan;
mod registry;
mod state;

pub use device::VSOCK_SOCKET;
pub use directory::VmDirectory;
pub use error::Error;
pub use instance::Instance;
pub use registry::Vms;
pub use state::{PayloadState, State};

/// What makes a VM unique on this machine while it lives.
#[derive(Debug)]
pub struct Context {
    /// The VM's name.
    pub name: String,
    /// Its CID.
    pub cid: u32,
    /// Its temporary directory, which holds the CID.
    pub directory: VmDirectory,
}
