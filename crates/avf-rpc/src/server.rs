// SPDX-License-Identifier: Apache-2.0
//! The RPC server object behind every channel, configured as Android's clients expect.

use crate::connection::{Counted, Limit};
use crate::{Error, WIRE_VERSION};
use rsbinder::SIBinder;
use rsbinder::rpc::{FileDescriptorTransportMode, RpcServer, RpcTransport};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long a peer may take to complete the handshake of one connection.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Serves one root object on connections that are handed to it.
///
/// Dropping it ends every session and joins their threads.
pub struct Server {
    rpc: Arc<RpcServer>,
    limit: Limit,
    call_bytes: Option<usize>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// What a [`Server`] allows its peers.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Connections served at once; a further one is closed unread.
    pub connections: usize,
    /// Threads that one session may use, as told to clients that ask.
    pub threads: u32,
    /// The largest call, in bytes, with what the wire adds to it; a larger one ends its session.
    /// Only for interfaces without oneway calls: those are not answered, so they add up.
    pub call_bytes: Option<usize>,
    /// Whether file descriptors may be passed (Unix sockets only).
    pub fds: bool,
    /// How long a call to an object of the peer may wait for its answer. When it passes, the
    /// peer's session ends: an unresponsive peer must not hold a thread for ever.
    pub reply_timeout: Option<Duration>,
}

impl Server {
    /// Makes a server for `root`.
    ///
    /// # Errors
    /// If the RPC library cannot make a server, or `root` is an object of another session.
    pub fn new(root: SIBinder, policy: Policy) -> Result<Self, Error> {
        // The library's server always owns a listener. This one has an unguessable abstract name
        // and is never accepted from.
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!(
            "avf-rpc-{}-{}-{:?}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed),
            std::time::Instant::now()
        );
        let rpc = RpcServer::setup_unix_server_abstract(name.as_bytes())
            .map_err(Error::rpc("make an RPC server"))?;
        rpc.set_android13plus(WIRE_VERSION);
        rpc.set_max_threads(policy.threads);
        rpc.set_handshake_timeout(Some(HANDSHAKE));
        rpc.set_reply_timeout(policy.reply_timeout);
        if policy.fds {
            rpc.set_supported_fd_modes(&[FileDescriptorTransportMode::Unix]);
        }
        rpc.set_root(root)
            .map_err(Error::rpc("set the root object"))?;
        Ok(Self {
            rpc,
            limit: Limit::new(policy.connections),
            call_bytes: policy.call_bytes,
        })
    }

    /// Serves `transport` on a thread of its own, unless the limit is reached: then it is closed
    /// and the log says so.
    pub fn serve(&self, transport: Box<dyn RpcTransport>) {
        match self.limit.take() {
            Some(place) => {
                let counted = Counted::new(transport, place, self.call_bytes.unwrap_or(usize::MAX));
                self.rpc.serve_connection(Box::new(counted));
            }
            None => log::warn!(
                "{}: refused, all {} connections of this server are in use",
                transport.describe(),
                self.limit.live()
            ),
        }
    }

    /// Ends every session and joins their threads, but for the calling one.
    pub fn terminate(&self) {
        self.rpc.terminate();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.terminate();
    }
}
