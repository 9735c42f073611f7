// SPDX-License-Identifier: Apache-2.0
//! Writing without ever waiting.

use rustix::io::Errno;
use std::os::fd::AsFd;

/// Writes as much of `bytes` to the non-blocking `fd` as it takes now; the rest is lost.
///
/// # Errors
/// Any but that it is full.
pub(crate) fn offer(fd: impl AsFd, bytes: &[u8]) -> Result<(), Errno> {
    put(fd, bytes).map(drop)
}

/// Writes as much of `bytes` to the non-blocking `fd` as it takes now, and returns the rest.
///
/// # Errors
/// Any but that it is full.
pub(crate) fn put(fd: impl AsFd, mut bytes: &[u8]) -> Result<&[u8], Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(&fd, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => break,
            Err(e) => return Err(e),
        }
    }
    Ok(bytes)
}
