// SPDX-License-Identifier: Apache-2.0
//! What the demo's host program, its payload and the tests share: the interface, the ports, output.
#![forbid(unsafe_code)]

pub mod bulk;
pub mod output;

#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::pedantic,
    clippy::restriction,
    reason = "generated code; its documentation is in the .aidl file"
)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/demo.rs"));
}

pub use generated::com::android::virt::vm_demo::IDemoService::{
    BnDemoService, BpDemoService, IDemoService,
};

/// The vsock port in the guest on which the payload serves [`IDemoService`].
pub const PORT: u32 = 5678;

/// The largest file that [`IDemoService::readFile`] returns, in bytes.
pub const MAX_FILE: u64 = 64 * 1024;
