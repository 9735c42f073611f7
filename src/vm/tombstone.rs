// SPDX-License-Identifier: Apache-2.0
//! Android's crash collector, `tombstoned`: it gives whoever has something to report a file to
//! write into. Its protocol is that of debuggerd: packets of 12 bytes on a SEQPACKET socket.

use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType,
};
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

/// How long the collector may take for each step.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The first byte of a packet: something is to be reported.
const REQUEST: u8 = 0;
/// The file is written.
const COMPLETED: u8 = 1;
/// The answer to a request: write into the file that comes with this.
const PERFORM: u8 = 2;
/// The fifth byte of a request: a report like that of a crashed process.
const TOMBSTONE: u8 = 1;

/// Hands the content of `report`, from where it stands, to the collector that listens on `socket`.
/// `false` if there is none.
///
/// # Errors
/// If the collector is there, but does not take the report.
pub(super) fn hand_on(socket: &Path, report: &mut File) -> io::Result<bool> {
    hand_on_within(TIMEOUT, socket, report)
}

fn hand_on_within(timeout: Duration, socket: &Path, report: &mut File) -> io::Result<bool> {
    let collector = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?;
    // First: connecting waits as well, for room in the collector's queue.
    for direction in [Timeout::Recv, Timeout::Send] {
        set_socket_timeout(&collector, direction, Some(timeout))?;
    }
    match rustix::net::connect(&collector, &SocketAddrUnix::new(socket)?) {
        Ok(()) => {}
        Err(Errno::NOENT | Errno::CONNREFUSED) => return Ok(false),
        Err(e) => return Err(e.into()),
    }
    let pid = rustix::process::getpid().as_raw_nonzero().get();
    send(&collector, REQUEST, TOMBSTONE, pid)?;
    let mut tombstone = receive(&collector)?;
    io::copy(report, &mut tombstone)?;
    send(&collector, COMPLETED, 0, 0)?;
    Ok(true)
}

fn send(collector: &OwnedFd, kind: u8, dump: u8, pid: i32) -> io::Result<()> {
    let mut packet = [0; 12];
    packet[0] = kind;
    packet[4] = dump;
    packet[8..].copy_from_slice(&pid.to_ne_bytes());
    rustix::net::send(collector, &packet, SendFlags::NOSIGNAL)?;
    Ok(())
}

fn receive(collector: &OwnedFd) -> io::Result<File> {
    let mut packet = [0; 12];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = rustix::net::recvmsg(
        collector,
        &mut [IoSliceMut::new(&mut packet)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let file = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next().map(File::from),
        _ => None,
    });
    match file {
        Some(file) if message.bytes > 0 && packet[0] == PERFORM => Ok(file),
        _ => Err(io::Error::other(format!(
            "it answers with packet {}, without a file to write into",
            packet[0]
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage};
    use std::io::{IoSlice, Read, Seek, Write};
    use std::os::fd::AsFd;

    /// The collector's side, from the description of the protocol.
    fn collect(listener: &OwnedFd, tombstone: &File) -> [u8; 24] {
        let client = rustix::net::accept(listener).unwrap();
        let mut packets = [0; 24];
        let take = |packet: &mut [u8]| {
            assert_eq!(
                rustix::net::recv(&client, packet, RecvFlags::empty())
                    .unwrap()
                    .0,
                12
            );
        };
        take(&mut packets[..12]);
        let fds = [tombstone.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
        let answer = [2u8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        rustix::net::sendmsg(
            &client,
            &[IoSlice::new(&answer)],
            &mut control,
            SendFlags::empty(),
        )
        .unwrap();
        take(&mut packets[12..]);
        packets
    }

    #[test]
    fn a_collector_that_accepts_nobody_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tombstoned_crash");
        let address = SocketAddrUnix::new(&path).unwrap();
        let socket = |flags| {
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
                .unwrap()
        };
        let listener = socket(SocketFlags::empty());
        rustix::net::bind(&listener, &address).unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let mut queue = Vec::new();
        loop {
            let client = socket(SocketFlags::NONBLOCK);
            match rustix::net::connect(&client, &address) {
                Ok(()) => queue.push(client),
                Err(e) => break assert_eq!(e, Errno::AGAIN),
            }
        }
        let mut report = tempfile::tempfile().unwrap();
        let error = hand_on_within(Duration::from_millis(50), &path, &mut report).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_report_is_written_where_the_collector_says() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tombstoned_crash");
        let mut report = tempfile::tempfile().unwrap();
        report.write_all(b"the end of a guest").unwrap();
        report.rewind().unwrap();
        assert!(!hand_on(&path, &mut report).unwrap());

        let listener =
            rustix::net::socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).unwrap();
        rustix::net::bind(&listener, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        rustix::net::listen(&listener, 1).unwrap();
        let mut tombstone = tempfile::tempfile().unwrap();
        let file = tombstone.try_clone().unwrap();
        let collector = std::thread::spawn(move || collect(&listener, &file));
        assert!(hand_on(&path, &mut report).unwrap());
        let packets = collector.join().unwrap();
        assert_eq!((packets[0], packets[4], packets[12]), (0, 1, 1));
        assert_eq!(packets[8..12], std::process::id().to_ne_bytes());
        tombstone.rewind().unwrap();
        let mut text = String::new();
        tombstone.read_to_string(&mut text).unwrap();
        assert_eq!(text, "the end of a guest");
    }
}
