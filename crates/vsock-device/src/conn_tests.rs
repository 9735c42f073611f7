// SPDX-License-Identifier: Apache-2.0
//! The arithmetic of credit.

use super::*;

/// The counters of the specification are free running and wrap (virtio 1.2, 5.10.6.3).
#[test]
fn counters_wrap() {
    let stream = std::fs::File::open("/dev/null").unwrap();
    let key = Key {
        host_port: 1,
        guest_port: 2,
    };
    let mut conn = Conn::new(stream.into(), State::Established, key, 65536);
    conn.sent = 10;
    conn.update_credit(&Header {
        buf_alloc: 100,
        fwd_cnt: u32::MAX - 9,
        ..Header::default()
    });
    assert_eq!(conn.credit(), 80);
    conn.update_credit(&Header {
        buf_alloc: 20,
        fwd_cnt: u32::MAX - 9,
        ..Header::default()
    });
    assert_eq!(conn.credit(), 0);
    conn.update_credit(&Header {
        buf_alloc: 19,
        fwd_cnt: u32::MAX - 9,
        ..Header::default()
    });
    assert_eq!(
        conn.credit(),
        0,
        "the guest may shrink its buffer below what is under way"
    );

    conn.forwarded = u32::MAX - 5;
    conn.told_credit();
    conn.count_forwarded(32767);
    assert!(!conn.owes_credit());
    conn.count_forwarded(1);
    assert!(conn.owes_credit());
    assert_eq!(conn.forwarded(), 32762);
}
