// SPDX-License-Identifier: Apache-2.0
//! What can go wrong between a guest program and its host.

use std::io;

/// The host could not be reached, refused a report, or cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The guest's own CID is unknown.
    #[error(
        "cannot ask /dev/vsock for this guest's CID; give the VM a virtio-vsock device and load its driver"
    )]
    Cid(#[source] io::Error),
    /// There is a vsock driver, but no device that gives the guest a CID.
    #[error("this guest has CID {0}, which no guest can have; give the VM a virtio-vsock device")]
    NoCid(u32),
    /// There is no session with the manager.
    #[error("cannot connect to the VM manager at vsock port {port} of the host")]
    Connect {
        /// The port, which is the guest's CID.
        port: u32,
        /// Why.
        source: avf_rpc::Error,
    },
    /// The manager's root object is not `IVirtualMachineService`.
    #[error("the server at vsock port {port} of the host is not a VM manager: {}", avf_rpc::explain(*status))]
    NotAManager {
        /// The port.
        port: u32,
        /// The status of the question.
        status: rsbinder::StatusCode,
    },
    /// The manager refused a report.
    #[error("call {report} failed: {}", avf_rpc::explain_status(status))]
    Report {
        /// The method that was called.
        report: &'static str,
        /// The manager's answer.
        status: rsbinder::Status,
    },
    /// A port of the guest cannot be listened on.
    #[error("cannot listen on vsock port {port}")]
    Listen {
        /// The port asked for.
        port: u32,
        /// The system error.
        source: io::Error,
    },
    /// A server could not be started.
    #[error("cannot serve the host on vsock port {port}")]
    Serve {
        /// The port asked for.
        port: u32,
        /// Why.
        source: avf_rpc::Error,
    },
}
