// SPDX-License-Identifier: Apache-2.0
//! The answer to a call that carries more descriptors than the RPC library takes.
//!
//! Android's library sends up to 253 descriptors with one call, ours takes 64 and ends the session
//! when there are more. A session that is lost says nothing to its client, so such a call is read
//! here to its end and answered with an exception, and the session goes on. Binders that the call
//! carries stay referenced by the client until its session ends, as nobody unpacks them.

use crate::MAX_FDS;
use rsbinder::ExceptionCode;
use rsbinder::rpc::{RpcError, RpcResult, RpcTransport};
use std::os::fd::OwnedFd;

/// `RpcWireHeader`: command, size of the body, two words that are reserved.
const HEADER: usize = 16;
/// `RpcWireTransaction`: address (8 bytes), code, flags, number (8 bytes), size of the parcel and
/// three words that are reserved. The parcel and the positions of its objects follow.
const TRANSACTION: usize = 40;
const FLAGS: usize = 12;
const PARCEL_SIZE: usize = 24;
/// `RpcWireReply`: status, size of the parcel, three words that are reserved.
const REPLY: usize = 20;

const COMMAND_TRANSACT: u32 = 0;
const COMMAND_REPLY: u32 = 1;
const FLAG_ONEWAY: u32 = 1;
/// The type of an object in a parcel that is a descriptor.
const OBJECT_FD: u32 = 2;

/// The largest call that is answered. One of the interfaces here with a thousand descriptors has a
/// tenth of that.
const MAX_BODY: usize = 1 << 20;

/// Reads from `inner` as it would itself, but for calls with too many descriptors: they are
/// answered, and the next message is read.
pub(crate) fn read(inner: &dyn RpcTransport, buf: &mut [u8]) -> RpcResult<(usize, Vec<OwnedFd>)> {
    loop {
        match inner.recv_raw_with_fds(buf) {
            // The only thing that a read objects to. The bytes have arrived; the library has closed
            // the descriptors that it took, and the kernel has dropped the others.
            Err(e @ RpcError::Protocol(_)) if buf.len() == HEADER => {
                if !refuse(inner, buf)? {
                    return Err(e);
                }
            }
            other => return other,
        }
    }
}

/// Reads the rest of the message with this `header` and answers it. False if it is not a call that
/// can be answered.
fn refuse(inner: &dyn RpcTransport, header: &[u8]) -> RpcResult<bool> {
    let size = word(header, 4).and_then(|size| usize::try_from(size).ok());
    let (Some(COMMAND_TRANSACT), Some(size)) = (word(header, 0), size) else {
        return Ok(false);
    };
    if !(TRANSACTION..=MAX_BODY).contains(&size) {
        return Ok(false);
    }
    let mut body = vec![0; size];
    let mut filled = 0;
    while filled < size {
        let Some(rest) = body.get_mut(filled..) else {
            return Ok(false);
        };
        match inner.recv_raw(rest)? {
            0 => return Err(RpcError::Truncated),
            count => filled += count,
        }
    }
    let is_oneway = word(&body, FLAGS).is_some_and(|flags| flags & FLAG_ONEWAY != 0);
    if !is_oneway {
        inner.send_raw(&exception(&text(count(&body))))?;
    }
    Ok(true)
}

fn text(count: usize) -> String {
    format!(
        "the call carries {count} file descriptors, and one call may carry {MAX_FDS}; use fewer \
         partitions, for example by putting several file systems into one image"
    )
}

/// The descriptors in the parcel of a transaction, by its table of objects.
fn count(body: &[u8]) -> usize {
    let parcel_size = word(body, PARCEL_SIZE).and_then(|size| usize::try_from(size).ok());
    let split = parcel_size.and_then(|size| body.get(TRANSACTION..)?.split_at_checked(size));
    let Some((parcel, table)) = split else {
        return 0;
    };
    table
        .chunks_exact(4)
        .filter_map(|position| usize::try_from(word(position, 0)?).ok())
        .filter(|position| word(parcel, *position) == Some(OBJECT_FD))
        .count()
}

/// A whole reply: the exception ILLEGAL_ARGUMENT with `message`.
fn exception(message: &str) -> Vec<u8> {
    let mut parcel = Vec::new();
    let exception = ExceptionCode::IllegalArgument as i32;
    parcel.extend(exception.to_le_bytes());
    let units: Vec<u16> = message.encode_utf16().collect();
    parcel.extend(u32::try_from(units.len()).unwrap_or(0).to_le_bytes());
    // Strings end with a NUL, and fill whole words.
    for unit in units.iter().chain(&[0]) {
        parcel.extend(unit.to_le_bytes());
    }
    parcel.resize(parcel.len().next_multiple_of(4), 0);
    // There is no stack trace.
    parcel.extend(0_u32.to_le_bytes());

    let size = |bytes: usize| u32::try_from(bytes).unwrap_or(0).to_le_bytes();
    let mut message = Vec::new();
    message.extend(COMMAND_REPLY.to_le_bytes());
    message.extend(size(REPLY + parcel.len()));
    message.extend([0; 8]);
    message.extend(0_u32.to_le_bytes());
    message.extend(size(parcel.len()));
    message.extend([0; 12]);
    message.extend(parcel);
    message
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rsbinder::rpc::transport::UnixTransport;

    /// A message with this command and flags, whose parcel has `fds` descriptors and one string.
    fn message(command: u32, flags: u32, fds: usize) -> Vec<u8> {
        let mut parcel = vec![7; 8];
        let mut table = Vec::new();
        for index in 0..fds {
            table.extend(u32::try_from(parcel.len()).unwrap().to_le_bytes());
            parcel.extend(OBJECT_FD.to_le_bytes());
            parcel.extend(u32::try_from(index).unwrap().to_le_bytes());
        }
        let mut body = vec![0; TRANSACTION];
        body[FLAGS..FLAGS + 4].copy_from_slice(&flags.to_le_bytes());
        let size = u32::try_from(parcel.len()).unwrap();
        body[PARCEL_SIZE..PARCEL_SIZE + 4].copy_from_slice(&size.to_le_bytes());
        body.extend(parcel);
        body.extend(table);
        let mut message = Vec::new();
        message.extend(command.to_le_bytes());
        message.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
        message.extend([0; 8]);
        message.extend(body);
        message
    }

    #[test]
    fn a_call_is_answered_and_a_oneway_call_is_not() {
        let (ours, theirs) = UnixTransport::pair().unwrap();
        for (flags, is_answered) in [(0, true), (FLAG_ONEWAY, false)] {
            let call = message(COMMAND_TRANSACT, flags, 70);
            theirs.send_raw(&call[HEADER..]).unwrap();
            assert!(refuse(&ours, &call[..HEADER]).unwrap());
            ours.send_raw(b"end").unwrap();
            let mut answer = vec![0; 4096];
            let mut length = theirs.recv_raw(&mut answer).unwrap();
            while !answer[..length].ends_with(b"end") {
                length += theirs.recv_raw(&mut answer[length..]).unwrap();
            }
            let answer = &answer[..length - 3];
            assert_eq!(!answer.is_empty(), is_answered);
            if is_answered {
                assert_eq!(word(answer, 0), Some(COMMAND_REPLY));
                let size = usize::try_from(word(answer, 4).unwrap()).unwrap();
                assert_eq!(answer.len(), HEADER + size);
                let units: Vec<u16> = answer[HEADER + REPLY + 8..]
                    .chunks_exact(2)
                    .map(|unit| u16::from_le_bytes(unit.try_into().unwrap()))
                    .collect();
                let text = String::from_utf16(&units).unwrap();
                assert!(text.starts_with(
                    "the call carries 70 file descriptors, and one call may carry 64"
                ));
            }
        }
    }

    #[test]
    fn what_is_not_a_call_is_not_answered() {
        let (ours, theirs) = UnixTransport::pair().unwrap();
        let reply = message(COMMAND_REPLY, 0, 70);
        assert!(!refuse(&ours, &reply[..HEADER]).unwrap());
        assert!(!refuse(&ours, &[0; HEADER]).unwrap());
        assert!(!refuse(&ours, &[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]).unwrap());
        let call = message(COMMAND_TRANSACT, 0, 70);
        theirs.send_raw(&call[HEADER..HEADER + 100]).unwrap();
        drop(theirs);
        assert!(refuse(&ours, &call[..HEADER]).is_err());
    }

    /// No table of objects makes counting fail, whatever it says.
    #[test]
    fn hostile_tables_are_counted() {
        let mut body = vec![0xff; TRANSACTION + 64];
        assert_eq!(count(&body), 0);
        body[PARCEL_SIZE..PARCEL_SIZE + 4].copy_from_slice(&32_u32.to_le_bytes());
        assert_eq!(count(&body), 0);
        assert_eq!(count(&[]), 0);
    }
}
