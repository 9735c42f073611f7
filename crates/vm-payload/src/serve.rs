// SPDX-License-Identifier: Apache-2.0
//! A binder server for the host.

use crate::Error;
use crate::answers::{Busy, Watch};
use avf_rpc::accept::AcceptLoop;
use avf_rpc::log_limit::LogLimit;
use avf_rpc::observed::Observed;
use avf_rpc::server::{Policy, Server};
use avf_rpc::vsock::admit;
use rsbinder::SIBinder;
use rsbinder::rpc::RpcTransport;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use vsock::{VMADDR_CID_ANY, VMADDR_CID_HOST, VsockAddr, VsockListener};

/// The host connects through its manager, a connection or a few for each of its clients.
const POLICY: Policy = Policy {
    connections: 64,
    threads: 4,
    callbacks: 0,
    call_bytes: None,
    fds: false,
    reply_timeout: None,
};

/// How long calls may take to be answered when the server finishes.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

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
    /// latest: for a program that a call told to end.
    pub fn finish(self) {
        self.busy.wait(ANSWER_TIMEOUT);
    }
}

/// Serves `root` to the host, and to no other CID, on vsock `port` until the returned server is
/// dropped.
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
    let refused = LogLimit::new();
    let accept = AcceptLoop::start(
        "host-accept",
        format!("vsock port {port}"),
        listener,
        move |listener: &VsockListener| {
            if let Some(transport) = admit(listener, VMADDR_CID_HOST, &refused)? {
                let transport: Box<dyn RpcTransport> = Box::new(transport);
                let watch = Watch::new(Arc::clone(&watching));
                serving.serve(Box::new(Observed::new(transport, watch)));
            }
            Ok(())
        },
    )
    .map_err(failed)?;
    Ok(HostServer {
        _accept: accept,
        _server: server,
        busy,
    })
}
