// SPDX-License-Identifier: Apache-2.0
//! What can go wrong while the device starts or runs.

use std::io;

/// The device could not start, or had to end before the VMM hung up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A descriptor of the configuration is not what it should be.
    #[error("the {what} descriptor cannot be used; pass {expected}")]
    Descriptor {
        /// Which field of [`Config`](crate::Config) is meant.
        what: &'static str,
        /// What that field has to be.
        expected: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The prefix of the guest to host sockets cannot be used.
    #[error(
        "socket prefix '{}' cannot be used; it must be a file name of 1 to {max} bytes without '/' or NUL",
        prefix.escape_debug()
    )]
    Prefix {
        /// The prefix of the configuration.
        prefix: String,
        /// The longest prefix that still fits a socket address, in bytes.
        max: usize,
    },
    /// The event loop could not be set up.
    #[error("cannot set up the event loop; check the limits on descriptors and memory")]
    EventLoop(#[source] io::Error),
    /// The process could not be confined.
    #[error("cannot confine the vsock device: {step} failed; run on a kernel with seccomp filters")]
    Isolation {
        /// The step that failed.
        step: &'static str,
        /// Why it failed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The VMM broke the vhost-user protocol or asked for something unknown.
    #[error("the VMM's vhost-user request was refused; check that the VMM speaks vhost-user vsock")]
    VhostUser(#[source] vhost::vhost_user::Error),
}

/// The number is not one a guest may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a guest's CID; use 3 to 4294967294")]
pub struct InvalidCid(pub u32);
