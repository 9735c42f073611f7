// SPDX-License-Identifier: Apache-2.0
//! Connections from the host, and floods from either side.

use std::io::{Read, Write};

use super::*;
use crate::rig::{Rig, read_some};
use crate::table::MAX_CONNECTIONS;

/// The end of a stream, as [`read_some`] shows it.
const END: Option<Vec<u8>> = Some(Vec::new());

#[test]
fn a_connect_line_may_come_in_pieces_and_with_more_behind_it() {
    let mut rig = Rig::new();
    let mut host = rig.dial();
    for piece in [&b"CON"[..], b"NECT 1", b"024"] {
        host.write_all(piece).unwrap();
        rig.poll();
        assert_eq!(rig.take(), []);
    }
    host.write_all(b"\nand what follows").unwrap();
    rig.poll();
    let request = rig.take().remove(0);
    assert_eq!((request.op(), request.header.dst_port), (Op::Request, 1024));
    assert!(request.header.buf_alloc > 0);
    rig.guest(Op::Response, request.header.src_port, 1024);
    assert_eq!(rig.take()[0].data, b"and what follows");
}

#[test]
fn no_connection_is_an_end_of_file() {
    // The guest refuses.
    let mut rig = Rig::new();
    let (mut host, port) = rig.request(9);
    rig.guest(Op::Rst, port, 9);
    assert_eq!(read_some(&mut host), END);
    // Its driver has not started.
    let mut before_boot = Rig::before_boot();
    let mut host = before_boot.dial();
    host.write_all(b"CONNECT 9\n").unwrap();
    before_boot.poll();
    assert_eq!(read_some(&mut host), END);
    // It is not a CONNECT line.
    for line in [
        &b"\n"[..],
        b"GET / HTTP/1.1\r\n",
        b"CONNECT 1\0\n",
        &[b'1'; 100],
    ] {
        let mut host = rig.dial();
        host.write_all(line).unwrap();
        rig.poll();
        // With unread bytes left, a closed socket reads as a reset rather than an end.
        assert!(matches!(host.read(&mut [0]), Ok(0) | Err(_)));
        assert!(!matches!(host.read(&mut [0]), Err(e) if e.kind() == io::ErrorKind::WouldBlock));
    }
    assert_eq!(rig.take(), []);
    assert_eq!((rig.mux.table.len(), rig.mux.handshakes), (0, 0));
}

#[test]
fn who_does_not_answer_is_given_up() {
    let mut rig = Rig::new();
    let mut silent_host = rig.dial();
    rig.mux.expire(Instant::now() + HANDSHAKE_TIMEOUT);
    assert_eq!(read_some(&mut silent_host), END);

    let (mut host, port) = rig.request(9);
    rig.mux.expire(Instant::now() + CONNECT_TIMEOUT);
    assert_eq!(read_some(&mut host), END);
    assert_eq!(rig.take_ops(), [Op::Rst], "the guest knows of the attempt");
    rig.guest(Op::Response, port, 9);
    assert_eq!(rig.take_ops(), [Op::Rst], "its answer comes too late");
    assert_eq!(rig.mux.next_deadline(), None);
}

#[test]
fn idle_handshakes_make_room_for_new_ones() {
    let mut rig = Rig::new();
    let mut hosts: Vec<_> = (0..MAX_HANDSHAKES + 10).map(|_| rig.dial()).collect();
    assert_eq!(rig.mux.table.len(), MAX_HANDSHAKES);
    let closed: Vec<bool> = hosts
        .iter_mut()
        .map(|host| read_some(host).is_some())
        .collect();
    assert!(
        closed[..10].iter().all(|&closed| closed),
        "the oldest go first"
    );
    assert!(!closed[10..].iter().any(|&closed| closed));
    rig.connected(9);
}

// ---- Floods ----

#[test]
fn resets_do_not_pile_up() {
    let mut rig = Rig::new();
    let mut taken = 0_u32;
    while rig.mux.can_receive() {
        rig.guest(Op::Rw, 7, taken);
        taken += 1;
        assert!(taken < 10_000);
    }
    for port in 0..1000 {
        rig.guest(Op::Rw, 7, port);
    }
    assert_eq!(rig.take().len(), MAX_RESETS);
    assert!(rig.mux.can_receive());
}

#[test]
fn connections_that_come_and_go_leave_nothing_behind() {
    let mut rig = Rig::new();
    // The guest takes no packet all the time.
    for _ in 0..3 * MAX_CONNECTIONS {
        let mut host = rig.dial();
        host.write_all(b"CONNECT 9\n").unwrap();
        rig.poll();
        drop(host);
        rig.poll();
    }
    assert_eq!(rig.mux.table.len(), 0);
    assert!(rig.mux.ready.len() <= MAX_CONNECTIONS);
    assert_eq!(rig.take(), [], "the guest never knew of them");
}

#[test]
fn the_table_is_full() {
    let mut rig = Rig::new();
    let mut hosts = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        hosts.push(rig.connected(9));
    }
    let mut refused = rig.dial();
    assert_eq!(read_some(&mut refused), END);
    let listener = rig.listen(7);
    rig.guest(Op::Request, 7, 1);
    assert_eq!(rig.take_ops(), [Op::Rst]);
    hosts.pop();
    rig.poll();
    rig.take();
    rig.guest(
        Op::Rst,
        (1 << 30) + u32::try_from(MAX_CONNECTIONS).unwrap() - 1,
        9,
    );
    rig.accepted(&listener, 7, 2);
}
