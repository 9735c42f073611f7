// SPDX-License-Identifier: Apache-2.0
//! `virtmgr`: what is unique on the machine comes from the global virtualization service; where that
//! does not run, from locks that hold between managers.

mod atoms;
mod cids;
mod directories;
mod global;
mod provider;
mod resources;
mod selection;
mod vendor_image;

use atoms::Atoms;
pub use provider::{Attestation, Grant, Provider};
use resources::Resources;
pub use selection::Selection;

use crate::capabilities::Capabilities;

/// The program's name.
pub const NAME: &str = "virtmgr";
/// What it is for, in half a line.
pub const ABOUT: &str = "manages the VMs of one client";
/// All that it was built with.
pub const CAPABILITIES: Capabilities = Capabilities::of_build(NAME);

/// The global service lifts it, when the first VM is created.
pub fn lift_memory_lock_limit() {}

/// The answer of a method that needs the global service, which does not run.
#[must_use]
pub fn no_global_service(method: &str) -> String {
    format!(
        "{NAME} doesn't support {method} without the global virtualization service; start \
         virtualizationservice"
    )
}
