// SPDX-License-Identifier: Apache-2.0
//! The fixed newstyle handshake: options until the client has chosen the one export there is.

use std::io::{self, Read, Write};

use crate::wire::{self, take};

/// An option's data holds at most an export's name (4096 bytes by the protocol) and a few numbers.
const MAX_OPTION_LEN: u32 = 8192;

/// Requests may start and end anywhere, and are best made of pages.
const MIN_BLOCK: u32 = 1;
const PREFERRED_BLOCK: u32 = 4096;

/// What the client is told of the export.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Export {
    pub(crate) size: u64,
    pub(crate) flags: u16,
    /// Most bytes of one request's data.
    pub(crate) max_request: u32,
}

/// How the handshake ended, if the client did not just hang up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Transmission,
    Aborted,
}

/// Runs the handshake. Any name is accepted: there is one export per socket.
///
/// # Errors
///
/// When the socket fails or ends, and with `InvalidData` when the client breaks the protocol so
/// that no reply makes sense.
pub(crate) fn handshake<S: Read + Write>(socket: &mut S, export: Export) -> io::Result<Outcome> {
    let mut greeting = Vec::with_capacity(18);
    greeting.extend(wire::NBD_MAGIC.to_be_bytes());
    greeting.extend(wire::OPTION_MAGIC.to_be_bytes());
    greeting.extend((wire::FIXED_NEWSTYLE | wire::NO_ZEROES).to_be_bytes());
    socket.write_all(&greeting)?;

    let known = u32::from(wire::FIXED_NEWSTYLE | wire::NO_ZEROES);
    let client = u32::from_be_bytes(read_array(socket)?);
    if client & !known != 0 {
        return Err(broken("unknown handshake flags"));
    }
    let no_zeroes = client & u32::from(wire::NO_ZEROES) != 0;

    loop {
        if u64::from_be_bytes(read_array(socket)?) != wire::OPTION_MAGIC {
            return Err(broken("wrong option magic"));
        }
        let option = u32::from_be_bytes(read_array(socket)?);
        let length = u32::from_be_bytes(read_array(socket)?);
        if length > MAX_OPTION_LEN {
            return Err(broken("overlong option"));
        }
        let mut data = vec![0; length as usize];
        socket.read_exact(&mut data)?;

        match option {
            wire::OPT_EXPORT_NAME => {
                let mut bytes = export.size.to_be_bytes().to_vec();
                bytes.extend(export.flags.to_be_bytes());
                if !no_zeroes {
                    bytes.extend([0; 124]);
                }
                socket.write_all(&bytes)?;
                return Ok(Outcome::Transmission);
            }
            wire::OPT_ABORT => {
                send_reply(socket, option, wire::REP_ACK, &[])?;
                return Ok(Outcome::Aborted);
            }
            wire::OPT_INFO | wire::OPT_GO if is_info_request(&data) => {
                send_export(socket, option, export)?;
                if option == wire::OPT_GO {
                    return Ok(Outcome::Transmission);
                }
            }
            wire::OPT_INFO | wire::OPT_GO => {
                send_reply(socket, option, wire::REP_ERR_INVALID, b"malformed option")?;
            }
            wire::OPT_LIST => {
                send_reply(socket, option, wire::REP_ERR_POLICY, b"there is one export")?;
            }
            _ => send_reply(socket, option, wire::REP_ERR_UNSUP, &[])?,
        }
    }
}

/// Whether an option's data are a name with its length and a list of u16 with its length.
fn is_info_request(data: &[u8]) -> bool {
    let parts = || {
        let (name_length, rest) = take::<4>(data)?;
        let rest = rest.get(usize::try_from(u32::from_be_bytes(name_length)).ok()?..)?;
        let (count, rest) = take::<2>(rest)?;
        Some(rest.len() == 2 * usize::from(u16::from_be_bytes(count)))
    };
    parts() == Some(true)
}

fn send_export(socket: &mut impl Write, option: u32, export: Export) -> io::Result<()> {
    let mut info = wire::INFO_EXPORT.to_be_bytes().to_vec();
    info.extend(export.size.to_be_bytes());
    info.extend(export.flags.to_be_bytes());
    send_reply(socket, option, wire::REP_INFO, &info)?;

    let mut info = wire::INFO_BLOCK_SIZE.to_be_bytes().to_vec();
    info.extend(MIN_BLOCK.to_be_bytes());
    info.extend(PREFERRED_BLOCK.to_be_bytes());
    info.extend(export.max_request.to_be_bytes());
    send_reply(socket, option, wire::REP_INFO, &info)?;

    send_reply(socket, option, wire::REP_ACK, &[])
}

fn send_reply(socket: &mut impl Write, option: u32, kind: u32, data: &[u8]) -> io::Result<()> {
    let length = u32::try_from(data.len()).map_err(|_| broken("overlong option reply"))?;
    let mut bytes = wire::OPTION_REPLY_MAGIC.to_be_bytes().to_vec();
    bytes.extend(option.to_be_bytes());
    bytes.extend(kind.to_be_bytes());
    bytes.extend(length.to_be_bytes());
    bytes.extend(data);
    socket.write_all(&bytes)
}

fn read_array<const N: usize>(socket: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    socket.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn broken(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
