// SPDX-License-Identifier: Apache-2.0
//! Brings the loopback network device up, which no kernel does by itself.

use crate::failure::{Failure, Kind};
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with,
};

/// `RTM_NEWLINK` of rtnetlink(7).
const NEW_LINK: u16 = 16;
/// `NLM_F_REQUEST | NLM_F_ACK` of netlink(7).
const REQUEST_ACK: u16 = 1 | 4;
/// `NLMSG_ERROR`: the type of an acknowledgement; its first field is the negative errno.
const ERROR: u16 = 2;
/// The loopback device of a network namespace has index 1, always.
const LOOPBACK: i32 = 1;
/// `IFF_UP` of netdevice(7).
const UP: u32 = 1;
/// `struct nlmsghdr` and `struct ifinfomsg`, 16 bytes each.
const LENGTH: u32 = 32;

/// Brings it up. A kernel without networking has none, which is fine.
pub(crate) fn up() -> Result<(), Failure> {
    match request() {
        Ok(()) | Err(Errno::AFNOSUPPORT | Errno::PROTONOSUPPORT) => Ok(()),
        Err(e) => Err(Failure::io(
            Kind::Runtime,
            "bring the loopback device up",
            &e,
        )),
    }
}

fn request() -> rustix::io::Result<()> {
    // No protocol is number 0, which is `NETLINK_ROUTE`.
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        None,
    )?;
    sendto(
        &socket,
        &message(),
        SendFlags::empty(),
        &SocketAddrNetlink::new(0, 0),
    )?;
    let mut answer = [0u8; 64];
    let (length, _) = recv(&socket, &mut answer, RecvFlags::empty())?;
    match acknowledged(&answer[..length]) {
        Some(0) => Ok(()),
        Some(error) => Err(Errno::from_raw_os_error(error.saturating_neg())),
        None => Err(Errno::PROTO),
    }
}

/// The request: a netlink header, then the device's index and the one flag to change.
fn message() -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(LENGTH.to_ne_bytes());
    bytes.extend(NEW_LINK.to_ne_bytes());
    bytes.extend(REQUEST_ACK.to_ne_bytes());
    bytes.extend([0; 8]); // sequence number and port
    bytes.extend([0; 4]); // family, padding, device type
    bytes.extend(LOOPBACK.to_ne_bytes());
    bytes.extend(UP.to_ne_bytes());
    bytes.extend(UP.to_ne_bytes()); // which flags to change
    bytes
}

/// The status in an acknowledgement.
fn acknowledged(answer: &[u8]) -> Option<i32> {
    let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
    let status = i32::from_ne_bytes(answer.get(16..20)?.try_into().ok()?);
    (kind == ERROR).then_some(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel itself checks the message: it must understand it, and then either do it or say
    /// that this user may not.
    #[test]
    fn the_kernel_understands_the_message() {
        match request() {
            Ok(()) | Err(Errno::PERM) => {}
            Err(e) => panic!("{e}"),
        }
        assert_eq!(message().len(), usize::try_from(LENGTH).unwrap());
    }
}
