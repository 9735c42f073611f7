// SPDX-License-Identifier: Apache-2.0
//! A virtio socket device in user space, for hosts without `/dev/vhost-vsock`.
//!
//! A VMM attaches to it over vhost-user; the guest sees an ordinary virtio socket device
//! (virtio 1.2, section 5.10) and needs no special driver. On the host every guest port is
//! reached through one Unix socket, and every host port is a Unix socket:
//!
//! - Host to guest: connect to the listener, send `CONNECT <port>\n`, read `OK <n>\n`. From then
//!   on the socket is the connection. A port on which nothing listens is an end of file in place
//!   of the `OK` line.
//! - Guest to host port `P`: the device connects to `<prefix>_P` in the given directory. A
//!   missing socket, or one on which nobody listens, refuses the guest's connection at once.
//!
//! # Inside
//!
//! ```text
//!  VMM --vhost-user--> frontend ---- memory, rings ----.
//!                                                       v
//!  guest <== virtqueues ==> ring <--- packets ---> mux / conn <--- bytes ---> Unix sockets
//! ```
//!
//! One thread runs one epoll loop (`device`). `ring` moves packets in and out of the virtqueues,
//! `mux` finds the connection of a packet and picks the next packet for the guest, `conn` is the
//! state of one connection and `credit` its flow control, `table` bounds the number of connections
//! and their memory, `isolate` confines the process.
//!
//! # What a hostile guest or peer can reach
//!
//! Guest memory is only reached through bounds-checked copies. The number of connections, the
//! bytes buffered for each and in total, unfinished handshakes and unsent RST packets are all
//! bounded. No socket operation of a connection blocks: a peer that does not read, or a guest
//! that does not refill its receive queue, holds up nobody else. The VMM is trusted to the extent
//! that it owns the guest anyway: it can end the device, not escape through it.

#![forbid(unsafe_code)]

#[cfg(feature = "checks")]
pub mod checks;
mod conn;
mod connect_line;
mod credit;
mod device;
mod error;
mod frontend;
mod isolate;
mod mux;
#[cfg(test)]
mod mux_props;
mod packet;
#[cfg(test)]
mod rig;
mod ring;
mod table;

use std::os::fd::OwnedFd;

pub use error::{Error, InvalidCid};

/// The context identifier by which a guest is reached, 3 to 4294967294.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GuestCid(u32);

impl GuestCid {
    /// Checks that `cid` is one a guest may have: 0 to 2 and 4294967295 are reserved.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidCid`] for a reserved number.
    pub fn new(cid: u32) -> Result<Self, InvalidCid> {
        match cid {
            0..=2 | u32::MAX => Err(InvalidCid(cid)),
            _ => Ok(Self(cid)),
        }
    }

    /// The number itself.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }
}

/// What the device is made of.
#[derive(Debug)]
pub struct Config {
    /// A connected Unix stream socket on whose other end the VMM speaks vhost-user.
    pub vhost_user: OwnedFd,
    /// The guest's CID.
    pub guest_cid: GuestCid,
    /// A bound and listening Unix stream socket for connections from the host to the guest.
    pub listener: OwnedFd,
    /// The directory that holds the sockets for connections from the guest to the host.
    pub directory: OwnedFd,
    /// The file name, up to the `_P`, of the socket that stands for host port `P`.
    pub prefix: String,
}

/// Serves one guest until its VMM closes the vhost-user socket.
///
/// This function needs a process of its own, started for it: it changes the working directory,
/// lowers the limit on descriptors and confines the whole process with seccomp and, where the
/// kernel has it, Landlock, none of which can be undone. Exit when it returns.
///
/// # Errors
///
/// Returns an [`Error`] when a part of the configuration cannot be used, when the process cannot
/// be confined, or when the VMM breaks the vhost-user protocol. The VMM's hanging up is not an error.
pub fn run(config: Config) -> Result<(), Error> {
    let mut device = device::Device::new(config)?;
    isolate::isolate()?;
    device.serve()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_cids_are_refused() {
        for cid in [0, 1, 2, u32::MAX] {
            assert_eq!(GuestCid::new(cid), Err(InvalidCid(cid)));
        }
        for cid in [3, 2048, u32::MAX - 1] {
            assert_eq!(GuestCid::new(cid).unwrap().get(), cid);
        }
    }
}
