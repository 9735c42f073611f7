// SPDX-License-Identifier: Apache-2.0
//! The library for programs inside a guest: they report to the manager on the host, and serve binder
//! to it.
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

pub use avf_aidl::r15_qpr1::common::ErrorCode;
pub use error::Error;
pub use host::Host;
pub use rsbinder;
pub use serve::{HostServer, serve};

/// Compiles the example in the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadMe;
