// SPDX-License-Identifier: Apache-2.0
//! What can go wrong between a guest program and its host.

use std::io;

/// The host could not be reached, refused a report, or cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The guest's own CID is unknown.
    #[error(
        "ask /dev/vsock for this guest's CID; does the VM have a virtio-vsock device, and is its driver loaded?"
    )]
    Cid(#[source] io::Error),
    /// There is a vsock driver, but no device that gives the guest a CID.
    #[error("this guest's CID is {0}, which no guest has: the VM has no virtio-vsock device")]
    NoCid(u32),
    /// No session with the manager came about.
    #[error("connect to the manager on the host, vsock port {port}")]
    Connect {
        /// The port, which is the guest's CID.
        port: u32,
        /// Why.
        source: avf_rpc::Error,
    },
    /// The manager's root object is not `IVirtualMachineService`.
    #[error("the server at vsock port {port} of the host is not a manager: status {status:?}")]
    NotAManager {
        /// The port.
        port: u32,
        /// The status of the question.
        status: rsbinder::StatusCode,
    },
    /// The manager did not take a report.
    #[error("{report}: the manager answered {status}")]
    Report {
        /// The method that was called.
        report: &'static str,
        /// The manager's answer.
        status: rsbinder::Status,
    },
    /// A port of the guest cannot be listened on.
    #[error("listen on vsock port {port}; is it in use?")]
    Listen {
        /// The port asked for.
        port: u32,
        /// The system error.
        source: io::Error,
    },
    /// A server could not be started.
    #[error("serve the host on vsock port {port}")]
    Serve {
        /// The port asked for.
        port: u32,
        /// Why.
        source: avf_rpc::Error,
    },
}
