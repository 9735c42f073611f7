// SPDX-License-Identifier: Apache-2.0
//! What a guest or a program of the host can make of this device, as plain functions of bytes: for
//! tests and fuzzers. Compiled with the feature `checks` only. They panic when a bound is broken.
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a check fails by a panic: that is what tests and fuzzers look for"
)]

use std::io::Write;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, EventFlags};
use virtio_queue::QueueT;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

use crate::connect_line::{Request, read};
use crate::mux::{MAX_RESETS, Mux};
use crate::packet::{HOST_CID, Header, Op, TYPE_STREAM};
use crate::ring::{Ring, Workspace, receive, send};
use crate::table::MAX_BUFFERED;

/// The port on which a program of the host listens.
pub const PORT: u32 = 7;

const CID: u32 = 42;
const MEMORY: usize = 1 << 16;
/// Descriptors of a queue.
const SIZE: u16 = 16;
/// Where the parts of a queue are in the guest's memory: descriptors, available ring, used ring.
/// The used rings come after what the input fills.
const TRANSMIT: [u64; 3] = [0, 0x100, 0xf000];
const RECEIVE: [u64; 3] = [0x200, 0x300, 0xf200];
/// Where the packets of [`queues`] are.
const DATA: u64 = 0x400;

/// The port that a program asks for on `stream`, if it is a whole line that does.
#[must_use]
pub fn connect_line(stream: &UnixStream) -> Option<u32> {
    match read(stream.as_fd()) {
        Request::Port(port) => Some(port),
        Request::Partial | Request::Invalid => None,
    }
}

fn ring([table, available, used]: [u64; 3]) -> Ring {
    let mut ring = Ring::new().unwrap();
    ring.queue.try_set_size(SIZE).unwrap();
    let address = GuestAddress;
    let queue = &mut ring.queue;
    queue.try_set_desc_table_address(address(table)).unwrap();
    queue
        .try_set_avail_ring_address(address(available))
        .unwrap();
    queue.try_set_used_ring_address(address(used)).unwrap();
    queue.set_ready(true);
    ring.enabled = true;
    ring
}

/// Runs a device for a guest whose memory begins with `data`: a queue in each direction, then
/// whatever they point to. `listener` is on `{prefix}_{PORT}` and does not block.
pub fn guest(prefix: &str, listener: &UnixListener, data: &[u8]) {
    let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), MEMORY)]).unwrap();
    let most = usize::try_from(TRANSMIT[2]).unwrap();
    let data = &data[..data.len().min(most)];
    memory.write_slice(data, GuestAddress(0)).unwrap();
    let epoll = Arc::new(epoll::create(epoll::CreateFlags::CLOEXEC).unwrap());
    let mut mux = Mux::new(CID, prefix.to_owned(), Arc::clone(&epoll));
    mux.set_guest_ready();
    let (mut transmit, mut receiving) = (ring(TRANSMIT), ring(RECEIVE));
    let mut work = Workspace::new();
    let mut hosts = Vec::new();
    // A program that asks for the guest's port 1, with what it wants to say.
    let (mut host, device) = UnixStream::pair().unwrap();
    device.set_nonblocking(true).unwrap();
    host.set_nonblocking(true).unwrap();
    host.write_all(b"CONNECT 1\nhello").unwrap();
    mux.accept(device.into());
    hosts.push(host);
    let mut now = Instant::now();
    for _ in 0..4 {
        // What is left over is taken up in the next round.
        receive(&mut transmit, &memory, &mut mux, &mut work);
        while let Ok((host, _)) = listener.accept() {
            host.set_nonblocking(true).unwrap();
            let _ = (&host).write(b"some bytes");
            hosts.push(host);
        }
        poll(&epoll, &mut mux);
        send(&mut receiving, &memory, &mut mux, &mut work);
        bounds(&mut mux);
        now += Duration::from_secs(1);
        mux.expire(now);
    }
    hosts.clear();
    poll(&epoll, &mut mux);
    bounds(&mut mux);
    mux.forget_guest();
    assert_eq!(mux.buffered(), 0);
}

/// Passes on what the kernel reports about the sockets, once.
fn poll(epoll: &impl AsFd, mux: &mut Mux) {
    let mut space = [MaybeUninit::uninit(); 64];
    let zero = rustix::event::Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let (events, _) = epoll::wait(epoll, &mut space[..], Some(&zero)).unwrap();
    for event in events {
        let flags = event.flags;
        mux.on_event(
            event.data.u64(),
            flags.contains(EventFlags::IN),
            flags.contains(EventFlags::OUT),
            flags.intersects(EventFlags::HUP | EventFlags::ERR),
        );
    }
}

fn bounds(mux: &mut Mux) {
    assert!(mux.buffered() <= MAX_BUFFERED);
    let (connections, queued, resets) = mux.sizes();
    assert!(queued <= connections.max(200));
    assert!(resets <= MAX_RESETS);
}

/// Memory of guests that keep to the rules: a connection to the host's port with bytes, an answer to
/// the host's connection, packets in several descriptors, and room for what comes.
#[must_use]
pub fn queues() -> Vec<Vec<u8>> {
    let packet = |op: Op, port: u32, data: &[u8]| {
        let header = Header {
            src_cid: CID.into(),
            dst_cid: HOST_CID,
            src_port: 1,
            dst_port: port,
            len: u32::try_from(data.len()).unwrap(),
            kind: TYPE_STREAM,
            op: op.raw(),
            buf_alloc: 100_000,
            ..Header::default()
        };
        [&header.encode()[..], data].concat()
    };
    let talk = [
        packet(Op::Request, PORT, b""),
        packet(Op::Rw, PORT, b"from the guest"),
        packet(Op::CreditRequest, PORT, b""),
        packet(Op::Shutdown, PORT, b""),
    ];
    let answers = [
        packet(Op::Response, 1 << 30, b""),
        packet(Op::Rw, 1 << 30, &[7; 300]),
        packet(Op::Rst, PORT, b""),
    ];
    vec![queue(&talk, 1), queue(&talk, 3), queue(&answers, 2)]
}

/// The memory for `packets`, each cut into so many descriptors.
fn queue(packets: &[Vec<u8>], pieces: usize) -> Vec<u8> {
    let mut memory = vec![0; MEMORY];
    let mut at = usize::try_from(DATA).unwrap();
    let mut next = 0;
    let put = |memory: &mut Vec<u8>, at: usize, bytes: &[u8]| {
        memory[at..at + bytes.len()].copy_from_slice(bytes);
    };
    let descriptor = |address: usize, length: usize, flags: u16, next: u16| {
        let mut bytes = (address as u64).to_le_bytes().to_vec();
        bytes.extend(u32::try_from(length).unwrap().to_le_bytes());
        bytes.extend(flags.to_le_bytes());
        bytes.extend(next.to_le_bytes());
        bytes
    };
    let mut heads = Vec::new();
    for packet in packets {
        heads.push(next);
        let size = packet.len().div_ceil(pieces);
        let parts: Vec<_> = packet.chunks(size).collect();
        for (index, part) in parts.iter().enumerate() {
            put(&mut memory, at, part);
            let more = index + 1 < parts.len();
            let entry = descriptor(at, part.len(), more.into(), next + 1);
            put(&mut memory, usize::from(next) * 16, &entry);
            next += 1;
            at += part.len();
        }
    }
    let available = |heads: &[u16]| {
        let mut bytes = vec![0; 2];
        bytes.extend(u16::try_from(heads.len()).unwrap().to_le_bytes());
        bytes.extend(heads.iter().flat_map(|head| head.to_le_bytes()));
        bytes
    };
    put(&mut memory, 0x100, &available(&heads));
    for index in 0..8 {
        let entry = descriptor(at + index * 512, 512, 2, 0);
        put(&mut memory, 0x200 + index * 16, &entry);
    }
    put(&mut memory, 0x300, &available(&[0, 1, 2, 3, 4, 5, 6, 7]));
    memory.truncate(at);
    memory
}
