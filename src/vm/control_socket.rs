// SPDX-License-Identifier: Apache-2.0
//! The socket in a VM's directory over which other programs of its user reach the VM: tools that
//! list it, stop it, attach to it.
//!
//! It serves the VM's `IVirtualMachine` by RPC binder. The directory lets in only its owner and the
//! root; the peer's user is checked all the same.

use crate::error::Error;
use crate::vm::VmDirectory;
use avf_rpc::server::{Policy, Server};
use rsbinder::SIBinder;
use rsbinder::rpc::transport::UnixTransport;
use rustix::io::Errno;
use rustix::net::sockopt::socket_peercred;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;
use vm_directory::CONTROL;

/// A few tools at once, calls without large arguments, descriptors of connections to the guest.
const POLICY: Policy = Policy {
    connections: 16,
    threads: 2,
    callbacks: 0,
    call_bytes: Some(64 << 10),
    fds: true,
    reply_timeout: Some(Duration::from_secs(10)),
};

/// The listening socket of a VM that is not started yet.
#[derive(Debug)]
pub(super) struct ControlSocket(UnixListener);

impl ControlSocket {
    /// Listens in the VM's directory.
    pub(super) fn listen(directory: &VmDirectory) -> Result<Self, Error> {
        let listen = || {
            let listener = UnixListener::bind(directory.socket(CONTROL)?)?;
            // A peer that disconnects immediately must not block the VM's thread.
            listener.set_nonblocking(true)?;
            Ok(Self(listener))
        };
        listen().map_err(|e: io::Error| {
            Error::io(
                format!("cannot listen on {}/{CONTROL}", directory.path().display()),
                e,
            )
        })
    }

    /// Answers with `root` from now on.
    pub(super) fn serve(self, root: SIBinder) -> Result<Controller, Error> {
        Ok(Controller {
            listener: self.0,
            server: Server::new(root, POLICY)?,
        })
    }
}

/// Answers on the control socket of a running VM. Dropping it ends all sessions.
#[derive(Debug)]
pub(super) struct Controller {
    listener: UnixListener,
    server: Server,
}

impl Controller {
    /// Readable when someone connects.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// Lets in those who wait. False if no one can be let in any more: the listener would be readable
    /// for ever, and the VM's thread has other things to do.
    pub(super) fn accept(&self) -> bool {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    if let Err(e) = self.admit(stream) {
                        log::warn!("{CONTROL}: connection refused: {e}");
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return true,
                Err(e)
                    if matches!(
                        Errno::from_io_error(&e),
                        Some(Errno::INTR | Errno::CONNABORTED)
                    ) => {}
                Err(e) => {
                    log::error!("{CONTROL}: accept: {e}; tools cannot reach this VM any more");
                    return false;
                }
            }
        }
    }

    fn admit(&self, stream: UnixStream) -> io::Result<()> {
        let peer = socket_peercred(&stream)?.uid;
        if !peer.is_root() && peer != rustix::process::geteuid() {
            return Err(io::Error::other(format!(
                "user {} is neither this VM's user nor root",
                peer.as_raw()
            )));
        }
        stream.set_nonblocking(false)?;
        let transport = UnixTransport::from_stream(stream).map_err(io::Error::other)?;
        self.server.serve(Box::new(transport));
        Ok(())
    }
}
