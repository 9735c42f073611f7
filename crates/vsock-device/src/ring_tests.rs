// SPDX-License-Identifier: Apache-2.0
//! Packets through virtqueues, with a driver that behaves and one that does not.

use std::io::{Read, Write};

use proptest::prelude::*;

use super::*;
use crate::packet::Op;
use crate::rig::{Rig, read_some};

#[expect(unreachable_pub, reason = "the module also serves an integration test")]
#[path = "../tests/driver/mod.rs"]
mod driver;
use driver::{Descriptor, Driver, INDIRECT, NEXT, WRITE};

const MEMORY: usize = 1 << 20;
const TRANSMIT: u64 = 0x1000;
const RECEIVE: u64 = 0x3000;
const TABLE: u64 = 0x8000;
const DATA: u64 = 0x10000;
const SIZE: u16 = 16;

fn memory() -> GuestMemoryMmap {
    // Two regions, so that a buffer may lie across their border at 0x80000.
    let half = MEMORY / 2;
    GuestMemoryMmap::from_ranges(&[(GuestAddress(0), half), (GuestAddress(0x80000), half)]).unwrap()
}

fn ring_of(driver: &Driver<'_>) -> Ring {
    let mut ring = Ring::new().unwrap();
    ring.queue.try_set_size(SIZE).unwrap();
    ring.queue
        .try_set_desc_table_address(GuestAddress(driver.table()))
        .unwrap();
    ring.queue
        .try_set_avail_ring_address(GuestAddress(driver.avail_ring()))
        .unwrap();
    ring.queue
        .try_set_used_ring_address(GuestAddress(driver.used_ring()))
        .unwrap();
    ring.queue.set_ready(true);
    ring.enabled = true;
    ring
}

fn rw(len: u32) -> [u8; HEADER_LEN] {
    Header {
        len,
        ..Rig::header(Op::Rw, 7, 1)
    }
    .encode()
}

/// A connection between guest port 1 and host port 7.
fn connected() -> (Rig, std::os::unix::net::UnixStream) {
    let mut rig = Rig::new();
    let listener = rig.listen(7);
    let (host, _) = rig.accepted(&listener, 7, 1);
    (rig, host)
}

#[test]
fn a_packet_may_be_cut_into_descriptors_anywhere() {
    let memory = memory();
    let (mut rig, mut host) = connected();
    let mut work = Workspace::new();
    let mut driver = Driver::new(&memory, TRANSMIT, SIZE);
    let mut ring = ring_of(&driver);
    let payload: Vec<u8> = (0..200).collect();
    let packet = [&rw(200)[..], &payload].concat();
    // Across the border of the two regions.
    let start = 0x80000 - 100;
    memory.write_slice(&packet, GuestAddress(start)).unwrap();
    let cuts: [&[u32]; 6] = [
        &[244],
        &[44, 200],
        &[1, 43, 199, 1],
        &[20, 20, 20, 184],
        &[44, 0, 100, 100],
        &[10, 0, 234],
    ];
    for indirect in [false, true] {
        for cut in cuts {
            let mut at = start;
            let mut chain: Vec<Descriptor> = Vec::new();
            for &len in cut {
                chain.push((at, len, 0));
                at += u64::from(len);
            }
            let head = if indirect {
                driver.offer_indirect(TABLE, &chain)
            } else {
                driver.offer(&chain)
            };
            assert!(!receive(&mut ring, &memory, &mut rig.mux, &mut work));
            assert_eq!(driver.take_used(), [(u32::from(head), 0)]);
            assert_eq!(read_some(&mut host), Some(payload.clone()), "{cut:?}");
        }
    }
}

/// Linux sends 64 KiB as one chain of a header and up to 17 pages.
#[test]
fn a_large_packet_of_many_pages() {
    let memory = memory();
    let (mut rig, mut host) = connected();
    let mut work = Workspace::new();
    let mut driver = Driver::new(&memory, TRANSMIT, SIZE);
    let mut ring = ring_of(&driver);
    let payload: Vec<u8> = (0..65536_u32)
        .map(|i| u8::try_from(i % 251).unwrap())
        .collect();
    memory.write_slice(&rw(65536), GuestAddress(DATA)).unwrap();
    let mut chain = vec![(DATA, 44, 0)];
    for (i, page) in (0_u64..).zip(payload.chunks(4096)) {
        // Every other page, so that none follows the one before it.
        let at = DATA + 0x2000 * (i + 1);
        memory.write_slice(page, GuestAddress(at)).unwrap();
        chain.push((at, 4096, 0));
    }
    driver.offer_indirect(TABLE, &chain);
    receive(&mut ring, &memory, &mut rig.mux, &mut work);
    let mut got = vec![0; 65536];
    host.set_nonblocking(false).unwrap();
    host.read_exact(&mut got).unwrap();
    assert_eq!(got, payload);
}

#[test]
fn packets_to_the_guest_fill_its_buffers() {
    let memory = memory();
    let (mut rig, mut host) = connected();
    let mut work = Workspace::new();
    let mut driver = Driver::new(&memory, RECEIVE, SIZE);
    let mut ring = ring_of(&driver);
    let payload: Vec<u8> = (0..250).collect();
    host.write_all(&payload).unwrap();
    rig.poll();
    // No buffer, no packet; nothing is lost.
    assert!(!send(&mut ring, &memory, &mut rig.mux, &mut work));
    assert_eq!(driver.take_used(), []);
    // 6.1 offers header and data apart, 6.12 in one; the third is too small to be of use.
    let first = driver.offer(&[(DATA, 44, WRITE), (DATA + 0x1000, 100, WRITE)]);
    let useless = driver.offer(&[(DATA, 44, WRITE)]);
    let second = driver.offer(&[(DATA + 0x2000, 4096, WRITE)]);
    let spare = driver.offer(&[(DATA + 0x4000, 4096, WRITE)]);
    assert!(!send(&mut ring, &memory, &mut rig.mux, &mut work));
    assert_eq!(
        driver.take_used(),
        [
            (first.into(), 144),
            (useless.into(), 0),
            (second.into(), 194)
        ]
    );
    let mut got = vec![0; 250];
    memory
        .read_slice(&mut got[..100], GuestAddress(DATA + 0x1000))
        .unwrap();
    memory
        .read_slice(&mut got[100..], GuestAddress(DATA + 0x2000 + 44))
        .unwrap();
    assert_eq!(got, payload);
    let mut header = [0; HEADER_LEN];
    memory
        .read_slice(&mut header, GuestAddress(DATA + 0x2000))
        .unwrap();
    assert_eq!(
        (Header::decode(&header).op, Header::decode(&header).len),
        (Op::Rw.raw(), 150)
    );
    // The spare buffer was not used up by finding out that there is nothing more.
    host.write_all(b"later").unwrap();
    rig.poll();
    send(&mut ring, &memory, &mut rig.mux, &mut work);
    assert_eq!(driver.take_used(), [(spare.into(), 49)]);
}

#[test]
fn bytes_for_the_guest_outlive_an_unusable_buffer() {
    let memory = memory();
    let (mut rig, mut host) = connected();
    let mut work = Workspace::new();
    let mut driver = Driver::new(&memory, RECEIVE, SIZE);
    let mut ring = ring_of(&driver);
    host.write_all(&[7; 100]).unwrap();
    rig.poll();
    let end = u64::try_from(MEMORY).unwrap();
    let outside = driver.offer(&[(DATA, 50, WRITE), (end, 4096, WRITE)]);
    let read_only = driver.offer(&[(DATA, 4096, 0)]);
    let good = driver.offer(&[(DATA, 4096, WRITE)]);
    send(&mut ring, &memory, &mut rig.mux, &mut work);
    let used = [
        (outside.into(), 0),
        (read_only.into(), 0),
        (good.into(), 144),
    ];
    assert_eq!(driver.take_used(), used);
}

#[test]
fn unusable_chains_are_given_back() {
    let memory = memory();
    let (mut rig, mut host) = connected();
    let mut work = Workspace::new();
    let mut driver = Driver::new(&memory, TRANSMIT, SIZE);
    let mut ring = ring_of(&driver);
    memory.write_slice(&rw(1), GuestAddress(DATA)).unwrap();
    let end = u64::try_from(MEMORY).unwrap();
    let chains: [&[Descriptor]; 9] = [
        &[(DATA, 43, 0)],              // less than a header
        &[(DATA, 44, WRITE)],          // nothing to read
        &[(end - 10, 44, 0)],          // runs out of memory
        &[(u64::MAX - 10, 44, 0)],     // wraps around
        &[(DATA, 44, 0), (end, 1, 0)], // the second is outside
        &[(DATA, u32::MAX, 0)],        // absurd length
        &[(TABLE, 17, INDIRECT)],      // a table of one and a bit
        &[(end - 16, 32, INDIRECT)],   // a table outside
        &[(TABLE, 0, INDIRECT)],       // an empty table
    ];
    for chain in chains {
        let head = driver.offer(chain);
        receive(&mut ring, &memory, &mut rig.mux, &mut work);
        assert_eq!(driver.take_used(), [(head.into(), 0)], "{chain:x?}");
        assert!(!ring.broken, "{chain:x?}");
    }
    // A chain that loops, and an indirect table that points to itself.
    driver.write_descriptor(driver.table(), 0, (DATA, 44, NEXT), 0);
    driver.publish(0);
    driver.write_descriptor(TABLE, 0, (TABLE, 16, INDIRECT), 0);
    driver.offer(&[(TABLE, 16, INDIRECT)]);
    receive(&mut ring, &memory, &mut rig.mux, &mut work);
    assert_eq!(driver.take_used().len(), 2);
    // The loop was a header followed by more than one byte; the host may have got that.
    let _ = read_some(&mut host);
    assert!(!ring.broken);
}

#[test]
fn a_broken_queue_rests() {
    for break_it in [
        |driver: &mut Driver<'_>| driver.publish(SIZE),
        |driver: &mut Driver<'_>| driver.set_available(SIZE + 1),
        |driver: &mut Driver<'_>| driver.set_available(u16::MAX),
    ] {
        let memory = memory();
        let mut rig = Rig::new();
        let mut work = Workspace::new();
        let mut driver = Driver::new(&memory, TRANSMIT, SIZE);
        let mut ring = ring_of(&driver);
        break_it(&mut driver);
        assert!(!receive(&mut ring, &memory, &mut rig.mux, &mut work));
        assert!(ring.broken);
        assert!(!receive(&mut ring, &memory, &mut rig.mux, &mut work));
        assert_eq!(driver.take_used(), []);
    }
}

#[test]
fn a_queue_outside_of_memory_is_not_used() {
    let memory = memory();
    let driver = Driver::new(&memory, TRANSMIT, SIZE);
    let outside = GuestAddress(u64::try_from(MEMORY).unwrap() - 16);
    let mut ring = ring_of(&driver);
    ring.queue.try_set_used_ring_address(outside).unwrap();
    assert!(!ring.is_running(&memory));
    let mut ring = ring_of(&driver);
    assert!(ring.is_running(&memory));
    ring.enabled = false;
    assert!(!ring.is_running(&memory));
}

/// Packets that call for RSTs stay in the queue while the guest takes none.
#[test]
fn a_guest_that_takes_no_answers_stalls_itself() {
    let memory = memory();
    let mut rig = Rig::new();
    let mut work = Workspace::new();
    let mut driver = Driver::new(&memory, TRANSMIT, SIZE);
    let mut ring = ring_of(&driver);
    memory.write_slice(&rw(0), GuestAddress(DATA)).unwrap();
    let mut done = 0;
    let mut waiting = 0;
    for _ in 0..100 {
        while waiting < SIZE {
            driver.offer(&[(DATA, 44, 0)]);
            waiting += 1;
        }
        receive(&mut ring, &memory, &mut rig.mux, &mut work);
        let used = u16::try_from(driver.take_used().len()).unwrap();
        done += usize::from(used);
        waiting -= used;
    }
    assert_eq!(done, crate::mux::MAX_RESETS);
    assert_eq!(rig.take().len(), done);
    assert!(!receive(&mut ring, &memory, &mut rig.mux, &mut work));
    assert_eq!(driver.take_used().len(), usize::from(SIZE));
}

#[test]
fn one_go_is_bounded() {
    let memory = memory();
    let (mut rig, mut host) = connected();
    let mut work = Workspace::new();
    let mut driver = Driver::new(&memory, 0x40000, MAX_QUEUE_SIZE);
    let mut ring = ring_of(&driver);
    ring.queue.try_set_size(MAX_QUEUE_SIZE).unwrap();
    memory
        .write_slice(&[&rw(1)[..], b"x"].concat(), GuestAddress(DATA))
        .unwrap();
    for _ in 0..BATCH + 1 {
        driver.offer(&[(DATA, 45, 0)]);
    }
    assert!(
        receive(&mut ring, &memory, &mut rig.mux, &mut work),
        "one is left"
    );
    assert_eq!(driver.take_used().len(), BATCH);
    assert!(!receive(&mut ring, &memory, &mut rig.mux, &mut work));
    assert_eq!(
        read_some(&mut host).map(|bytes| bytes.len()),
        Some(BATCH + 1)
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever stands in the descriptor table, nothing panics and the loop ends.
    #[test]
    fn random_descriptors(
        descriptors in proptest::collection::vec(
            (prop_oneof![Just(DATA), Just(TABLE), Just(0x7fff0), Just(0xffff0), any::<u64>()],
             prop_oneof![0_u32..100, Just(4096), any::<u32>()], 0_u16..8, 0_u16..20),
            16,
        ),
        header in proptest::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(2), Just(5), Just(42), any::<u8>()], 44),
        heads in proptest::collection::vec(0_u16..18, 1..16),
        writable in any::<bool>(),
    ) {
        let memory = memory();
        let (mut rig, mut host) = connected();
        let mut work = Workspace::new();
        let mut driver = Driver::new(&memory, TRANSMIT, SIZE);
        let mut ring = ring_of(&driver);
        memory.write_slice(&header, GuestAddress(DATA)).unwrap();
        for (index, &(address, len, flags, next)) in (0_u16..).zip(&descriptors) {
            driver.write_descriptor(driver.table(), index, (address, len, flags), next);
            driver.write_descriptor(TABLE, index, (address, len, flags), next);
        }
        for &head in &heads {
            driver.publish(head);
        }
        if writable {
            host.write_all(&[7; 10_000]).unwrap();
            rig.poll();
            send(&mut ring, &memory, &mut rig.mux, &mut work);
        } else {
            receive(&mut ring, &memory, &mut rig.mux, &mut work);
        }
        let used = driver.take_used();
        prop_assert!(used.len() <= heads.len());
        for (used, &head) in used.iter().zip(&heads) {
            prop_assert_eq!(used.0, u32::from(head));
        }
        prop_assert!(work.chain.segments.len() <= MAX_SEGMENTS);
    }
}
