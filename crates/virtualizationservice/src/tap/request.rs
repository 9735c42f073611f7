// SPDX-License-Identifier: Apache-2.0
//! The requests about network interfaces, of `linux/if_tun.h` and `netdevice(7)`.

use rustix::io::Errno;
use rustix::ioctl::{Opcode, Setter, Updater, ioctl, opcode};
use std::ffi::c_int;
use std::os::fd::AsFd;

pub(super) const IFF_UP: u16 = 0x0001;
pub(super) const IFF_TAP: u16 = 0x0002;
pub(super) const IFF_NO_PI: u16 = 0x1000;
pub(super) const IFF_VNET_HDR: u16 = 0x4000;
pub(super) const IFF_TUN_EXCL: u16 = 0x8000;

/// The numbers say `int`, but all of them take a `struct ifreq`.
const TUNSETIFF: Opcode = opcode::write::<c_int>(b'T', 202);
const TUNGETIFF: Opcode = opcode::read::<c_int>(b'T', 210);
const SIOCGIFFLAGS: Opcode = 0x8913;
const SIOCSIFFLAGS: Opcode = 0x8914;

/// `struct ifreq` with flags: 16 bytes of name, and a union that the largest kernel needs 24 bytes
/// for.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(8))]
pub(super) struct Request {
    name: [u8; 16],
    flags: u16,
    _rest: [u8; 22],
}

impl Request {
    /// A request about the interface `name`, which is cut to what there is room for.
    pub(super) fn new(name: &str, flags: u16) -> Self {
        let mut bytes = [0; 16];
        // The last byte stays zero.
        for (to, from) in bytes.iter_mut().take(15).zip(name.bytes()) {
            *to = from;
        }
        Self {
            name: bytes,
            flags,
            _rest: [0; 22],
        }
    }

    pub(super) fn name(&self) -> String {
        let name = self.name.split(|byte| *byte == 0).next();
        String::from_utf8_lossy(name.unwrap_or_default()).into_owned()
    }

    pub(super) fn flags(&self) -> u16 {
        self.flags
    }
}

/// Makes the interface and attaches it to `device`.
#[expect(unsafe_code, reason = "each ioctl is its own contract")]
pub(super) fn attach(device: impl AsFd, request: &Request) -> Result<(), Errno> {
    let mut request = *request;
    // SAFETY: TUNSETIFF reads and writes a struct ifreq, of the size and layout of Request.
    let call = unsafe { Updater::<TUNSETIFF, Request>::new(&mut request) };
    // SAFETY: it changes nothing of this process but that structure.
    unsafe { ioctl(device, call) }
}

/// The interface that is attached to `device`, with its kind as flags.
#[expect(unsafe_code, reason = "each ioctl is its own contract")]
pub(super) fn attached(device: impl AsFd) -> Result<Request, Errno> {
    let mut request = Request::new("", 0);
    // SAFETY: TUNGETIFF writes a struct ifreq, of the size and layout of Request.
    let call = unsafe { Updater::<TUNGETIFF, Request>::new(&mut request) };
    // SAFETY: it changes nothing of this process but that structure.
    unsafe { ioctl(device, call)? };
    Ok(request)
}

/// The flags of the interface `name`.
#[expect(unsafe_code, reason = "each ioctl is its own contract")]
pub(super) fn flags(socket: impl AsFd, name: &str) -> Result<Request, Errno> {
    let mut request = Request::new(name, 0);
    // SAFETY: SIOCGIFFLAGS reads the name in a struct ifreq and writes its flags.
    let call = unsafe { Updater::<SIOCGIFFLAGS, Request>::new(&mut request) };
    // SAFETY: it changes nothing of this process but that structure.
    unsafe { ioctl(socket, call)? };
    Ok(request)
}

/// Sets the flags of an interface.
#[expect(unsafe_code, reason = "each ioctl is its own contract")]
pub(super) fn set_flags(socket: impl AsFd, request: &Request) -> Result<(), Errno> {
    // SAFETY: SIOCSIFFLAGS reads a struct ifreq, of the size and layout of Request.
    let call = unsafe { Setter::<SIOCSIFFLAGS, Request>::new(*request) };
    // SAFETY: it changes nothing of this process.
    unsafe { ioctl(socket, call) }
}
