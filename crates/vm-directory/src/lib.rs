// SPDX-License-Identifier: Apache-2.0
//! What other programs find of a VM in the file system: where the VMs' directories are ([`bases`]), how
//! one is opened ([`Directory`]), the owner's note in it ([`Note`]), its sockets ([`socket`]) and logs
//! ([`LogFile`]), and the processes that a note names ([`Process`]).
#![forbid(unsafe_code)]

pub mod bases;
mod log;
mod note;
mod open;
mod process;
pub mod socket;

pub use log::{FULL, LogFile, old};
pub use note::{Line, Note, VmState, Vmm, append};
pub use open::Directory;
pub use process::{Process, Stat, boot_id};

/// The file with the owner's note.
pub const OWNER: &str = "owner";
/// The socket that serves the VM's `IVirtualMachine`.
pub const CONTROL: &str = "control";
/// The socket of an emulated vsock for the host's connections; the guest's to port P arrive at
/// `vsock_P`.
pub const VSOCK: &str = "vsock";
/// What the guest writes to its console.
pub const CONSOLE: &str = "console.log";
/// What the guest writes to its log.
pub const LOG: &str = "log.log";
