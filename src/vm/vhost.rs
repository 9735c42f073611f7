// SPDX-License-Identifier: Apache-2.0
//! Holding a CID with the kernel, where it has the device for guests' vsock.
//!
//! The manager takes the CID when a VM is created, and the VMM takes over that very descriptor. So a
//! CID that is taken is an error of the creation, and never a guest whose connections hang.

use crate::vm::Error;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use vhost_cid::DEVICE;

/// Takes `cid`: the opened device that holds it, or none if this host has no such device.
///
/// # Errors
/// [`Error::CidTaken`], or if the kernel refuses for another reason.
pub fn reserve(cid: u32) -> Result<Option<OwnedFd>, Error> {
    match vhost_cid::reserve(cid) {
        Ok(device) => Ok(Some(device)),
        Err(vhost_cid::Error::NoDevice(e)) => {
            let hint = match e.kind() {
                ErrorKind::NotFound => "",
                _ => " (its owner can allow it to this user)",
            };
            log::debug!("{DEVICE}: {e}{hint}; the VM gets a vsock device in a process of its own");
            Ok(None)
        }
        Err(vhost_cid::Error::Taken(cid)) => Err(Error::CidTaken { cid }),
        Err(vhost_cid::Error::Refused { cid, source }) => {
            Err(Error::io(format!("take CID {cid} with {DEVICE}"), source))
        }
        Err(e) => Err(Error::io(
            format!("take CID {cid}"),
            std::io::Error::other(e),
        )),
    }
}
