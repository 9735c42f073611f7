// SPDX-License-Identifier: Apache-2.0
//! The packet rules of virtio 1.2, section 5.10.6.

use std::io::Write;
use std::net::Shutdown;
use std::time::Instant;

use super::*;
use crate::conn::CLOSE_TIMEOUT;
use crate::packet::{SHUTDOWN_BOTH, SHUTDOWN_RECEIVE, SHUTDOWN_SEND};
use crate::rig::{CID, GUEST_ALLOC, Rig, read_some};

/// The end of a stream, as [`read_some`] shows it.
const END: Option<Vec<u8>> = Some(Vec::new());

fn bytes(n: usize) -> Vec<u8> {
    (0..=u8::MAX).cycle().take(n).collect()
}

#[test]
fn guest_connects_and_both_sides_talk() {
    let mut rig = Rig::new();
    let listener = rig.listen(7);
    rig.guest(Op::Request, 7, 1000);
    let (mut host, _) = listener.accept().unwrap();
    host.set_nonblocking(true).unwrap();
    let response = rig.take().remove(0);
    let expected = Header {
        src_cid: HOST_CID,
        dst_cid: u64::from(CID),
        src_port: 7,
        dst_port: 1000,
        kind: TYPE_STREAM,
        op: Op::Response.raw(),
        buf_alloc: response.header.buf_alloc,
        ..Header::default()
    };
    assert_eq!(response.header, expected);
    assert!(response.header.buf_alloc >= 16 * 1024);

    rig.guest_data(b"ping", 7, 1000);
    assert_eq!(read_some(&mut host), Some(b"ping".to_vec()));
    host.write_all(b"pong").unwrap();
    rig.poll();
    let answer = rig.take().remove(0);
    assert_eq!((answer.op(), &answer.data[..]), (Op::Rw, &b"pong"[..]));
    // The four bytes that the host took are free again.
    assert_eq!(answer.header.fwd_cnt, 4);
}

#[test]
fn nobody_listens_on_the_host() {
    let mut rig = Rig::new();
    rig.guest(Op::Request, 7, 1000);
    let packets = rig.take();
    assert_eq!(packets.len(), 1);
    assert_eq!(packets[0].header, Rig::header(Op::Request, 7, 1000).reset());
    assert_eq!(
        (packets[0].header.src_port, packets[0].header.dst_port),
        (7, 1000)
    );
    // A socket file that nobody listens on any more refuses, too.
    drop(rig.listen(8));
    rig.guest(Op::Request, 8, 1000);
    assert_eq!(rig.take_ops(), [Op::Rst]);
}

#[test]
fn packets_that_belong_to_nothing() {
    let mut rig = Rig::new();
    for op in [
        Op::Response,
        Op::Shutdown,
        Op::Rw,
        Op::CreditUpdate,
        Op::CreditRequest,
    ] {
        rig.guest(op, 7, 1000);
        assert_eq!(rig.take_ops(), [Op::Rst], "{op:?}");
    }
    rig.guest_header(
        &Header {
            op: 99,
            ..Rig::header(Op::Rw, 7, 1000)
        },
        &[],
    );
    assert_eq!(rig.take_ops(), [Op::Rst]);
    // An RST is never answered, or two devices would go on for ever.
    rig.guest(Op::Rst, 7, 1000);
    assert_eq!(rig.take(), []);
}

#[test]
fn addresses_and_types_are_checked() {
    let mut rig = Rig::new();
    let listener = rig.listen(7);
    let (mut host, _) = rig.accepted(&listener, 7, 1000);
    let data = Header {
        len: 1,
        ..Rig::header(Op::Rw, 7, 1000)
    };

    // Somebody else's CID, also one that differs in the upper half only, which is reserved.
    for src_cid in [0, 2, 43, (1 << 32) | u64::from(CID)] {
        rig.guest_header(&Header { src_cid, ..data }, b"x");
        assert_eq!(rig.take(), []);
    }
    rig.guest_header(&Header { dst_cid: 3, ..data }, b"x");
    assert_eq!(rig.take()[0].header, Header { dst_cid: 3, ..data }.reset());
    // Type 2 is a sequenced packet socket, which was not offered.
    for kind in [0, 2, 3, u16::MAX] {
        rig.guest_header(&Header { kind, ..data }, b"x");
        let packets = rig.take();
        assert_eq!(
            (packets.len(), packets[0].op(), packets[0].header.kind),
            (1, Op::Rst, kind)
        );
        rig.guest_header(
            &Header {
                kind,
                op: Op::Rst.raw(),
                ..data
            },
            b"",
        );
        assert_eq!(rig.take(), []);
    }
    assert_eq!(
        read_some(&mut host),
        None,
        "none of these packets is the host's"
    );
    rig.guest_data(b"y", 7, 1000);
    assert_eq!(read_some(&mut host), Some(b"y".to_vec()));
}

#[test]
fn broken_rules_reset_the_connection() {
    let cases: [(&str, Header, &[u8]); 6] = [
        (
            "unknown operation",
            Header {
                op: 8,
                ..Rig::header(Op::Rw, 7, 1)
            },
            b"",
        ),
        (
            "operation 0",
            Header {
                op: 0,
                ..Rig::header(Op::Rw, 7, 1)
            },
            b"",
        ),
        ("second request", Rig::header(Op::Request, 7, 1), b""),
        ("unasked response", Rig::header(Op::Response, 7, 1), b""),
        (
            "fewer bytes than announced",
            Header {
                len: 5,
                ..Rig::header(Op::Rw, 7, 1)
            },
            b"four",
        ),
        (
            "absurd length",
            Header {
                len: u32::MAX,
                ..Rig::header(Op::Rw, 7, 1)
            },
            b"four",
        ),
    ];
    for (name, header, data) in cases {
        let mut rig = Rig::new();
        let listener = rig.listen(7);
        let (mut host, _) = rig.accepted(&listener, 7, 1);
        rig.guest_header(&header, data);
        assert_eq!(read_some(&mut host), END, "{name}");
        assert_eq!(rig.take_ops(), [Op::Rst], "{name}");
        // The connection is gone, so that its ports serve a new one.
        rig.accepted(&listener, 7, 1);
    }
}

#[test]
fn data_before_the_response_resets() {
    let mut rig = Rig::new();
    let _listener = rig.listen(7);
    rig.guest(Op::Request, 7, 1);
    rig.guest_data(b"too early", 7, 1);
    assert_eq!(rig.take_ops(), [Op::Rst]);
    let (mut host, port) = rig.request(9);
    rig.guest_data(b"too early", port, 9);
    assert_eq!(read_some(&mut host), END);
    assert_eq!(rig.take_ops(), [Op::Rst]);
}

#[test]
fn a_host_that_does_not_read_stalls_only_itself() {
    let mut rig = Rig::new();
    let listener = rig.listen(7);
    let (mut host, window) = rig.accepted(&listener, 7, 1);
    let (mut other, _) = rig.accepted(&listener, 7, 2);
    // Keep to the credit, as a driver does.
    let (mut sent, mut forwarded) = (0, 0);
    let chunk = bytes(5000);
    loop {
        for packet in rig.take().iter().filter(|p| p.header.dst_port == 1) {
            forwarded = packet.header.fwd_cnt;
        }
        if sent - forwarded + 5000 > window {
            break;
        }
        rig.guest_data(&chunk, 7, 1);
        sent += 5000;
    }
    assert!(sent > window, "the host's socket holds some as well");
    rig.guest_data(b"hello", 7, 2);
    assert_eq!(read_some(&mut other), Some(b"hello".to_vec()));

    // Asked, the device tells how it stands; in the end that there is no more room.
    loop {
        rig.guest(Op::CreditRequest, 7, 1);
        let packet = rig.take().remove(0);
        assert_eq!(
            (packet.op(), packet.header.buf_alloc),
            (Op::CreditUpdate, window)
        );
        if sent - packet.header.fwd_cnt + 5000 > window {
            break;
        }
        rig.guest_data(&chunk, 7, 1);
        sent += 5000;
    }
    assert!(rig.mux.buffered() <= usize::try_from(window).unwrap());

    // Once the host reads, the guest hears of it unasked, and no byte is lost.
    let mut got = Vec::new();
    let mut updates = 0;
    while let Some(part) = read_some(&mut host) {
        got.extend(part);
        rig.poll();
        updates += rig
            .take_ops()
            .iter()
            .filter(|&&op| op == Op::CreditUpdate)
            .count();
    }
    assert!(updates >= 1);
    assert_eq!(got.len(), usize::try_from(sent).unwrap());
    assert!(got.chunks(5000).all(|part| part == chunk));
}

#[test]
fn a_guest_that_ignores_its_credit_is_reset() {
    let mut rig = Rig::new();
    let listener = rig.listen(7);
    let (mut host, window) = rig.accepted(&listener, 7, 1);
    let chunk = bytes(4096);
    let mut sent = 0;
    while !rig.take_ops().contains(&Op::Rst) {
        rig.guest_data(&chunk, 7, 1);
        sent += 4096;
        assert!(sent < window + 4_000_000, "never reset");
    }
    let mut got = 0;
    loop {
        match read_some(&mut host) {
            Some(part) if part.is_empty() => break,
            Some(part) => got += part.len(),
            None => panic!("the connection is still open"),
        }
    }
    assert!(got > 0);
}

#[test]
fn the_guest_is_sent_no_more_than_it_has_room_for() {
    let mut rig = Rig::new();
    let (mut host, port) = rig.connected(9);
    let allowed = usize::try_from(GUEST_ALLOC).unwrap();
    let data = bytes(allowed + 5000);
    let mut written = 0;
    let mut got = Vec::new();
    for _ in 0..1000 {
        if written == data.len() && got.len() == allowed {
            break;
        }
        written += host.write(&data[written..]).unwrap_or(0);
        rig.poll();
        got.extend(
            rig.take()
                .into_iter()
                .filter(|p| p.op() == Op::Rw)
                .flat_map(|p| p.data),
        );
    }
    assert_eq!(got.len(), allowed);
    rig.poll();
    assert_eq!(rig.take(), [], "one credit request is enough");

    // The guest took 1000 bytes; then it says that its buffer grew by another 500.
    rig.guest_header(
        &Header {
            fwd_cnt: 1000,
            ..Rig::header(Op::CreditUpdate, port, 9)
        },
        &[],
    );
    let packets = rig.take();
    assert_eq!(packets.iter().map(|p| p.data.len()).sum::<usize>(), 1000);
    assert_eq!(packets.last().unwrap().op(), Op::CreditRequest);
    let more = Header {
        fwd_cnt: 1000,
        buf_alloc: GUEST_ALLOC + 500,
        ..Rig::header(Op::CreditUpdate, port, 9)
    };
    rig.guest_header(&more, &[]);
    got.extend(packets.into_iter().flat_map(|p| p.data));
    got.extend(rig.take().into_iter().flat_map(|p| p.data));
    assert_eq!(got, data[..allowed + 1500]);

    // A guest that claims to have taken more than it was sent gets nothing, and does no harm.
    rig.guest_header(
        &Header {
            fwd_cnt: u32::MAX / 2,
            ..more
        },
        &[],
    );
    assert!(rig.take().iter().all(|p| p.data.is_empty()));
}

#[test]
fn packets_fit_the_guests_buffers() {
    let mut rig = Rig::new();
    let (mut host, _) = rig.connected(9);
    host.write_all(&bytes(1000)).unwrap();
    rig.poll();
    let mut got = Vec::new();
    while let Some(packet) = rig.take_one(300) {
        assert!(packet.data.len() <= 300);
        got.extend(packet.data);
    }
    assert_eq!(got, bytes(1000));
}

#[test]
fn the_host_stops_sending_but_goes_on_reading() {
    let mut rig = Rig::new();
    let (mut host, port) = rig.connected(9);
    host.write_all(b"last words").unwrap();
    host.shutdown(Shutdown::Write).unwrap();
    rig.poll();
    let packets = rig.take();
    assert_eq!(packets[0].data, b"last words");
    assert_eq!(
        (packets[1].op(), packets[1].header.flags),
        (Op::Shutdown, SHUTDOWN_SEND)
    );
    assert_eq!(packets.len(), 2);
    rig.guest_data(b"reply", port, 9);
    assert_eq!(read_some(&mut host), Some(b"reply".to_vec()));
    // When the guest has nothing more to say either, both directions are over.
    rig.guest_shutdown(SHUTDOWN_SEND, port, 9);
    assert_eq!(read_some(&mut host), END);
    let packets = rig.take();
    assert_eq!(
        (packets[0].op(), packets[0].header.flags),
        (Op::Shutdown, SHUTDOWN_BOTH)
    );
    rig.guest(Op::Rst, port, 9);
    assert_eq!(rig.mux.table.len(), 0);
    assert_eq!(rig.take(), []);
}

#[test]
fn the_guest_stops_sending_but_goes_on_reading() {
    let mut rig = Rig::new();
    let listener = rig.listen(7);
    let (mut host, _) = rig.accepted(&listener, 7, 1);
    rig.guest_data(b"last words", 7, 1);
    rig.guest_shutdown(SHUTDOWN_SEND, 7, 1);
    assert_eq!(read_some(&mut host), Some(b"last words".to_vec()));
    assert_eq!(read_some(&mut host), END);
    host.write_all(b"reply").unwrap();
    rig.poll();
    assert_eq!(rig.take()[0].data, b"reply");
    // It may not send again.
    rig.guest_data(b"more", 7, 1);
    assert_eq!(rig.take_ops(), [Op::Rst]);
}

#[test]
fn the_guest_stops_reading_but_goes_on_sending() {
    let mut rig = Rig::new();
    let listener = rig.listen(7);
    let (mut host, _) = rig.accepted(&listener, 7, 1);
    rig.guest_shutdown(SHUTDOWN_RECEIVE, 7, 1);
    assert_eq!(
        host.write(b"unwanted").unwrap_err().kind(),
        io::ErrorKind::BrokenPipe
    );
    rig.guest_data(b"still here", 7, 1);
    assert_eq!(read_some(&mut host), Some(b"still here".to_vec()));
    // Both halves at once or one after the other come to the same: the device ends with an RST.
    rig.guest_shutdown(SHUTDOWN_SEND, 7, 1);
    assert_eq!(rig.take_ops().last(), Some(&Op::Rst));
    assert_eq!(read_some(&mut host), END);
    assert_eq!(rig.mux.table.len(), 0);
}

#[test]
fn the_guest_closes_with_bytes_under_way() {
    // With SHUTDOWN alone the RST waits until the host has everything; an RST from the guest,
    // which has waited long enough, takes nothing back.
    for guest_resets in [false, true] {
        let mut rig = Rig::new();
        let listener = rig.listen(7);
        let (mut host, _) = rig.accepted(&listener, 7, 1);
        let chunk = bytes(4096);
        let mut sent = 0;
        while rig.mux.buffered() == 0 {
            assert!(sent < 10_000_000, "nothing is ever buffered");
            rig.guest_data(&chunk, 7, 1);
            sent += chunk.len();
            rig.take();
        }
        rig.guest_shutdown(SHUTDOWN_BOTH, 7, 1);
        assert!(!rig.take_ops().contains(&Op::Rst));
        if guest_resets {
            rig.guest(Op::Rst, 7, 1);
            assert_eq!(rig.take(), []);
            // The ports are free again already.
            rig.accepted(&listener, 7, 1);
            rig.guest(Op::Rst, 7, 1);
        }
        let mut got = 0;
        while let Some(part) = read_some(&mut host) {
            if part.is_empty() {
                break;
            }
            got += part.len();
            rig.poll();
        }
        assert_eq!(got, sent);
        assert_eq!(rig.take_ops().contains(&Op::Rst), !guest_resets);
        assert_eq!(rig.mux.table.len(), 0);
    }
}

#[test]
fn the_host_closes() {
    let mut rig = Rig::new();
    let (mut host, port) = rig.connected(9);
    host.write_all(b"bye").unwrap();
    drop(host);
    rig.poll();
    let packets = rig.take();
    assert!(packets.iter().any(|p| p.data == b"bye"));
    assert_eq!(packets.last().unwrap().header.flags, SHUTDOWN_BOTH);
    // What the guest sent before it knew goes nowhere and does no harm.
    rig.guest_data(&bytes(3000), port, 9);
    assert_eq!(rig.take(), []);

    // Without the RST that is due from the guest the connection ends in time.
    rig.mux.expire(Instant::now() + CLOSE_TIMEOUT / 2);
    assert_eq!(rig.take(), []);
    assert!(rig.mux.next_deadline().unwrap() <= Instant::now() + CLOSE_TIMEOUT);
    rig.mux.expire(Instant::now() + CLOSE_TIMEOUT);
    assert_eq!(rig.take_ops(), [Op::Rst]);
    assert_eq!(rig.mux.table.len(), 0);
    assert_eq!(rig.mux.next_deadline(), None);
}

#[test]
fn the_guest_starts_anew() {
    let mut rig = Rig::new();
    let listener = rig.listen(7);
    let (mut accepted, _) = rig.accepted(&listener, 7, 1);
    let (mut connected, _) = rig.connected(9);
    rig.guest(Op::Rw, 1, 1);
    rig.mux.forget_guest();
    assert_eq!(
        (read_some(&mut accepted), read_some(&mut connected)),
        (END, END)
    );
    assert_eq!(rig.take(), []);
    assert_eq!(rig.mux.table.len(), 0);
}
