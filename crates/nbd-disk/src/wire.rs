// SPDX-License-Identifier: Apache-2.0
//! Numbers and structures of the NBD protocol (`proto.md` of the NetworkBlockDevice project).
//! All integers are big-endian.

pub(crate) const NBD_MAGIC: u64 = 0x4e42_444d_4147_4943;
pub(crate) const OPTION_MAGIC: u64 = 0x4948_4156_454f_5054;
pub(crate) const OPTION_REPLY_MAGIC: u64 = 0x0003_e889_0455_65a9;
const REQUEST_MAGIC: u32 = 0x2560_9513;
const SIMPLE_REPLY_MAGIC: u32 = 0x6744_6698;

/// Handshake flags of both sides: fixed newstyle, and no 124 zeros after the export's name.
pub(crate) const FIXED_NEWSTYLE: u16 = 1;
pub(crate) const NO_ZEROES: u16 = 2;

/// Handshake options.
pub(crate) const OPT_EXPORT_NAME: u32 = 1;
pub(crate) const OPT_ABORT: u32 = 2;
pub(crate) const OPT_LIST: u32 = 3;
pub(crate) const OPT_INFO: u32 = 6;
pub(crate) const OPT_GO: u32 = 7;

/// Replies to handshake options.
pub(crate) const REP_ACK: u32 = 1;
pub(crate) const REP_INFO: u32 = 3;
pub(crate) const REP_ERR_UNSUP: u32 = 0x8000_0001;
pub(crate) const REP_ERR_POLICY: u32 = 0x8000_0002;
pub(crate) const REP_ERR_INVALID: u32 = 0x8000_0003;

/// Kinds of [`REP_INFO`].
pub(crate) const INFO_EXPORT: u16 = 0;
pub(crate) const INFO_BLOCK_SIZE: u16 = 3;

/// Transmission flags: what the export can do.
pub(crate) const FLAG_HAS_FLAGS: u16 = 1;
pub(crate) const FLAG_READ_ONLY: u16 = 1 << 1;
pub(crate) const FLAG_SEND_FLUSH: u16 = 1 << 2;
pub(crate) const FLAG_SEND_FUA: u16 = 1 << 3;
pub(crate) const FLAG_SEND_TRIM: u16 = 1 << 5;
pub(crate) const FLAG_SEND_WRITE_ZEROES: u16 = 1 << 6;

/// Command flags: the data is on stable storage before the reply; zeros are to be allocated.
pub(crate) const CMD_FLAG_FUA: u16 = 1;
pub(crate) const CMD_FLAG_NO_HOLE: u16 = 1 << 1;

/// Bytes of a request without its payload.
pub(crate) const REQUEST_LEN: usize = 28;
/// Bytes of a reply without its payload.
pub(crate) const REPLY_LEN: usize = 16;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    Read,
    Write,
    Disconnect,
    Flush,
    Trim,
    WriteZeroes,
    Other(u16),
}

/// A request as received; only its magic is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) flags: u16,
    pub(crate) command: Command,
    pub(crate) cookie: [u8; 8],
    pub(crate) offset: u64,
    pub(crate) length: u32,
}

impl Request {
    /// `None` if the magic is wrong; the rest of the stream cannot be interpreted then.
    pub(crate) fn parse(bytes: &[u8; REQUEST_LEN]) -> Option<Self> {
        let (magic, rest) = take::<4>(bytes)?;
        let (flags, rest) = take::<2>(rest)?;
        let (command, rest) = take::<2>(rest)?;
        let (cookie, rest) = take::<8>(rest)?;
        let (offset, rest) = take::<8>(rest)?;
        let (length, _) = take::<4>(rest)?;
        if u32::from_be_bytes(magic) != REQUEST_MAGIC {
            return None;
        }
        Some(Self {
            flags: u16::from_be_bytes(flags),
            command: match u16::from_be_bytes(command) {
                0 => Command::Read,
                1 => Command::Write,
                2 => Command::Disconnect,
                3 => Command::Flush,
                4 => Command::Trim,
                6 => Command::WriteZeroes,
                other => Command::Other(other),
            },
            cookie,
            offset: u64::from_be_bytes(offset),
            length: u32::from_be_bytes(length),
        })
    }
}

/// The first `N` bytes and the rest, if there are that many.
pub(crate) fn take<const N: usize>(bytes: &[u8]) -> Option<([u8; N], &[u8])> {
    bytes
        .split_first_chunk()
        .map(|(first, rest)| (*first, rest))
}

/// The errors that the protocol knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NbdError {
    NotPermitted,
    Io,
    Invalid,
    NoSpace,
}

impl NbdError {
    fn code(self) -> u32 {
        match self {
            Self::NotPermitted => 1,
            Self::Io => 5,
            Self::Invalid => 22,
            Self::NoSpace => 28,
        }
    }
}

/// A simple reply, without the data that follows a successful read's.
pub(crate) fn reply(cookie: [u8; 8], result: Result<(), NbdError>) -> [u8; REPLY_LEN] {
    let mut bytes = [0; REPLY_LEN];
    let (magic, rest) = bytes.split_at_mut(4);
    let (error, echo) = rest.split_at_mut(4);
    magic.copy_from_slice(&SIMPLE_REPLY_MAGIC.to_be_bytes());
    error.copy_from_slice(&result.err().map_or(0, NbdError::code).to_be_bytes());
    echo.copy_from_slice(&cookie);
    bytes
}
