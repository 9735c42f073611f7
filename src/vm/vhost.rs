// SPDX-License-Identifier: Apache-2.0
//! Holding a CID with the kernel, where it has the device for guests' vsock.
//!
//! The kernel lets only one open device have a CID. The manager opens it and sets the CID when a VM
//! is created, and the VMM takes over that very descriptor. So a CID that is taken is an error of
//! the creation, and never a guest whose connections hang.

use crate::vm::Error;
use rustix::io::Errno;
use rustix::ioctl::{Setter, ioctl, opcode};
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};

/// The kernel's device.
const DEVICE: &str = "/dev/vhost-vsock";
/// `VHOST_VSOCK_SET_GUEST_CID` of `linux/vhost.h`: it takes the CID as 64 bits.
const SET_GUEST_CID: rustix::ioctl::Opcode = opcode::write::<u64>(0xaf, 0x60);

/// Takes `cid`: the opened device that holds it, or none if this host has no such device.
///
/// # Errors
/// [`Error::CidTaken`], or if the kernel refuses for another reason.
pub fn reserve(cid: u32) -> Result<Option<OwnedFd>, Error> {
    let device: OwnedFd = match OpenOptions::new().read(true).write(true).open(DEVICE) {
        Ok(device) => device.into(),
        Err(e) => {
            let hint = match e.kind() {
                ErrorKind::NotFound => "",
                _ => " (its owner can allow it to this user)",
            };
            log::debug!("{DEVICE}: {e}{hint}; the VM gets a vsock device in a process of its own");
            return Ok(None);
        }
    };
    match set_cid(device.as_fd(), cid.into()) {
        Ok(()) => Ok(Some(device)),
        Err(Errno::ADDRINUSE) => Err(Error::CidTaken { cid }),
        Err(e) => Err(Error::io(format!("take CID {cid} with {DEVICE}"), e)),
    }
}

#[expect(unsafe_code, reason = "each ioctl is its own contract")]
fn set_cid(device: impl AsFd, cid: u64) -> Result<(), Errno> {
    // SAFETY: this request takes the address of 64 bits to read, which a setter of u64 gives.
    let request = unsafe { Setter::<SET_GUEST_CID, u64>::new(cid) };
    // SAFETY: it changes nothing but the device that it is made on.
    unsafe { ioctl(device, request) }
}
