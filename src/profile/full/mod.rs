// SPDX-License-Identifier: Apache-2.0
//! `virtmgr`: what is unique on the machine comes from the global virtualization service; where that
//! does not run, from locks that hold between managers.

mod atoms;
mod cids;
mod context;
mod directories;
mod global;
mod provider;
mod reporter;
mod resources;
mod selection;
mod staged;
mod vendor_image;

pub use provider::Full;

use crate::profile::NAME;

/// The answer of a method that needs the global service, which does not run.
fn no_global_service(method: &str) -> String {
    format!(
        "{NAME} doesn't support {method} without the global virtualization service; start \
         virtualizationservice"
    )
}
