// SPDX-License-Identifier: Apache-2.0
//! The transmission phase: requests and replies, one after another.
//!
//! What moves the bytes decides the speed, since all of a disk's data pass through the socket:
//!
//! - A small request's data are copied through the buffer. A read's reply is sent in one piece
//!   with them: one system call and one wake-up of the client less are worth more than the copy.
//! - A large read is spliced from the file into a pipe and on into the socket. Only references to
//!   the page cache move; the client's receiving is the one copy that is made. The first piece is
//!   in the pipe before the header is sent, so that an error can still be told.
//! - A large write is spliced from the socket into the pipe and on into the file.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use rustix::io::Errno;

use crate::disk::Disk;
use crate::handshake::{Export, Outcome, handshake};
use crate::pipe::{self, Pipe};
use crate::wire::{self, Command, NbdError, REQUEST_LEN, Request};

/// Most bytes that one read or write may carry; QEMU's own limit.
pub(crate) const MAX_REQUEST: u32 = 32 << 20;

/// Requests up to this many bytes are small.
pub(crate) const SMALL_REQUEST: usize = 32 << 10;

/// The buffer takes a small read's reply, and whatever the pipe holds.
const BUFFER_LEN: usize = pipe::CAPACITY;

/// Why a request is refused, and the error that caused it if the request itself was right.
#[derive(Debug)]
pub(crate) struct Refusal {
    error: NbdError,
    cause: Option<io::Error>,
}

impl From<NbdError> for Refusal {
    fn from(error: NbdError) -> Self {
        Self { error, cause: None }
    }
}

impl From<io::Error> for Refusal {
    fn from(cause: io::Error) -> Self {
        let error = match cause.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => NbdError::NoSpace,
            _ => NbdError::Io,
        };
        Self {
            error,
            cause: Some(cause),
        }
    }
}

impl From<Errno> for Refusal {
    fn from(cause: Errno) -> Self {
        io::Error::from(cause).into()
    }
}

/// How a request went.
pub(crate) type Answer = Result<(), Refusal>;

/// A disk, its client, and what is needed to move bytes between them.
pub(crate) struct Server {
    name: String,
    pub(crate) disk: Disk,
    pub(crate) socket: UnixStream,
    pub(crate) buffer: Vec<u8>,
    pub(crate) pipe: Pipe,
    /// Whether a failure of a file has been logged. A guest can cause as many as it likes.
    failure_logged: bool,
}

impl Server {
    pub(crate) fn new(name: String, disk: Disk, socket: UnixStream) -> io::Result<Self> {
        Ok(Self {
            name,
            disk,
            socket,
            buffer: vec![0; BUFFER_LEN],
            pipe: Pipe::new()?,
            failure_logged: false,
        })
    }

    /// Answers until the client leaves, and logs how that went.
    pub(crate) fn run(mut self) {
        match self.serve() {
            Err(error) if !is_hang_up(&error) => {
                log::warn!("disk {}: connection ended: {error}", self.name);
            }
            _ => log::debug!("disk {}: the client hung up", self.name),
        }
    }

    fn serve(&mut self) -> io::Result<()> {
        let mut flags = wire::FLAG_HAS_FLAGS | wire::FLAG_SEND_FLUSH | wire::FLAG_SEND_FUA;
        flags |= if self.disk.is_writable() {
            wire::FLAG_SEND_TRIM | wire::FLAG_SEND_WRITE_ZEROES
        } else {
            wire::FLAG_READ_ONLY
        };
        let export = Export {
            size: self.disk.size(),
            flags,
            max_request: MAX_REQUEST,
        };
        if handshake(&mut self.socket, export)? == Outcome::Aborted {
            return Ok(());
        }
        loop {
            let mut bytes = [0; REQUEST_LEN];
            self.socket.read_exact(&mut bytes)?;
            let request = Request::parse(&bytes).ok_or_else(|| broken("wrong request magic"))?;
            let answer = match request.command {
                Command::Disconnect => return Ok(()),
                // Has sent its own reply, with the data, if it succeeds.
                Command::Read => match self.read(&request)? {
                    Ok(()) => continue,
                    refused => refused,
                },
                Command::Write => self.write(&request)?,
                Command::Flush => self.flush(&request),
                Command::Trim => self.trim(&request),
                Command::WriteZeroes => self.write_zeroes(&request),
                Command::Other(_) => Err(NbdError::Invalid.into()),
            };
            let result = answer.map_err(|refusal| self.log_failure(refusal));
            self.socket
                .write_all(&wire::reply(request.cookie, result))?;
        }
    }

    /// The first failure of a file goes to the log, which the guest must not be able to fill.
    fn log_failure(&mut self, refusal: Refusal) -> NbdError {
        if let (Some(cause), false) = (refusal.cause, self.failure_logged) {
            self.failure_logged = true;
            log::error!(
                "disk {}: the guest's request fails: {cause}; later failures are not logged",
                self.name
            );
        }
        refusal.error
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The disk's handle keeps the socket open too, and the client must not wait for a thread
        // that is gone.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

pub(crate) fn broken(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Whether an error is only the client's leaving.
fn is_hang_up(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
    )
}
