// SPDX-License-Identifier: Apache-2.0
//! Waiting for devices. Drivers finish their work in the background, and the kernel announces each
//! device on a netlink socket once its node in `/dev` is there.

use crate::failure::{Failure, Kind};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::netlink::{KOBJECT_UEVENT, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// How long a device may take to appear.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

/// The group of the kernel's own messages.
const KERNEL: u32 = 1;

/// A listener for the kernel's device announcements from its opening on.
#[derive(Debug)]
pub(crate) struct Uevents {
    socket: OwnedFd,
}

impl Uevents {
    pub(crate) fn open() -> Result<Self, Failure> {
        let open = || {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let socket = socket_with(
                AddressFamily::NETLINK,
                SocketType::DGRAM,
                flags,
                Some(KOBJECT_UEVENT),
            )?;
            bind(&socket, &SocketAddrNetlink::new(0, KERNEL))?;
            Ok(socket)
        };
        let socket = open().map_err(|e: rustix::io::Errno| {
            Failure::io(Kind::Runtime, "listen for the kernel's device events", &e)
        })?;
        Ok(Self { socket })
    }

    /// Calls `ready` until it returns something: now, and after each device event, for at most
    /// `timeout`. Returns `None` after that.
    pub(crate) fn wait_for<T>(
        &self,
        timeout: Duration,
        mut ready: impl FnMut() -> Result<Option<T>, Failure>,
    ) -> Result<Option<T>, Failure> {
        let end = Instant::now() + timeout;
        loop {
            if let Some(found) = ready()? {
                return Ok(Some(found));
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.next(left)?;
        }
    }

    /// Returns after an event, or after `timeout` at the latest.
    pub(crate) fn next(&self, timeout: Duration) -> Result<(), Failure> {
        let failed =
            |e: rustix::io::Errno| Failure::io(Kind::Runtime, "wait for device events", &e);
        let timeout = Timespec::try_from(timeout).ok();
        let mut fds = [PollFd::new(&self.socket, PollFlags::IN)];
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(failed(e)),
        }
        // The content does not matter: the caller looks for itself, and one event may stand for many.
        let mut scratch = [0u8; 64];
        while recv(&self.socket, &mut scratch, RecvFlags::empty()).is_ok() {}
        Ok(())
    }
}
