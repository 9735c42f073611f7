// SPDX-License-Identifier: Apache-2.0
//! Peers that ask for much, or for nothing.
#![allow(clippy::unwrap_used, reason = "what a test sets up must be there")]

mod common;

use avf_rpc::MAX_FDS;
use common::{connect, handshake, server};
use rsbinder::rpc::transport::UnixTransport;
use rsbinder::rpc::{FileDescriptorTransportMode, RpcClientConfig, RpcSession, RpcTransport};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use std::io::{IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// A call of `code` on the object that has no address, with this many descriptors in its parcel.
fn call(code: u32, fds: usize) -> Vec<u8> {
    let mut parcel = Vec::new();
    let mut table = Vec::new();
    for index in 0..fds {
        table.extend(u32::try_from(parcel.len()).unwrap().to_le_bytes());
        parcel.extend(2_u32.to_le_bytes());
        parcel.extend(u32::try_from(index).unwrap().to_le_bytes());
    }
    let mut body = vec![0; 8];
    body.extend(code.to_le_bytes());
    body.extend([0; 12]);
    body.extend(u32::try_from(parcel.len()).unwrap().to_le_bytes());
    body.extend([0; 12]);
    body.extend(parcel);
    body.extend(table);
    let mut message = 0_u32.to_le_bytes().to_vec();
    message.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
    message.extend([0; 8]);
    message.extend(body);
    message
}

/// Sends `message` with so many descriptors, in one go as Android's library does.
fn send(peer: &UnixStream, message: &[u8], fds: usize) {
    let file = std::fs::File::open("/dev/null").unwrap();
    let rights = vec![file.as_fd(); fds];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(fds == 0 || control.push(SendAncillaryMessage::ScmRights(&rights)));
    let sent = rustix::net::sendmsg(
        peer,
        &[IoSlice::new(message)],
        &mut control,
        SendFlags::NOSIGNAL,
    )
    .unwrap();
    assert_eq!(sent, message.len());
}

/// The body of the next reply.
fn reply(peer: &mut UnixStream) -> Vec<u8> {
    let mut header = [0; 16];
    peer.read_exact(&mut header).unwrap();
    let word = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().unwrap());
    assert_eq!(word(0), 1, "a reply");
    let mut body = vec![0; usize::try_from(word(4)).unwrap()];
    peer.read_exact(&mut body).unwrap();
    body
}

#[test]
fn a_call_with_too_many_descriptors_is_an_exception_and_not_the_end() {
    const GET_SESSION_ID: u32 = 2;
    let server = server();
    let mut peer = connect(&server);
    peer.write_all(&handshake()).unwrap();
    peer.read_exact(&mut [0; 8]).unwrap();
    for fds in [MAX_FDS + 1, 70, 253] {
        send(&peer, &call(1, fds), fds);
        let body = reply(&mut peer);
        let text: Vec<u16> = body[28..]
            .chunks_exact(2)
            .map(|unit| u16::from_le_bytes(unit.try_into().unwrap()))
            .collect();
        assert_eq!(body[20..24], (-3_i32).to_le_bytes(), "ILLEGAL_ARGUMENT");
        let text = String::from_utf16(&text).unwrap();
        let wanted = format!("the call carries {fds} file descriptors, and one call may carry 64;");
        assert!(text.starts_with(&wanted), "{text}");
        // The session lives.
        send(&peer, &call(GET_SESSION_ID, 0), 0);
        assert_eq!(reply(&mut peer)[..4], [0; 4]);
    }
}

#[test]
fn a_client_may_be_called_back_on_64_connections() {
    let server = server();
    let config = RpcClientConfig::new(2, || {
        let transport = UnixTransport::from_stream(connect(&server))?;
        Ok(Box::new(transport) as Box<dyn RpcTransport>)
    })
    .fd_mode(FileDescriptorTransportMode::Unix)
    .outgoing_connections(2)
    .incoming_connections(64);
    let session = RpcSession::setup_client_android13plus_with_config(config).unwrap();
    session.get_root().unwrap();
    session.close_session();
}

#[test]
fn a_half_open_connection_does_not_delay_the_end() {
    for sent in [0, 5] {
        let server = server();
        let mut peer = connect(&server);
        peer.write_all(&handshake()[..sent]).unwrap();
        let started = Instant::now();
        drop(server);
        // A handshake may take 10 s.
        assert!(started.elapsed() < Duration::from_secs(5));
        // What comes later is refused.
        assert_eq!(peer.read(&mut [0; 1]).unwrap_or(0), 0);
    }
}

#[test]
fn a_message_of_the_wrong_form_does_not_keep_a_server_from_being_stopped() {
    use avf_rpc::bootstrap::{self, End};
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (stop, stopper) = UnixStream::pair().unwrap();
    // No descriptor, and more bytes than one message may have: the peer lives on and says no more.
    send(&ours, b"12345", 0);
    let (end, ended) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let served = bootstrap::serve_until(theirs, &server(), Some(stop.as_fd()));
        end.send(served.unwrap()).unwrap();
    });
    // The message has most likely been read by then; if it has not, the test passes without need.
    assert!(ended.recv_timeout(Duration::from_millis(200)).is_err());
    (&stopper).write_all(b"x").unwrap();
    assert_eq!(
        ended.recv_timeout(Duration::from_secs(60)),
        Ok(End::Stopped)
    );
    thread.join().unwrap();
    drop(ours);
}
