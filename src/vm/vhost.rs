// SPDX-License-Identifier: Apache-2.0
//! Holding a CID with the kernel, where it has the device for guests' vsock, and the port of the
//! same number.
//!
//! The manager takes the CID when a VM is created, and the VMM takes over that very descriptor. So a
//! CID that is taken is an error of the creation, and never a guest whose connections hang.

use crate::error::{Error, Kind};
use avf_rpc::vsock::Port;
use cid::kernel::DEVICE;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;

/// A guest's place on the kernel's vsock.
#[derive(Debug)]
pub struct KernelVsock {
    /// The opened device, which holds the CID.
    pub device: OwnedFd,
    /// The port on which the guest finds its manager.
    pub port: Port,
}

/// Takes `cid` and the port of that number, or nothing if this host has no such device.
///
/// # Errors
/// [`Kind::Taken`] if another program has one of them, or if the kernel refuses for another
/// reason.
pub fn reserve(cid: u32) -> Result<Option<KernelVsock>, Error> {
    match cid::kernel::reserve(cid) {
        Ok(device) => {
            let port = Port::take(cid)?;
            Ok(Some(KernelVsock { device, port }))
        }
        Err(cid::kernel::Error::NoDevice(e)) => {
            let hint = match e.kind() {
                ErrorKind::NotFound => "",
                _ => " (its owner can allow it to this user)",
            };
            log::debug!("{DEVICE}: {e}{hint}; the VM gets a vsock device in a process of its own");
            Ok(None)
        }
        Err(cid::kernel::Error::Taken(cid)) => Err(Error::new(
            Kind::Taken,
            format!(
                "CID {cid} is taken: a VM that another program started has it; end that VM, or \
                 declare another CID"
            ),
        )),
        Err(cid::kernel::Error::Refused { cid, source }) => Err(Error::io(
            format!("cannot reserve CID {cid} with {DEVICE}"),
            source,
        )),
        Err(e) => Err(Error::io(
            format!("cannot reserve CID {cid}"),
            std::io::Error::other(e),
        )),
    }
}
