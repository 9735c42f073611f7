// SPDX-License-Identifier: Apache-2.0
//! Read requests.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;

use crate::disk::{Content, Piece, as_usize};
use crate::pipe::{Part, Pipe};
use crate::transmission::{Answer, MAX_REQUEST, Refusal, SMALL_REQUEST, Server};
use crate::wire::{self, NbdError, REPLY_LEN, Request};

impl Server {
    /// Sends header and data. The inner result says that nothing has been sent, and why; the outer
    /// one that the connection cannot go on.
    pub(crate) fn read(&mut self, request: &Request) -> io::Result<Answer> {
        let &Request {
            flags,
            offset,
            length,
            cookie,
            ..
        } = request;
        if flags & !wire::CMD_FLAG_FUA != 0
            || length > MAX_REQUEST
            || !self.disk.contains(offset, length)
        {
            return Ok(Err(NbdError::Invalid.into()));
        }
        let header = wire::reply(cookie, Ok(()));
        match usize::try_from(length) {
            Ok(length) if length <= SMALL_REQUEST => self.read_small(header, offset, length),
            _ => self.read_large(header, offset, u64::from(length)),
        }
    }

    fn read_small(
        &mut self,
        header: [u8; REPLY_LEN],
        offset: u64,
        length: usize,
    ) -> io::Result<Answer> {
        let reply = &mut self.buffer[..REPLY_LEN + length];
        let (head, mut rest) = reply.split_at_mut(REPLY_LEN);
        head.copy_from_slice(&header);
        let mut offset = offset;
        while let Some(piece) = self.disk.piece(offset, rest.len() as u64) {
            let (data, after) = rest.split_at_mut(as_usize(piece.length));
            match self.disk.content(piece.segment) {
                Content::Bytes(bytes) => data.copy_from_slice(part(bytes, piece)),
                Content::Zero => data.fill(0),
                Content::Fill(pattern) => repeat(*pattern, piece.start, data),
                Content::File { file, .. } => {
                    if let Err(error) = file.read_exact_at(data, piece.start) {
                        return Ok(Err(error.into()));
                    }
                }
                Content::Part { file, start } => {
                    if let Err(error) = file.read_exact_at(data, start + piece.start) {
                        return Ok(Err(error.into()));
                    }
                }
            }
            offset += piece.length;
            rest = after;
        }
        self.socket.write_all(reply)?;
        Ok(Ok(()))
    }

    fn read_large(
        &mut self,
        header: [u8; REPLY_LEN],
        mut offset: u64,
        mut length: u64,
    ) -> io::Result<Answer> {
        let mut header = Some(header);
        while let Some(piece) = self.disk.piece(offset, length) {
            let sent = match self.disk.content(piece.segment) {
                Content::Bytes(bytes) => {
                    send_header(&self.socket, &mut header)?;
                    (&self.socket).write_all(part(bytes, piece))?;
                    piece.length
                }
                Content::Zero => {
                    send_header(&self.socket, &mut header)?;
                    let count = as_usize(piece.length).min(self.buffer.len());
                    self.buffer[..count].fill(0);
                    (&self.socket).write_all(&self.buffer[..count])?;
                    count as u64
                }
                Content::Fill(pattern) => {
                    send_header(&self.socket, &mut header)?;
                    let count = as_usize(piece.length).min(self.buffer.len());
                    repeat(*pattern, piece.start, &mut self.buffer[..count]);
                    (&self.socket).write_all(&self.buffer[..count])?;
                    count as u64
                }
                Content::File { file, .. } => {
                    let from = (file, piece);
                    match send_part(
                        &self.pipe,
                        &self.socket,
                        &mut self.buffer,
                        from,
                        &mut header,
                    )? {
                        Ok(count) => count,
                        Err(refusal) => return Ok(Err(refusal)),
                    }
                }
                Content::Part { file, start } => {
                    let start = start + piece.start;
                    let from = (&**file, Piece { start, ..piece });
                    match send_part(
                        &self.pipe,
                        &self.socket,
                        &mut self.buffer,
                        from,
                        &mut header,
                    )? {
                        Ok(count) => count,
                        Err(refusal) => return Ok(Err(refusal)),
                    }
                }
            };
            offset += sent;
            length -= sent;
        }
        Ok(Ok(()))
    }
}

/// Sends at least one byte of a piece of a file, after the header if that is not sent yet, and
/// returns how many. The results are those of [`Server::read`].
fn send_part(
    pipe: &Pipe,
    mut socket: &UnixStream,
    buffer: &mut [u8],
    (file, piece): (&File, Piece),
    header: &mut Option<[u8; REPLY_LEN]>,
) -> io::Result<Result<u64, Refusal>> {
    let part = match pipe.fill_from_file(file, piece, buffer) {
        Ok(part) => part,
        Err(error) if header.is_some() => return Ok(Err(error.into())),
        // The client waits for data that do not exist, and nothing else can be said to it: better
        // no disk than wrong data.
        Err(error) => {
            return Err(io::Error::other(format!(
                "in the middle of a reply: {error}"
            )));
        }
    };
    send_header(socket, header)?;
    match part {
        Part::Piped(count) => pipe.empty_into_socket(socket, count)?,
        Part::Copied(count) => socket.write_all(&buffer[..count])?,
    }
    Ok(Ok(part.length() as u64))
}

/// Fills `data`, which begins `start` bytes into a segment, with its pattern.
fn repeat(mut pattern: [u8; 4], start: u64, data: &mut [u8]) {
    pattern.rotate_left(as_usize(start % 4));
    for chunk in data.chunks_mut(pattern.len()) {
        chunk.copy_from_slice(&pattern[..chunk.len()]);
    }
}

fn send_header(mut socket: &UnixStream, header: &mut Option<[u8; REPLY_LEN]>) -> io::Result<()> {
    header
        .take()
        .map_or(Ok(()), |header| socket.write_all(&header))
}

/// The bytes of a piece of a segment in memory.
fn part(bytes: &[u8], piece: Piece) -> &[u8] {
    &bytes[as_usize(piece.start)..][..as_usize(piece.length)]
}
