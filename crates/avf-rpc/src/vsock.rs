// SPDX-License-Identifier: Apache-2.0
//! A server for the programs of one guest.
//!
//! Over a kernel vsock the peer's CID is checked. Over hybrid vsock the guest's connections arrive
//! from the user-space vsock device of that VM on a Unix socket; there the peer's process must be
//! that device.

use crate::Error;
use crate::accept::AcceptLoop;
use crate::log_limit::LogLimit;
use crate::server::Server;
use rsbinder::rpc::transport::{UnixTransport, VsockTransport};
use rustix::net::sockopt::socket_peercred;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use vsock::{VMADDR_CID_ANY, VsockAddr, VsockListener, VsockStream};

/// A reserved vsock port of the host. It is bound, so other programs find it in use, but nobody is
/// served on it yet.
#[derive(Debug)]
pub struct Port {
    listener: VsockListener,
    number: u32,
}

impl Port {
    /// Takes the kernel vsock port `number` of the host.
    ///
    /// # Errors
    /// [`Error::PortTaken`] if another program has it; [`Error::Io`] if it is under 1024 and
    /// `CAP_NET_BIND_SERVICE` is missing, or the kernel has no vsock.
    pub fn take(number: u32) -> Result<Self, Error> {
        match VsockListener::bind(&VsockAddr::new(VMADDR_CID_ANY, number)) {
            Ok(listener) => Ok(Self { listener, number }),
            Err(e) if e.kind() == io::ErrorKind::AddrInUse => {
                Err(Error::PortTaken { port: number })
            }
            Err(e) => Err(Error::io(
                format!("cannot listen on vsock port {number}"),
                e,
            )),
        }
    }
}

/// Accepts a connection from `listener` and returns it if its peer has the CID `cid`. `None` if the
/// peer has another, or the connection is unusable; `refused` logs that.
///
/// # Errors
/// Those of `accept(2)`.
pub fn admit(
    listener: &VsockListener,
    cid: u32,
    refused: &LogLimit,
) -> io::Result<Option<VsockTransport>> {
    let (stream, peer) = listener.accept()?;
    if peer.cid() != cid {
        refused.warn(format_args!(
            "vsock connection of CID {} refused: this port serves CID {cid} only",
            peer.cid()
        ));
        return Ok(None);
    }
    match VsockTransport::from_stream(stream) {
        Ok(transport) => Ok(Some(transport)),
        Err(e) => {
            refused.warn(format_args!("vsock connection of CID {cid} dropped: {e}"));
            Ok(None)
        }
    }
}

/// A running server for one guest. Dropping it ends its sessions and joins its threads.
#[derive(Debug)]
pub struct GuestServer {
    // Field order is drop order: first no new connections, then none at all.
    _accept: AcceptLoop,
    server: Arc<Server>,
    socket_file: Option<PathBuf>,
}

impl GuestServer {
    /// Serves the guest with CID `cid`, and no other, on a port of the kernel's vsock.
    ///
    /// # Errors
    /// If the thread that accepts connections cannot be made.
    pub fn on_vsock(server: Server, cid: u32, port: Port) -> Result<Self, Error> {
        let Port {
            listener,
            number: port,
        } = port;
        let server = Arc::new(server);
        let serving = Arc::clone(&server);
        let refused = LogLimit::default();
        let what = format!("vsock port {port}");
        let accept = AcceptLoop::start("guest-accept", what, listener, move |listener| {
            if let Some(transport) = admit(listener, cid, &refused)? {
                serving.serve(Box::new(transport));
            }
            Ok(())
        })?;
        Ok(Self {
            _accept: accept,
            server,
            socket_file: None,
        })
    }

    /// Serves the guest whose vsock device is the process `device_pid`, on the Unix socket
    /// `{prefix}_{port}`, the place where such a device looks for the host's port `port`.
    ///
    /// # Errors
    /// If the socket cannot be made.
    pub fn on_hybrid_vsock(
        server: Server,
        prefix: &Path,
        port: u32,
        device_pid: i32,
    ) -> Result<Self, Error> {
        let path = hybrid_path(prefix, port);
        let listener = UnixListener::bind(&path)
            .map_err(|e| Error::io(format!("cannot listen on {}", path.display()), e))?;
        let server = Arc::new(server);
        let serving = Arc::clone(&server);
        let refused = LogLimit::default();
        let accept = AcceptLoop::start(
            "guest-accept",
            format!("guest port {port}"),
            listener,
            move |listener: &UnixListener| {
                let (stream, _) = listener.accept()?;
                let peer = socket_peercred(&stream)
                    .map(|peer| peer.pid.as_raw_nonzero().get())
                    .unwrap_or_default();
                if peer != device_pid {
                    refused.warn(format_args!(
                        "guest port {port}: process {peer} refused, only the VM's vsock device \
                         (process {device_pid}) may connect"
                    ));
                    return Ok(());
                }
                match UnixTransport::from_stream(stream) {
                    Ok(transport) => serving.serve(Box::new(transport)),
                    Err(e) => {
                        refused.warn(format_args!("guest port {port}: connection dropped: {e}"));
                    }
                }
                Ok(())
            },
        )?;
        Ok(Self {
            _accept: accept,
            server,
            socket_file: Some(path),
        })
    }

    /// Ends every session of the guest; new connections are still accepted until the drop.
    pub fn end_sessions(&self) {
        self.server.terminate();
    }
}

impl Drop for GuestServer {
    fn drop(&mut self) {
        if let Some(path) = &self.socket_file {
            // Already gone if the VM's directory was removed first.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Where a user-space vsock device with the socket `prefix` looks for the host's `port`.
#[must_use]
pub fn hybrid_path(prefix: &Path, port: u32) -> PathBuf {
    let mut name = prefix.as_os_str().to_owned();
    name.push(format!("_{port}"));
    PathBuf::from(name)
}

/// Connects to `port` of the guest with CID `cid` over the kernel's vsock.
///
/// # Errors
/// If nothing listens there, or the guest is gone.
pub fn connect_vsock(cid: u32, port: u32) -> Result<VsockStream, Error> {
    VsockStream::connect(&VsockAddr::new(cid, port)).map_err(|e| match e.kind() {
        // The guest's answer where nothing listens.
        io::ErrorKind::ConnectionReset => Error::Refused { port },
        _ => Error::io(
            format!("cannot connect to vsock port {port} of CID {cid}"),
            e,
        ),
    })
}

/// How long a guest may take to answer a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Connects to `port` of a guest through its user-space vsock device, which listens at `prefix`.
///
/// The exchange is `CONNECT port\n`, answered by `OK n\n`; a closed port is answered by end of
/// file.
///
/// # Errors
/// [`Error::Refused`] if nothing listens there; [`Error::Io`] if the device is gone.
pub fn connect_hybrid(prefix: &Path, port: u32) -> Result<UnixStream, Error> {
    let what = || format!("cannot connect to port {port} through {}", prefix.display());
    let stream = UnixStream::connect(prefix).map_err(|e| Error::io(what(), e))?;
    (&stream)
        .write_all(format!("CONNECT {port}\n").as_bytes())
        .map_err(|e| Error::io(what(), e))?;
    // A guest that hangs does not answer.
    stream
        .set_read_timeout(Some(CONNECT_TIMEOUT))
        .map_err(|e| Error::io(what(), e))?;
    // One byte at a time: a byte after the line already belongs to the connection.
    let mut line = Vec::new();
    let mut one = BufReader::with_capacity(1, &stream);
    loop {
        let chunk = one.fill_buf().map_err(|e| match e.kind() {
            io::ErrorKind::WouldBlock => Error::io(
                format!("cannot connect to port {port}"),
                io::Error::new(io::ErrorKind::TimedOut, "the guest does not answer"),
            ),
            _ => Error::io(what(), e),
        })?;
        let Some(&byte) = chunk.first() else {
            return Err(Error::Refused { port });
        };
        one.consume(1);
        if byte == b'\n' {
            break;
        }
        line.push(byte);
        if line.len() > 32 {
            break;
        }
    }
    if line.starts_with(b"OK ") {
        drop(one);
        stream
            .set_read_timeout(None)
            .map_err(|e| Error::io(what(), e))?;
        Ok(stream)
    } else {
        let text = String::from_utf8_lossy(&line).into_owned();
        Err(Error::io(
            what(),
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("unexpected answer '{}'", text.escape_debug()),
            ),
        ))
    }
}
