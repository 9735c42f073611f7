// SPDX-License-Identifier: Apache-2.0
//! The pipe through which a file's pages reach the socket, and the socket's the file, without being
//! copied on the way.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;

use rustix::io::{Errno, retry_on_intr};
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

use crate::disk::{Piece, as_usize};

/// Bytes that the pipe can hold.
pub(crate) const CAPACITY: usize = 256 << 10;

/// Most bytes of a file that wait in the pipe. With more, the client would be woken later, and
/// more of them would have left the processor's caches when it copies them.
const FROM_FILE: usize = 64 << 10;

/// How much of a piece was taken from its file, and to where.
#[derive(Clone, Copy)]
pub(crate) enum Part {
    Piped(usize),
    Copied(usize),
}

impl Part {
    pub(crate) fn length(self) -> usize {
        match self {
            Self::Piped(length) | Self::Copied(length) => length,
        }
    }
}

/// Both ends of a pipe, which is filled and then emptied again.
pub(crate) struct Pipe {
    out: OwnedFd,
    into: OwnedFd,
}

impl Pipe {
    pub(crate) fn new() -> io::Result<Self> {
        let (out, into) = pipe_with(PipeFlags::CLOEXEC)?;
        // A pipe that stays small only costs speed.
        let _ = fcntl_setpipe_size(&into, CAPACITY);
        Ok(Self { out, into })
    }

    /// Takes at least one byte of a piece from its file. The file may be of a kind that cannot be
    /// spliced; then the bytes go into the buffer instead.
    pub(crate) fn fill_from_file(
        &self,
        file: &File,
        piece: Piece,
        buffer: &mut [u8],
    ) -> io::Result<Part> {
        let wanted = as_usize(piece.length).min(FROM_FILE);
        let mut start = piece.start;
        let flags = SpliceFlags::empty();
        let part =
            match retry_on_intr(|| splice(file, Some(&mut start), &self.into, None, wanted, flags))
            {
                Ok(count) => Part::Piped(count),
                Err(Errno::INVAL | Errno::OPNOTSUPP) => {
                    let wanted = wanted.min(buffer.len());
                    file.read_exact_at(&mut buffer[..wanted], piece.start)?;
                    Part::Copied(wanted)
                }
                Err(errno) => return Err(errno.into()),
            };
        if part.length() == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(part)
    }

    /// Moves the `count` bytes that are in the pipe.
    pub(crate) fn empty_into_socket(
        &self,
        socket: &UnixStream,
        mut count: usize,
    ) -> io::Result<()> {
        while count > 0 {
            let flags = SpliceFlags::empty();
            let moved = retry_on_intr(|| splice(&self.out, None, socket, None, count, flags))?;
            if moved == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            count -= moved;
        }
        Ok(())
    }

    /// Takes at least one byte of data for a piece from the socket.
    pub(crate) fn fill_from_socket(&self, socket: &UnixStream, piece: Piece) -> io::Result<usize> {
        let wanted = as_usize(piece.length).min(CAPACITY);
        let flags = SpliceFlags::empty();
        match retry_on_intr(|| splice(socket, None, &self.into, None, wanted, flags))? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => Ok(count),
        }
    }

    /// Moves the `count` bytes that are in the pipe to `start` in the file. The inner result is the
    /// file's; the pipe is empty in either case. The buffer has at least [`CAPACITY`] bytes.
    pub(crate) fn empty_into_file(
        &self,
        file: &File,
        mut start: u64,
        mut count: usize,
        buffer: &mut [u8],
    ) -> io::Result<io::Result<()>> {
        while count > 0 {
            let mut at = start;
            let flags = SpliceFlags::empty();
            match retry_on_intr(|| splice(&self.out, None, file, Some(&mut at), count, flags)) {
                Ok(moved) if moved > 0 => {
                    start += moved as u64;
                    count -= moved;
                }
                // Not every file can be spliced to. If this one fails, it will do so again.
                _ => {
                    let rest = &mut buffer[..count];
                    read_all(&self.out, rest)?;
                    return Ok(file.write_all_at(rest, start));
                }
            }
        }
        Ok(Ok(()))
    }
}

/// Fills the buffer from the pipe, which holds at least that much.
fn read_all(pipe: &OwnedFd, mut buffer: &mut [u8]) -> io::Result<()> {
    while !buffer.is_empty() {
        let count = retry_on_intr(|| rustix::io::read(pipe, &mut *buffer))?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buffer = &mut buffer[count..];
    }
    Ok(())
}
