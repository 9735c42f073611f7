// SPDX-License-Identifier: Apache-2.0
//! Holding a CID with the kernel, where it has the device for guests' vsock.
//!
//! The kernel lets only one open device have a CID. The process that opens it and sets the CID keeps the CID until the
//! device is closed.

use rustix::io::Errno;
use rustix::ioctl::{Setter, ioctl, opcode};
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// The kernel's device.
pub const DEVICE: &str = "/dev/vhost-vsock";
/// `VHOST_VSOCK_SET_GUEST_CID` of `linux/vhost.h`: it takes the CID as 64 bits.
const SET_GUEST_CID: rustix::ioctl::Opcode = opcode::write::<u64>(0xaf, 0x60);

/// Why a CID is not held.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// This host has no such device, or not for this user.
    #[error("cannot open {DEVICE}")]
    NoDevice(#[source] io::Error),
    /// Another program's guest has the CID.
    #[error("CID {0} is taken by a guest of another program")]
    Taken(u32),
    /// The device refused for another reason.
    #[error("cannot reserve CID {cid} with {DEVICE}")]
    Refused {
        /// The CID.
        cid: u32,
        /// The system error.
        source: io::Error,
    },
}

/// Takes `cid`: the opened device that holds it.
///
/// # Errors
/// [`Error::NoDevice`] where there is none, [`Error::Taken`], or if the kernel refuses otherwise.
pub fn reserve(cid: u32) -> Result<OwnedFd, Error> {
    let device: OwnedFd = OpenOptions::new()
        .read(true)
        .write(true)
        .open(DEVICE)
        .map_err(Error::NoDevice)?
        .into();
    match set_cid(device.as_fd(), cid.into()) {
        Ok(()) => Ok(device),
        Err(Errno::ADDRINUSE) => Err(Error::Taken(cid)),
        Err(e) => Err(Error::Refused {
            cid,
            source: e.into(),
        }),
    }
}

#[expect(unsafe_code, reason = "each ioctl is its own contract")]
fn set_cid(device: impl AsFd, cid: u64) -> Result<(), Errno> {
    // SAFETY: this request takes the address of 64 bits to read, which a setter of u64 gives.
    let request = unsafe { Setter::<SET_GUEST_CID, u64>::new(cid) };
    // SAFETY: it changes nothing but the device that it is made on.
    unsafe { ioctl(device, request) }
}
