// SPDX-License-Identifier: Apache-2.0
//! A binder server for the host.

use crate::Error;
use crate::answers::{Busy, Watched};
use avf_rpc::accept::AcceptLoop;
use avf_rpc::server::{Policy, Server};
use rsbinder::SIBinder;
use rsbinder::rpc::transport::VsockTransport;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use vsock::{VMADDR_CID_ANY, VMADDR_CID_HOST, VsockAddr, VsockListener};

/// The host connects through its manager, a connection or a few for each of its clients.
const POLICY: Policy = Policy {
    connections: 64,
    threads: 4,
    call_bytes: None,
    fds: false,
    reply_timeout: None,
};

/// How long the answers of calls may take when the server finishes.
const PATIENCE: Duration = Duration::from_secs(1);

/// A binder server on a vsock port of the guest, for the host.
///
/// Dropping it ends it at once: a call that is in progress fails for its caller.
/// [`finish`](Self::finish) lets the answers out first.
pub struct HostServer {
    // Ends before the server, so that no connection comes in after it.
    _accept: AcceptLoop,
    _server: Arc<Server>,
    busy: Arc<Busy>,
}

impl fmt::Debug for HostServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostServer").finish_non_exhaustive()
    }
}

impl HostServer {
    /// Ends the server after the calls in progress have been answered, or after a second at the
    /// latest. For a program that a call has told to end.
    pub fn finish(self) {
        self.busy.wait(PATIENCE);
    }
}

/// Serves `root` to the host, to no other CID, on vsock `port` until the returned server is dropped.
///
/// # Errors
/// If the port is taken, the kernel has no vsock, or `root` is an object of another session.
pub fn serve(root: SIBinder, port: u32) -> Result<HostServer, Error> {
    let failed = |source| Error::Serve { port, source };
    let listener = VsockListener::bind(&VsockAddr::new(VMADDR_CID_ANY, port))
        .map_err(|source| Error::Listen { port, source })?;
    let server = Arc::new(Server::new(root, POLICY).map_err(failed)?);
    let busy = Arc::new(Busy::default());
    let (serving, watching) = (Arc::clone(&server), Arc::clone(&busy));
    let accept =
        AcceptLoop::start(
            "host-accept",
            listener,
            move |listener: &VsockListener| match listener.accept() {
                Ok((stream, peer)) if peer.cid() == VMADDR_CID_HOST => {
                    match VsockTransport::from_stream(stream) {
                        Ok(transport) => {
                            serving.serve(Box::new(Watched::new(transport, Arc::clone(&watching))));
                        }
                        Err(e) => log::warn!("vsock port {port}: connection dropped: {e}"),
                    }
                }
                Ok((_, peer)) => log::warn!("vsock port {port}: CID {} refused", peer.cid()),
                Err(e) => log::warn!("vsock port {port}: accept: {e}"),
            },
        )
        .map_err(failed)?;
    Ok(HostServer {
        _accept: accept,
        _server: server,
        busy,
    })
}
