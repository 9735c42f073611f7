// SPDX-License-Identifier: Apache-2.0
//! A binder server for the host.

use crate::Error;
pub use avf_rpc::payload::HostServer;
use avf_rpc::server::{Policy, Server};
use rsbinder::SIBinder;

/// The host connects through its manager, a connection or a few for each of its clients.
const POLICY: Policy = Policy {
    connections: 64,
    threads: 4,
    fds: false,
    reply_timeout: None,
};

/// Serves `root` to the host on vsock `port` until the returned server is dropped.
///
/// # Errors
/// If the port is taken, the kernel has no vsock, or `root` is an object of another session.
pub fn serve(root: SIBinder, port: u32) -> Result<HostServer, Error> {
    let failed = |source| Error::Serve { port, source };
    let server = Server::new(root, POLICY).map_err(failed)?;
    HostServer::start(server, port).map_err(failed)
}
