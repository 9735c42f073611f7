// SPDX-License-Identifier: Apache-2.0
//! What the tests of whole systems share.
//!
//! The early manager wants to know *who* its client is: the executable under the root directory
//! that an early VM list names. So each test runs in a process of its own: the test program makes
//! a root directory, puts a link to itself in it, writes the list, and runs itself from there
//! with the name of the one test ([`host::run`]). When that process is gone, nothing of it may be
//! left: no process, no directory. That is checked from outside.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test panics"
)]

pub mod app;
pub mod global;
pub mod guest;
pub mod host;
pub mod leftovers;
pub mod memory;
pub mod raw_client;
pub mod raw_vm;
pub mod refusal;
pub mod tool;
pub mod vhost;
