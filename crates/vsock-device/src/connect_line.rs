// SPDX-License-Identifier: Apache-2.0
//! The line by which a program on the host says which port of the guest it wants.

use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use rustix::net::RecvFlags;

/// The longest line: the word, a blank, ten digits, a carriage return and a newline.
const MAX_LINE: usize = 20;

/// What became of a `CONNECT` line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// The line is not complete yet.
    Partial,
    /// The program wishes to reach this guest port.
    Port(u32),
    /// The line is not one, or the program hung up.
    Invalid,
}

/// Reads the line from a socket, and not one byte of what may follow it.
pub(crate) fn read(stream: BorrowedFd<'_>) -> Request {
    let mut line = [0_u8; MAX_LINE];
    let peek = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    let seen = match rustix::io::retry_on_intr(|| rustix::net::recv(stream, &mut line[..], peek)) {
        Ok((0, _)) => return Request::Invalid,
        Ok((seen, _)) => seen,
        Err(Errno::AGAIN) => return Request::Partial,
        Err(_) => return Request::Invalid,
    };
    let Some(end) = line[..seen].iter().position(|&b| b == b'\n') else {
        return if seen < MAX_LINE {
            Request::Partial
        } else {
            Request::Invalid
        };
    };
    // What was just seen is still there, so that this neither blocks nor falls short.
    let taken = rustix::net::recv(stream, &mut line[..=end], RecvFlags::DONTWAIT);
    if !taken.is_ok_and(|(n, _)| n == end + 1) {
        return Request::Invalid;
    }
    parse(&line[..end]).map_or(Request::Invalid, Request::Port)
}

/// The port of a `CONNECT` line, without its newline.
fn parse(line: &[u8]) -> Option<u32> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let digits = line.strip_prefix(b"CONNECT ")?;
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // The highest number means "any port" and names none.
    std::str::from_utf8(digits)
        .ok()?
        .parse()
        .ok()
        .filter(|&port| port != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connect_lines() {
        assert_eq!(parse(b"CONNECT 0"), Some(0));
        assert_eq!(parse(b"CONNECT 4294967294"), Some(4_294_967_294));
        assert_eq!(parse(b"CONNECT 1024\r"), Some(1024));
        for bad in [
            &b""[..],
            b"CONNECT",
            b"CONNECT ",
            b"CONNECT  1",
            b"CONNECT +1",
            b"CONNECT -1",
            b"CONNECT 1 ",
            b"CONNECT 4294967295",
            b"CONNECT 4294967296",
            b"connect 1",
            b"GET / HTTP/1.1",
            b"CONNECT \xff",
        ] {
            assert_eq!(parse(bad), None, "{:?}", bad.escape_ascii().to_string());
        }
    }
}
