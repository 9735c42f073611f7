// SPDX-License-Identifier: Apache-2.0
//! RPC binder servers and clients for the channels of the Android Virtualization Framework:
//!
//! * [`bootstrap`]: a stream socket inherited from the parent process, over which the client passes
//!   one fresh connection per message. This is how a client reaches its VM manager.
//! * [`vsock`]: a server for the programs of *one* guest, on a kernel vsock port or on the Unix
//!   socket that a user-space vsock device connects to ("hybrid vsock"). The peer is checked before
//!   a byte of RPC is read.
//! * [`payload`]: sessions between a guest's programs and the host, opened from either side.
//! * [`unix`]: a service for all processes of a machine, on a socket with a path; the kernel vouches
//!   for its callers.
//!
//! All servers block in `poll`, none wakes up on its own, and each bounds the connections that it
//! serves at once.
#![forbid(unsafe_code)]

pub mod accept;
pub mod bootstrap;
pub mod connection;
pub mod library_log;
pub mod log_limit;
pub mod observed;
pub mod payload;
pub mod server;
pub mod unix;
pub mod vsock;

mod error;
mod too_many_fds;

pub use error::{Error, explain, explain_status};

/// The newest version of the RPC binder wire protocol that is spoken: 2, that of Android 16.
pub const WIRE_VERSION: u32 = 2;

/// The most file descriptors that one call or its answer may carry.
pub const MAX_FDS: usize = 64;
