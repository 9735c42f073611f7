// SPDX-License-Identifier: Apache-2.0
//! Serves a list of byte ranges of files as one disk, over the Network Block Device protocol.
//!
//! A VMM that speaks NBD (QEMU) gets one end of a socket pair as an inherited descriptor; a
//! thread of this process answers on the other end. The disk's bytes come from several files,
//! each of which is writable or not on its own, from memory, or are zeros. A write to anything
//! that is not a writable file fails with "operation not permitted", which the guest sees as an
//! I/O error, and changes nothing, even if the descriptor here would allow it.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use nbd_disk::{Content, NbdDisk, Segment};
//!
//! let file = std::fs::File::open("system.img")?;
//! let length = file.metadata()?.len();
//! let system = Segment { offset: 0, length, content: Content::File { file, writable: false } };
//! let (disk, socket) = NbdDisk::start("system", vec![system])?;
//! // Let QEMU inherit `socket` as descriptor N, and tell it
//! //   -blockdev driver=nbd,node-name=system,read-only=on,server.type=fd,server.str=N,export=disk
//! //   -device virtio-blk-pci,drive=system
//! // then drop `socket`, and keep `disk` for as long as QEMU runs.
//! # drop((disk, socket));
//! # Ok(())
//! # }
//! ```
//!
//! The client is not trusted: whatever it sends, the server neither panics nor touches a byte
//! outside the segments, and its memory does not grow with what is asked of it. What makes no
//! sense ends the connection and the disk.
//!
//! Requests are answered one after another. The data of large ones are spliced between files and
//! socket; see `transmission.rs`. A write to a socket whose other end is
//! gone can raise `SIGPIPE`, which Rust programs ignore unless they change that.

#![forbid(unsafe_code)]

mod disk;
mod handshake;
mod pipe;
mod reads;
mod transmission;
mod wire;
mod writes;

use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};

use rustix::net::sockopt::set_socket_send_buffer_size;
use thiserror::Error;

pub use disk::{Content, Segment, SegmentError};

use disk::Disk;
use transmission::Server;

/// Bytes that may wait in the socket for the server, so that a client can send a typical write in
/// one go. The kernel may allow less.
const TO_SERVER: usize = 1 << 20;

/// Bytes that may wait for the client. Enough that neither waits for the other without need, but
/// not more than processors have cache for; it is also what any process may have by default.
const TO_CLIENT: usize = 208 << 10;

/// Why a disk cannot be served.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DiskError {
    /// The segments make no disk.
    #[error("the segments of disk '{name}' do not make a disk")]
    Segments {
        /// The disk's name.
        name: String,
        /// What is wrong with them.
        #[source]
        source: SegmentError,
    },
    /// The system gave no socket, pipe or thread.
    #[error(
        "cannot set up the server of disk '{name}'; check the limits on descriptors and threads"
    )]
    Setup {
        /// The disk's name.
        name: String,
        /// The system error.
        #[source]
        source: io::Error,
    },
}

/// A disk that is being served. Dropping it ends the connection and waits for the thread.
#[derive(Debug)]
pub struct NbdDisk {
    socket: UnixStream,
    thread: Option<JoinHandle<()>>,
}

impl NbdDisk {
    /// Serves the segments to whoever holds the returned descriptor.
    ///
    /// The descriptor is a connected Unix stream socket, close-on-exec; NBD's newstyle handshake
    /// is to be held on it, for which any export name will do. Drop it once the client has
    /// inherited it: the server's thread ends when the client's copy is closed too. `name` stands
    /// in the thread's name and in log messages.
    ///
    /// # Errors
    ///
    /// When the segments leave a gap or have a wrong length, and when the system is out of
    /// descriptors or threads.
    pub fn start(name: &str, segments: Vec<Segment>) -> Result<(Self, OwnedFd), DiskError> {
        let setup = |source| DiskError::Setup {
            name: name.to_owned(),
            source,
        };
        let (ours, theirs) = UnixStream::pair().map_err(setup)?;
        // A smaller buffer than requested only costs speed.
        let _ = set_socket_send_buffer_size(&theirs, TO_SERVER);
        Ok((Self::serve(name, segments, ours)?, theirs.into()))
    }

    /// Serves the segments on a connected socket; otherwise the same as [`NbdDisk::start`].
    ///
    /// # Errors
    ///
    /// The same as those of [`NbdDisk::start`].
    pub fn serve(
        name: &str,
        segments: Vec<Segment>,
        socket: UnixStream,
    ) -> Result<Self, DiskError> {
        let setup = |source| DiskError::Setup {
            name: name.to_owned(),
            source,
        };
        let disk = Disk::new(segments).map_err(|source| DiskError::Segments {
            name: name.to_owned(),
            source,
        })?;
        socket.set_nonblocking(false).map_err(setup)?;
        let _ = set_socket_send_buffer_size(&socket, TO_CLIENT);

        let ours = socket.try_clone().map_err(setup)?;
        let server = Server::new(name.to_owned(), disk, socket).map_err(setup)?;
        let thread = thread::Builder::new()
            .name(format!("nbd-{name}"))
            .spawn(move || server.run())
            .map_err(setup)?;
        Ok(Self {
            socket: ours,
            thread: Some(thread),
        })
    }
}

impl Drop for NbdDisk {
    fn drop(&mut self) {
        // Fails only if the client is gone already; the thread has seen that as well.
        let _ = self.socket.shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been reported by its panic hook.
            let _ = thread.join();
        }
    }
}

/// Compiles the example of the read-me file.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
