// SPDX-License-Identifier: Apache-2.0
//! The bootstrap channel: a stream socketpair between a client and the manager that it forked.
//!
//! For each connection of its RPC session, the client makes a socketpair, keeps one end and sends
//! the other over the bootstrap socket in one message: one to four bytes of any value and exactly
//! one `SCM_RIGHTS` descriptor. This is what Android's `ARpcServer_newBootstrap` and
//! `ARpcSession_setupPreconnectedClient` users do.

use crate::log_limit::LogLimit;
use crate::observed::{Observed, Observer};
use crate::server::Server;
use crate::{Error, WIRE_VERSION};
use rsbinder::rpc::transport::UnixTransport;
use rsbinder::rpc::{FileDescriptorTransportMode, RpcClientConfig, RpcSession, RpcTransport};
use rustix::event::{PollFd, PollFlags};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// Descriptors taken from one message, so that those of a faulty client are closed, not truncated.
const MAX_FDS: usize = 16;
/// Bytes of payload that a bootstrap message may carry.
const MAX_BYTES: usize = 4;

/// Connections that [`connect`] opens in each direction: two to call, two to be called on.
const CONNECTIONS: u32 = 2;

/// Serves connections that arrive over `socket` until its other end is closed.
///
/// A message of the wrong form is logged, at a limited rate, and its descriptors are closed. The
/// channel goes on.
///
/// # Errors
/// If reading the socket fails with anything but end of file.
pub fn serve(socket: impl AsFd, server: &Server) -> Result<(), Error> {
    serve_until(socket, server, None).map(drop)
}

/// Why a server stopped taking connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The other end of the channel is closed.
    HungUp,
    /// The descriptor that stops the server became readable.
    Stopped,
}

/// As [`serve`], until `stop` is readable at the latest.
///
/// # Errors
/// If reading the socket fails with anything but end of file.
pub fn serve_until(
    socket: impl AsFd,
    server: &Server,
    stop: Option<BorrowedFd<'_>>,
) -> Result<End, Error> {
    let dropped = LogLimit::new();
    loop {
        if let Some(stop) = stop
            && is_stopped(socket.as_fd(), stop)?
        {
            return Ok(End::Stopped);
        }
        let fd = match receive(socket.as_fd(), &dropped)? {
            Received::Connection(fd) => fd,
            // The next wait looks at `stop` again.
            Received::Rubbish => continue,
            Received::End => return Ok(End::HungUp),
        };
        match prepare(&fd).and_then(|()| {
            UnixTransport::from_owned_fd(fd)
                .map_err(|e| Error::io("cannot use the connection", std::io::Error::from(e)))
        }) {
            Ok(transport) => server.serve(Box::new(transport)),
            Err(e) => dropped.warn(format_args!("bootstrap: connection dropped: {}", e.line())),
        }
    }
}

/// Waits for a message or for `stop`, which comes first.
fn is_stopped(socket: BorrowedFd<'_>, stop: BorrowedFd<'_>) -> Result<bool, Error> {
    let mut fds = [
        PollFd::from_borrowed_fd(stop, PollFlags::IN),
        PollFd::from_borrowed_fd(socket, PollFlags::IN),
    ];
    loop {
        match rustix::event::poll(&mut fds, None) {
            Ok(_) => return Ok(!fds[0].revents().is_empty()),
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(Error::io("cannot wait for the bootstrap socket", e)),
        }
    }
}

/// What a message on the bootstrap socket was.
enum Received {
    /// A connection.
    Connection(OwnedFd),
    /// Not exactly one descriptor; logged and dropped.
    Rubbish,
    /// The end of the channel.
    End,
}

/// Receives one message.
fn receive(socket: BorrowedFd<'_>, dropped: &LogLimit) -> Result<Received, Error> {
    loop {
        let mut bytes = [0u8; MAX_BYTES];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let got = match rustix::net::recvmsg(
            socket,
            &mut [IoSliceMut::new(&mut bytes)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        ) {
            Ok(got) => got,
            Err(rustix::io::Errno::INTR) => continue,
            // The client died with bytes of ours unread: the same as its closing.
            Err(rustix::io::Errno::CONNRESET) => return Ok(Received::End),
            Err(e) => return Err(Error::io("cannot read the bootstrap socket", e)),
        };
        let mut fds: Vec<OwnedFd> = control
            .drain()
            .filter_map(|message| match message {
                RecvAncillaryMessage::ScmRights(fds) => Some(fds),
                _ => None,
            })
            .flatten()
            .collect();
        if got.bytes == 0 && fds.is_empty() {
            return Ok(Received::End);
        }
        return match (
            fds.pop(),
            fds.is_empty(),
            got.flags.contains(ReturnFlags::CTRUNC),
        ) {
            (Some(fd), true, false) => Ok(Received::Connection(fd)),
            (fd, _, truncated) => {
                dropped.warn(format_args!(
                    "bootstrap: message dropped: it must carry exactly one descriptor, not {}{}",
                    fds.len() + usize::from(fd.is_some()),
                    if truncated { " or more" } else { "" }
                ));
                Ok(Received::Rubbish)
            }
        };
    }
}

/// Checks that `fd` is a connected Unix stream socket, and makes it blocking: clients of Android's
/// library send it non-blocking, and a session over such a socket would hang.
fn prepare(fd: &OwnedFd) -> Result<(), Error> {
    let kind = rustix::net::sockopt::socket_type(fd)
        .map_err(|e| Error::io("a connection must be a socket", e))?;
    let family = rustix::net::sockopt::socket_domain(fd)
        .map_err(|e| Error::io("a connection must be a socket", e))?;
    if kind != SocketType::STREAM || family != AddressFamily::UNIX {
        return Err(Error::io(
            "a connection must be a Unix stream socket; pass one end of a socketpair",
            rustix::io::Errno::PROTOTYPE,
        ));
    }
    rustix::io::ioctl_fionbio(fd, false)
        .map_err(|e| Error::io("cannot make a connection blocking", e))
}

/// Opens a session with the server at the other end of the bootstrap `socket`.
///
/// The session has two connections for calls and two for callbacks, and may pass descriptors.
/// `timeout` bounds each wait for the server while connecting, and then each call: use
/// [`RpcSession::set_timeout`] once the session is up to change that.
///
/// # Errors
/// If the socket is closed, or the server does not answer in time.
pub fn connect(socket: &OwnedFd, timeout: Duration) -> Result<RpcSession, Error> {
    let config = RpcClientConfig::new(WIRE_VERSION, || {
        let fd = send_connection(socket.as_fd()).map_err(|e| {
            log::error!("{}", e.line());
            rsbinder::StatusCode::DeadObject
        })?;
        let transport: Box<dyn RpcTransport> = Box::new(UnixTransport::from_owned_fd(fd)?);
        Ok(Box::new(Observed::new(transport, NoDeadlineThread)) as Box<dyn RpcTransport>)
    })
    .timeout(timeout)
    .fd_mode(FileDescriptorTransportMode::Unix)
    .outgoing_connections(CONNECTIONS)
    .incoming_connections(CONNECTIONS);
    RpcSession::setup_client_android13plus_with_config(config).map_err(Error::rpc(
        "cannot set up a session over the bootstrap socket",
    ))
}

/// A client bounds each wait, but not a handshake as a whole: a manager that sends one byte after the
/// other is not worth a thread for every connection.
struct NoDeadlineThread;

impl Observer for NoDeadlineThread {
    fn shutdown_handle(&self, _: &dyn RpcTransport) -> Option<Box<dyn FnOnce() + Send>> {
        None
    }
}

/// Makes a connection: sends one end of a new socketpair, returns the other.
fn send_connection(socket: BorrowedFd<'_>) -> Result<OwnedFd, Error> {
    let (ours, theirs) = rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .map_err(|e| Error::io("cannot make a socketpair", e))?;
    let rights = [theirs.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&rights));
    rustix::net::sendmsg(
        socket,
        &[IoSlice::new(&[0u8; MAX_BYTES])],
        &mut control,
        SendFlags::NOSIGNAL,
    )
    .map_err(|e| Error::io("cannot pass a connection over the bootstrap socket", e))?;
    Ok(ours)
}
