// SPDX-License-Identifier: Apache-2.0
//! What a program inside a guest links: report to the manager on the host, serve binder to it.
//!
//! ```no_run
//! # fn main() -> Result<(), vm_payload::Error> {
//! let host = vm_payload::Host::connect()?;
//! // ... begin to serve, then say so:
//! host.notify_ready()?;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod answers;
mod error;
mod host;
mod serve;

pub use avf_aidl::common::ErrorCode;
pub use error::Error;
pub use host::Host;
pub use serve::{HostServer, serve};
