// SPDX-License-Identifier: Apache-2.0
//! A service for all processes of a machine, on a Unix socket with a path.
//!
//! The kernel vouches for each peer's user and process (`SO_PEERCRED`); handlers ask for them with
//! [`rsbinder::get_calling_uid`] and [`rsbinder::get_calling_pid`], as on kernel binder.

use crate::accept::AcceptLoop;
use crate::connection::Limit;
use crate::log_limit::LogLimit;
use crate::observed::Observed;
use crate::server::Server;
use crate::{Error, WIRE_VERSION};
use rsbinder::StatusCode;
use rsbinder::rpc::transport::{RpcTransport, UnixTransport};
use rsbinder::rpc::{FileDescriptorTransportMode, PeerIdentity, RpcClientConfig, RpcSession};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
use std::collections::HashMap;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Connections of a client to call on: one call may wait for something while others proceed.
const OUTGOING: u32 = 2;
/// Connections of a client to be called on, and told of the server's death.
const INCOMING: u32 = 1;

/// A running server. Dropping it ends its sessions and joins its threads; the socket's path stays.
#[derive(Debug)]
pub struct UnixServer {
    // Field order is drop order: first no new connections, then none at all.
    _accept: AcceptLoop,
    server: Arc<Server>,
}

impl UnixServer {
    /// Serves everyone who may connect to `listener`. A user other than root may have `per_user`
    /// connections at once, so that no user can keep the others out.
    ///
    /// # Errors
    /// If the accepting thread cannot be started.
    pub fn start(server: Server, listener: UnixListener, per_user: usize) -> Result<Self, Error> {
        let server = Arc::new(server);
        let serving = Arc::clone(&server);
        let mut users = Users::new(per_user);
        let accept = AcceptLoop::start(
            "unix-accept",
            "service socket",
            listener,
            move |listener: &UnixListener| {
                let (stream, _) = listener.accept()?;
                match UnixTransport::from_stream(stream) {
                    Ok(transport) => {
                        if let Some(transport) = users.admit(transport) {
                            serving.serve(transport);
                        }
                    }
                    Err(e) => users
                        .refused
                        .warn(format_args!("service socket: connection dropped: {e}")),
                }
                Ok(())
            },
        )?;
        Ok(Self {
            _accept: accept,
            server,
        })
    }

    /// Ends every session; new connections are still accepted until the drop.
    pub fn end_sessions(&self) {
        self.server.terminate();
    }
}

/// The connections of each user.
struct Users {
    per_user: usize,
    limits: HashMap<u32, Limit>,
    refused: LogLimit,
}

impl Users {
    fn new(per_user: usize) -> Self {
        Self {
            per_user,
            limits: HashMap::new(),
            refused: LogLimit::new(),
        }
    }

    /// The transport, tied to a slot of its user. `None` if all slots are taken, or if the kernel does
    /// not name the user.
    fn admit(&mut self, transport: UnixTransport) -> Option<Box<dyn RpcTransport>> {
        let PeerIdentity::Local { uid, pid } = transport.peer_identity() else {
            self.refused.warn(format_args!(
                "service socket: connection dropped: the kernel does not say whose it is"
            ));
            return None;
        };
        if uid == 0 {
            return Some(Box::new(transport));
        }
        self.limits.retain(|_, limit| limit.live() > 0);
        let max = self.per_user;
        let limit = self.limits.entry(uid).or_insert_with(|| Limit::new(max));
        let Some(slot) = limit.take() else {
            self.refused.warn(format_args!(
                "service socket: connection of process {pid} refused: user {uid} has {max} \
                 connections already"
            ));
            return None;
        };
        let transport: Box<dyn RpcTransport> = Box::new(transport);
        Some(Box::new(Observed::new(transport, slot)))
    }
}

/// Opens a session with the server on the socket `path`: two connections for calls, one for callbacks
/// and the news of the server's death. It may pass descriptors.
///
/// `timeout` bounds each step of connecting and each call. When it passes, the session ends, and
/// with it everything that the server has handed out over it.
///
/// # Errors
/// [`Error::Io`] if the socket cannot be connected to; [`Error::Rpc`] if the server does not answer
/// the handshake, as when this user has too many connections to it already.
pub fn connect(path: &Path, timeout: Duration) -> Result<RpcSession, Error> {
    // The library would only say that the connection failed, and not why.
    let mut first = Some(
        open(path, timeout)
            .map_err(|e| Error::io(format!("cannot connect to {}", path.display()), e))?,
    );
    let config = RpcClientConfig::new(WIRE_VERSION, move || {
        let stream = match first.take() {
            Some(stream) => stream,
            None => open(path, timeout).map_err(StatusCode::from)?,
        };
        Ok(Box::new(UnixTransport::from_stream(stream)?) as Box<dyn RpcTransport>)
    })
    .fd_mode(FileDescriptorTransportMode::Unix)
    .outgoing_connections(OUTGOING)
    .incoming_connections(INCOMING)
    .timeout(timeout);
    RpcSession::setup_client_android13plus_with_config(config)
        .map_err(Error::rpc("cannot set up a session over the Unix socket"))
}

/// Connects to the socket `path`. If the server accepts nothing and its queue is full, this takes
/// `timeout` and no longer.
fn open(path: &Path, timeout: Duration) -> Result<UnixStream, Errno> {
    let socket = socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    // It bounds connecting, too: see unix(7) and SO_SNDTIMEO in socket(7).
    set_socket_timeout(&socket, Timeout::Send, Some(timeout))?;
    let address = SocketAddrUnix::new(path)?;
    match retry_on_intr(|| rustix::net::connect(&socket, &address)) {
        Err(Errno::AGAIN) => return Err(Errno::TIMEDOUT),
        other => other?,
    }
    set_socket_timeout(&socket, Timeout::Send, None)?;
    Ok(UnixStream::from(socket))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::OwnedFd;

    /// Long enough that a test which needs it has failed, short enough to wait for.
    const TIMEOUT: Duration = Duration::from_millis(200);

    #[test]
    fn a_server_that_accepts_and_does_not_answer_is_given_up() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        // The kernel accepts for it.
        let _listener = UnixListener::bind(&path).unwrap();
        let error = connect(&path, TIMEOUT).map(drop).unwrap_err();
        assert!(matches!(error, Error::Rpc { .. }), "{error:?}");
    }

    #[test]
    fn a_server_with_a_full_queue_is_given_up() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let new = |flags| socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None);
        let address = SocketAddrUnix::new(&path).unwrap();
        let listener = new(SocketFlags::CLOEXEC).unwrap();
        rustix::net::bind(&listener, &address).unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let mut waiting: Vec<OwnedFd> = Vec::new();
        loop {
            let next = new(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK).unwrap();
            match rustix::net::connect(&next, &address) {
                Ok(()) => waiting.push(next),
                Err(Errno::AGAIN) => break,
                Err(e) => panic!("{e}"),
            }
        }
        let error = connect(&path, TIMEOUT).map(drop).unwrap_err();
        let Error::Io { source, .. } = error else {
            panic!("{error:?}");
        };
        assert_eq!(source.kind(), std::io::ErrorKind::TimedOut);
    }
}
