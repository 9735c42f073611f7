// SPDX-License-Identifier: Apache-2.0
//! Clients that speak to a manager's bootstrap socket without a library, or ask much of it.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test panics"
)]

use rsbinder::rpc::transport::UnixTransport;
use rsbinder::rpc::{FileDescriptorTransportMode, RpcClientConfig, RpcSession, RpcTransport};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use std::io::{IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use system_tests::host::Dist;
use vmclient::{Detached, ManagerOptions};

/// A manager that nothing but this test talks to, and the lines of its log, which end with it.
fn manager() -> Option<(Detached, Receiver<String>)> {
    let dist = Dist::find()
        .map_err(|reason| skip::skip!("{reason}"))
        .ok()?;
    let (line, lines) = channel();
    let options = ManagerOptions::new(dist.path("early_virtmgr")).on_log(move |text| {
        // Whether the test still reads makes no difference to the manager.
        let _ = line.send(text.to_owned());
    });
    Some((vmclient::spawn(&options).unwrap(), lines))
}

/// A connection to the manager: one end of a socketpair, whose other end is passed to it.
fn connect(manager: &Detached) -> UnixStream {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let rights = [theirs.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&rights)));
    rustix::net::sendmsg(
        &manager.socket,
        &[IoSlice::new(&[0; 4])],
        &mut control,
        SendFlags::NOSIGNAL,
    )
    .unwrap();
    ours
}

#[test]
fn bad_handshakes_do_not_fill_the_log() {
    const BAD: usize = 300;
    let Some((manager, lines)) = manager() else {
        return;
    };
    for _ in 0..BAD {
        let mut connection = connect(&manager);
        // The manager may close it before everything is written.
        let _ = connection.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let _ = connection.read_to_end(&mut Vec::new());
    }
    // Peers that hang up before they have said anything end in the ordinary way.
    for _ in 0..BAD {
        let mut connection = connect(&manager);
        connection.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = connection.read_to_end(&mut Vec::new());
    }
    drop(manager);
    let lines: Vec<String> = lines.iter().collect();
    let about = lines.iter().filter(|line| line.contains("RPC"));
    let count = about.count();
    assert!(
        (1..=24).contains(&count),
        "{count} lines, such as {:?}",
        lines.last()
    );
}

#[test]
fn a_half_open_connection_does_not_delay_the_end() {
    let Some((manager, lines)) = manager() else {
        return;
    };
    let mut connection = connect(&manager);
    // The beginning of a header.
    connection.write_all(&[2, 0, 0, 0]).unwrap();
    // A complete session shows that the first connection has arrived.
    avf_rpc::bootstrap::connect(&manager.socket, Duration::from_secs(60))
        .unwrap()
        .close_session();
    let hung_up = Instant::now();
    drop(manager);
    // The log ends with the manager, which gives a handshake 10 s.
    let lines: Vec<String> = lines.iter().collect();
    let took = hung_up.elapsed();
    assert!(took < Duration::from_secs(8), "{took:?}: {lines:?}");
    drop(connection);
}

#[test]
fn a_client_has_up_to_64_callback_connections() {
    let Some((manager, _lines)) = manager() else {
        return;
    };
    for count in [9, 64] {
        let config = RpcClientConfig::new(2, || {
            let transport = UnixTransport::from_stream(connect(&manager))?;
            Ok(Box::new(transport) as Box<dyn RpcTransport>)
        })
        .fd_mode(FileDescriptorTransportMode::Unix)
        .outgoing_connections(2)
        .incoming_connections(count)
        .timeout(Duration::from_secs(60));
        let session = RpcSession::setup_client_android13plus_with_config(config)
            .unwrap_or_else(|e| panic!("{count} connections: {e:?}"));
        session.get_root().unwrap();
        session.close_session();
    }
}
