// SPDX-License-Identifier: Apache-2.0
//! Requests that change the disk, and those that make changes durable.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use rustix::fs::{FallocateFlags, fallocate, fdatasync};
use rustix::io::retry_on_intr;

use crate::disk::{Disk, Piece, as_usize};
use crate::transmission::{Answer, MAX_REQUEST, Refusal, SMALL_REQUEST, Server, broken};
use crate::wire::{self, NbdError, Request};

impl Server {
    /// Takes the request's data off the socket, also when they cannot be written.
    pub(crate) fn write(&mut self, request: &Request) -> io::Result<Answer> {
        let &Request {
            flags,
            mut offset,
            length,
            ..
        } = request;
        if length > MAX_REQUEST {
            return Err(broken("overlong write"));
        }
        let mut result = if flags & !wire::CMD_FLAG_FUA != 0 {
            Err(NbdError::Invalid.into())
        } else {
            self.check_writable(offset, length, NbdError::NoSpace)
        };

        let mut left = as_usize(u64::from(length));
        let large = left > SMALL_REQUEST;
        while left > 0 {
            let count = if large && result.is_ok() {
                let (count, written) = self.splice_to_file(offset, left)?;
                result = written;
                count
            } else {
                let count = self.receive(left)?;
                if result.is_ok() {
                    result = write_at(&mut self.disk, &self.buffer[..count], offset);
                }
                count
            };
            offset = offset.saturating_add(count as u64);
            left -= count;
        }
        Ok(result.and_then(|()| self.sync_if_asked(request)))
    }

    /// Takes at least one and at most `left` bytes of data off the socket and writes them, without
    /// copying, to a range that [`Server::check_writable`] has passed. Returns how many were taken
    /// and whether they were written.
    fn splice_to_file(&mut self, offset: u64, left: usize) -> io::Result<(usize, Answer)> {
        let piece = self
            .disk
            .piece(offset, left as u64)
            .ok_or_else(|| broken("no such range"))?;
        let count = self.pipe.fill_from_socket(&self.socket, piece)?;
        self.disk.mark_dirty(piece.segment);
        let Some(file) = self.disk.writable(piece.segment) else {
            return Err(broken("no writable range"));
        };
        let written = self
            .pipe
            .empty_into_file(file, piece.start, count, &mut self.buffer)?;
        Ok((count, written.map_err(Refusal::from)))
    }

    /// Takes at least one and at most `left` bytes of data off the socket, into the buffer.
    fn receive(&mut self, left: usize) -> io::Result<usize> {
        let wanted = left.min(self.buffer.len());
        loop {
            match self.socket.read(&mut self.buffer[..wanted]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// Frees the range. Only advice: what the files cannot do is left undone.
    pub(crate) fn trim(&mut self, request: &Request) -> Answer {
        let &Request {
            flags,
            offset,
            length,
            ..
        } = request;
        if flags & !wire::CMD_FLAG_FUA != 0 {
            return Err(NbdError::Invalid.into());
        }
        self.check_writable(offset, length, NbdError::Invalid)?;
        self.for_each_writable(offset, length, |file, piece| {
            let mode = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            let _ = retry_on_intr(|| fallocate(file, mode, piece.start, piece.length));
            Ok(())
        })?;
        self.sync_if_asked(request)
    }

    pub(crate) fn write_zeroes(&mut self, request: &Request) -> Answer {
        let &Request {
            flags,
            offset,
            length,
            ..
        } = request;
        if flags & !(wire::CMD_FLAG_FUA | wire::CMD_FLAG_NO_HOLE) != 0 {
            return Err(NbdError::Invalid.into());
        }
        self.check_writable(offset, length, NbdError::NoSpace)?;
        let how = if flags & wire::CMD_FLAG_NO_HOLE == 0 {
            FallocateFlags::PUNCH_HOLE
        } else {
            FallocateFlags::ZERO_RANGE
        };
        self.for_each_writable(offset, length, |file, piece| zero(file, how, piece))?;
        self.sync_if_asked(request)
    }

    pub(crate) fn flush(&mut self, request: &Request) -> Answer {
        if request.flags & !wire::CMD_FLAG_FUA != 0 {
            return Err(NbdError::Invalid.into());
        }
        self.sync()
    }

    /// Whether every byte of the range can be written; `outside` is the error if it is not on the
    /// disk.
    fn check_writable(&self, offset: u64, length: u32, outside: NbdError) -> Answer {
        if !self.disk.contains(offset, length) {
            return Err(outside.into());
        }
        let (mut offset, mut length) = (offset, u64::from(length));
        while let Some(piece) = self.disk.piece(offset, length) {
            self.disk
                .writable(piece.segment)
                .ok_or(NbdError::NotPermitted)?;
            offset += piece.length;
            length -= piece.length;
        }
        Ok(())
    }

    fn for_each_writable(
        &mut self,
        mut offset: u64,
        length: u32,
        mut action: impl FnMut(&File, Piece) -> Answer,
    ) -> Answer {
        let mut length = u64::from(length);
        while let Some(piece) = self.disk.piece(offset, length) {
            self.disk.mark_dirty(piece.segment);
            action(
                self.disk
                    .writable(piece.segment)
                    .ok_or(NbdError::NotPermitted)?,
                piece,
            )?;
            offset += piece.length;
            length -= piece.length;
        }
        Ok(())
    }

    fn sync_if_asked(&mut self, request: &Request) -> Answer {
        if request.flags & wire::CMD_FLAG_FUA == 0 {
            return Ok(());
        }
        self.sync()
    }

    /// Makes everything durable that was written so far.
    fn sync(&mut self) -> Answer {
        self.disk
            .sync_dirty(|file| retry_on_intr(|| fdatasync(file)))?;
        Ok(())
    }
}

/// Writes to a range that [`Server::check_writable`] has passed.
fn write_at(disk: &mut Disk, mut bytes: &[u8], mut offset: u64) -> Answer {
    while let Some(piece) = disk.piece(offset, bytes.len() as u64) {
        let (data, rest) = bytes.split_at(as_usize(piece.length));
        disk.mark_dirty(piece.segment);
        let file = disk.writable(piece.segment).ok_or(NbdError::NotPermitted)?;
        file.write_all_at(data, piece.start)?;
        offset += piece.length;
        bytes = rest;
    }
    Ok(())
}

/// Bytes that are written as zeros at a time.
const ZEROS: usize = 16 << 10;

/// Zeroes a piece of a file, by writing if the file system has no better way.
fn zero(file: &File, how: FallocateFlags, piece: Piece) -> Answer {
    let mode = how | FallocateFlags::KEEP_SIZE;
    if retry_on_intr(|| fallocate(file, mode, piece.start, piece.length)).is_ok() {
        return Ok(());
    }
    let zeros = vec![0; ZEROS];
    let (mut start, mut left) = (piece.start, piece.length);
    while left > 0 {
        let count = as_usize(left).min(zeros.len());
        file.write_all_at(&zeros[..count], start)?;
        start += count as u64;
        left -= count as u64;
    }
    Ok(())
}
