// SPDX-License-Identifier: Apache-2.0
//! The RPC server of every channel, configured as Android's clients expect.

use crate::connection::{CallSize, Limit, Slot};
use crate::log_limit::LogLimit;
use crate::observed::{Observed, Observer};
use crate::too_many_fds;
use crate::{Error, WIRE_VERSION};
use rsbinder::SIBinder;
use rsbinder::rpc::{FileDescriptorTransportMode, RpcResult, RpcServer, RpcTransport};
use std::fmt;
use std::fmt::Write as _;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
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
    refused: Arc<LogLimit>,
    handshakes: Mutex<Handshakes>,
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
    /// Connections on which one session may call at once.
    pub threads: u32,
    /// Connections on which one session may be called at once. The library allows two for each of
    /// `threads`, and tells clients that ask one number for both; so if this is more than twice
    /// `threads`, half of it counts in place of that.
    pub callbacks: u32,
    /// The largest call, in bytes, with what the wire adds to it; a larger one ends its session.
    /// Only for interfaces without oneway calls: those are not answered, so they add up.
    pub call_bytes: Option<usize>,
    /// Whether file descriptors may be passed (Unix sockets only).
    pub fds: bool,
    /// How long a call to an object of the peer may wait for its answer. When it passes, the
    /// peer's session ends: an unresponsive peer must not hold a thread forever.
    pub reply_timeout: Option<Duration>,
}

impl Server {
    /// Makes a server for `root`.
    ///
    /// # Errors
    /// If the RPC library cannot make a server, or `root` is an object of another session.
    pub fn new(root: SIBinder, policy: Policy) -> Result<Self, Error> {
        let rpc = RpcServer::setup_unix_server_abstract(random_name()?.as_bytes())
            .map_err(Error::rpc("cannot make an RPC server"))?;
        rpc.set_android13plus(WIRE_VERSION);
        rpc.set_max_threads(policy.threads.max(policy.callbacks.div_ceil(2)));
        rpc.set_handshake_timeout(Some(HANDSHAKE));
        rpc.set_reply_timeout(policy.reply_timeout);
        if policy.fds {
            rpc.set_supported_fd_modes(&[FileDescriptorTransportMode::Unix]);
        }
        rpc.set_root(root)
            .map_err(Error::rpc("cannot set the root object"))?;
        Ok(Self {
            rpc,
            limit: Limit::new(policy.connections),
            call_bytes: policy.call_bytes,
            refused: Arc::default(),
            handshakes: Mutex::default(),
        })
    }

    /// Serves `transport` on a thread of its own, unless the limit is reached: then it is closed
    /// and the log says so. After [`terminate`](Self::terminate) it is closed without a word.
    pub fn serve(&self, transport: Box<dyn RpcTransport>) {
        let Some(slot) = self.limit.take() else {
            self.refused.warn(format_args!(
                "{}: connection refused: all {} connections of this server are in use",
                transport.describe(),
                self.limit.live()
            ));
            return;
        };
        let transport = Arc::<dyn RpcTransport>::from(transport);
        let Some(handshake) = self.handshakes().add(Arc::clone(&transport)) else {
            return;
        };
        let connection = Connection {
            handshake,
            size: CallSize::new(self.call_bytes),
            refused: Arc::clone(&self.refused),
            _slot: slot,
        };
        self.rpc
            .serve_connection(Box::new(Observed::new(transport, connection)));
    }

    /// Ends every session and joins their threads, but for the calling one. Connections whose
    /// handshake is not complete are closed as well, so that no peer delays this.
    pub fn terminate(&self) {
        let pending = self.handshakes().end();
        for handshake in pending {
            // It fails if the peer has closed the connection, which has the same effect.
            let _ = handshake.transport.shutdown();
        }
        self.rpc.terminate();
    }

    fn handshakes(&self) -> std::sync::MutexGuard<'_, Handshakes> {
        self.handshakes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.terminate();
    }
}

/// A name for the listener that the library's server always has, and that nobody accepts from.
/// Everyone can read it in `/proc/net/unix`; it is random so that nobody can take it first.
fn random_name() -> Result<String, Error> {
    let mut bytes = [0_u8; 16];
    // Up to 256 bytes come whole, or not at all.
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|e| Error::io("cannot get random bytes", e))?;
    let mut name = String::from("avf-rpc-");
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(name, "{byte:02x}");
    }
    Ok(name)
}

/// The connections of a server whose peers have yet to complete the handshake.
#[derive(Default)]
struct Handshakes {
    pending: Vec<Weak<Handshake>>,
    is_ended: bool,
}

impl Handshakes {
    /// Notes a new connection. `None` if the server has ended.
    fn add(&mut self, transport: Arc<dyn RpcTransport>) -> Option<Arc<Handshake>> {
        if self.is_ended {
            return None;
        }
        let handshake = Arc::new(Handshake {
            transport,
            is_done: AtomicBool::new(false),
        });
        self.pending
            .retain(|other| other.upgrade().is_some_and(|other| !other.is_done()));
        self.pending.push(Arc::downgrade(&handshake));
        Some(handshake)
    }

    /// Refuses connections from now on, and returns those that are to be closed.
    fn end(&mut self) -> Vec<Arc<Handshake>> {
        self.is_ended = true;
        self.pending
            .drain(..)
            .filter_map(|handshake| handshake.upgrade())
            .filter(|handshake| !handshake.is_done())
            .collect()
    }
}

/// A connection and whether its handshake is complete.
struct Handshake {
    transport: Arc<dyn RpcTransport>,
    is_done: AtomicBool,
}

impl Handshake {
    fn is_done(&self) -> bool {
        self.is_done.load(Ordering::Acquire)
    }
}

/// What a server keeps of each connection.
struct Connection {
    handshake: Arc<Handshake>,
    size: CallSize,
    refused: Arc<LogLimit>,
    _slot: Slot,
}

impl Observer for Connection {
    fn after_read(&self, bytes: usize) -> RpcResult<()> {
        self.size.received(bytes, &self.refused)
    }

    fn before_write(&self) {
        self.size.answered();
    }

    fn read_timeout(&self, timeout: Option<Duration>) {
        // The library bounds the handshake and lifts the bound when it is complete.
        if timeout.is_none() {
            self.handshake.is_done.store(true, Ordering::Release);
        }
    }

    fn read_with_fds(
        &self,
        inner: &dyn RpcTransport,
        buf: &mut [u8],
    ) -> RpcResult<(usize, Vec<OwnedFd>)> {
        too_many_fds::read(inner, buf)
    }
}
