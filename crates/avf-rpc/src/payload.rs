// SPDX-License-Identifier: Apache-2.0
//! Sessions between a guest's programs and the host, opened from either side.

use crate::{Error, WIRE_VERSION};
use rsbinder::rpc::transport::{UnixTransport, VsockTransport};
use rsbinder::rpc::{RpcClientConfig, RpcSession, RpcTransport};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use vsock::VMADDR_CID_HOST;

/// Opens a session with the host's RPC server on vsock `port`.
///
/// # Errors
/// If nothing listens there or the server drops the connection, as it does for a foreign CID.
pub fn connect_host(port: u32) -> Result<RpcSession, Error> {
    RpcSession::setup_client_android13plus_with_config(RpcClientConfig::vsock(
        VMADDR_CID_HOST,
        port,
        WIRE_VERSION,
    ))
    .map_err(Error::rpc(
        "cannot set up a session with the host over vsock",
    ))
}

/// Opens a session with a payload's binder server over connections that `connect` makes, one for
/// each call: what [`IVirtualMachine.connectVsock`] returns.
///
/// [`IVirtualMachine.connectVsock`]: https://source.android.com/docs/core/virtualization
///
/// # Errors
/// If `connect` fails or the payload does not answer the handshake.
pub fn connect_payload(
    connect: impl FnMut() -> Result<OwnedFd, Error> + Send,
) -> Result<RpcSession, Error> {
    let mut connect = connect;
    let failure = Arc::new(Mutex::new(None));
    let noted = Arc::clone(&failure);
    let config = RpcClientConfig::new(WIRE_VERSION, move || match connect() {
        Ok(fd) => transport(fd),
        Err(e) => {
            *noted.lock().unwrap_or_else(PoisonError::into_inner) = Some(e);
            Err(rsbinder::StatusCode::DeadObject)
        }
    });
    RpcSession::setup_client_android13plus_with_config(config).map_err(|status| {
        failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
            .unwrap_or(Error::Rpc {
                what: "cannot set up a session with the payload",
                status,
            })
    })
}

/// The transport for a connected socket of either family.
fn transport(fd: OwnedFd) -> rsbinder::Result<Box<dyn RpcTransport>> {
    let family = rustix::net::sockopt::socket_domain(&fd)
        .map_err(|e| rsbinder::StatusCode::from(std::io::Error::from(e)))?;
    Ok(if family == rustix::net::AddressFamily::UNIX {
        Box::new(UnixTransport::from_owned_fd(fd)?)
    } else {
        Box::new(VsockTransport::from_owned_fd(fd)?)
    })
}
