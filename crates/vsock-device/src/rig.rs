// SPDX-License-Identifier: Apache-2.0
//! A guest and a host for the tests of the multiplexer: packets on one side, sockets on the other.

use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;

use rustix::event::epoll::{self, EventFlags};

use crate::mux::{BadMemory, Mux, Payload};
use crate::packet::{HOST_CID, Header, Op, TYPE_STREAM};

pub(crate) const CID: u32 = 42;
/// What the guest of the tests says about its receive buffer.
pub(crate) const GUEST_ALLOC: u32 = 100_000;

impl Payload for &[u8] {
    fn remaining(&self) -> u64 {
        u64::try_from(self.len()).unwrap()
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<(), BadMemory> {
        self.read_exact(buf).map_err(|_| BadMemory)
    }
}

/// A packet the guest was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) header: Header,
    pub(crate) data: Vec<u8>,
}

impl Received {
    pub(crate) fn op(&self) -> Op {
        Op::from_raw(self.header.op).unwrap()
    }
}

pub(crate) struct Rig {
    pub(crate) mux: Mux,
    epoll: Arc<OwnedFd>,
    pub(crate) directory: tempfile::TempDir,
    pub(crate) scratch: Vec<u8>,
}

impl Rig {
    /// A device whose guest has started.
    pub(crate) fn new() -> Self {
        let mut rig = Self::before_boot();
        rig.mux.set_guest_ready();
        rig
    }

    pub(crate) fn before_boot() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let prefix = directory.path().join("vs").to_str().unwrap().to_owned();
        let epoll = Arc::new(epoll::create(epoll::CreateFlags::CLOEXEC).unwrap());
        Self {
            mux: Mux::new(CID, prefix, Arc::clone(&epoll)),
            epoll,
            directory,
            scratch: vec![0; 65536],
        }
    }

    pub(crate) fn listen(&self, port: u32) -> UnixListener {
        UnixListener::bind(self.directory.path().join(format!("vs_{port}"))).unwrap()
    }

    /// A program on the host connects; what it does next is up to the caller.
    pub(crate) fn dial(&mut self) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        ours.set_nonblocking(true).unwrap();
        self.mux.accept(theirs.into());
        ours
    }

    /// A program on the host asks for a port; returns it and the host port of the REQUEST.
    pub(crate) fn request(&mut self, guest_port: u32) -> (UnixStream, u32) {
        let mut stream = self.dial();
        stream
            .write_all(format!("CONNECT {guest_port}\n").as_bytes())
            .unwrap();
        self.poll();
        let packets = self.take();
        assert_eq!(packets.len(), 1, "{packets:?}");
        assert_eq!(packets[0].op(), Op::Request);
        assert_eq!(packets[0].header.dst_port, guest_port);
        (stream, packets[0].header.src_port)
    }

    /// A connection from the host that the guest accepted.
    pub(crate) fn connected(&mut self, guest_port: u32) -> (UnixStream, u32) {
        let (mut stream, host_port) = self.request(guest_port);
        self.guest(Op::Response, host_port, guest_port);
        assert_eq!(
            read_some(&mut stream),
            Some(format!("OK {host_port}\n").into_bytes())
        );
        assert_eq!(self.take(), []);
        (stream, host_port)
    }

    /// A connection from the guest that a program on the host accepted, and the window it has.
    pub(crate) fn accepted(
        &mut self,
        listener: &UnixListener,
        host_port: u32,
        guest_port: u32,
    ) -> (UnixStream, u32) {
        self.guest(Op::Request, host_port, guest_port);
        let (stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        let packets = self.take();
        assert_eq!(packets.len(), 1, "{packets:?}");
        assert_eq!(packets[0].op(), Op::Response);
        self.poll();
        (stream, packets[0].header.buf_alloc)
    }

    pub(crate) fn header(op: Op, host_port: u32, guest_port: u32) -> Header {
        Header {
            src_cid: u64::from(CID),
            dst_cid: HOST_CID,
            src_port: guest_port,
            dst_port: host_port,
            kind: TYPE_STREAM,
            op: op.raw(),
            buf_alloc: GUEST_ALLOC,
            ..Header::default()
        }
    }

    /// The guest sends a packet without bytes.
    pub(crate) fn guest(&mut self, op: Op, host_port: u32, guest_port: u32) {
        self.guest_header(&Self::header(op, host_port, guest_port), &[]);
    }

    pub(crate) fn guest_shutdown(&mut self, flags: u32, host_port: u32, guest_port: u32) {
        self.guest_header(
            &Header {
                flags,
                ..Self::header(Op::Shutdown, host_port, guest_port)
            },
            &[],
        );
    }

    pub(crate) fn guest_data(&mut self, data: &[u8], host_port: u32, guest_port: u32) {
        let len = u32::try_from(data.len()).unwrap();
        self.guest_header(
            &Header {
                len,
                ..Self::header(Op::Rw, host_port, guest_port)
            },
            data,
        );
    }

    pub(crate) fn guest_header(&mut self, header: &Header, mut data: &[u8]) {
        self.mux.receive(header, &mut data, &mut self.scratch);
    }

    /// Passes on what the kernel reports about the sockets.
    pub(crate) fn poll(&mut self) {
        loop {
            let mut space = [MaybeUninit::uninit(); 64];
            let (events, _) = epoll::wait(&*self.epoll, &mut space[..], Some(&zero())).unwrap();
            if events.is_empty() {
                return;
            }
            for event in events {
                let flags = event.flags;
                let hung_up = flags.intersects(EventFlags::HUP | EventFlags::ERR);
                let (readable, writable) = (
                    flags.contains(EventFlags::IN),
                    flags.contains(EventFlags::OUT),
                );
                self.mux
                    .on_event(event.data.u64(), readable, writable, hung_up);
            }
        }
    }

    /// Everything that waits for the guest.
    pub(crate) fn take(&mut self) -> Vec<Received> {
        std::iter::from_fn(|| self.take_one(65536)).collect()
    }

    /// The next packet for the guest, in a buffer that has room for so many bytes.
    pub(crate) fn take_one(&mut self, room: usize) -> Option<Received> {
        let mut buffer = vec![0; room];
        let header = self.mux.next_packet(&mut buffer)?;
        buffer.truncate(usize::try_from(header.len).unwrap());
        Some(Received {
            header,
            data: buffer,
        })
    }

    /// The operations of everything that waits for the guest.
    pub(crate) fn take_ops(&mut self) -> Vec<Op> {
        self.take().iter().map(Received::op).collect()
    }
}

fn zero() -> rustix::event::Timespec {
    rustix::event::Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    }
}

/// What a socket holds now: bytes, the end (no bytes), or nothing yet.
pub(crate) fn read_some(stream: &mut UnixStream) -> Option<Vec<u8>> {
    let mut buffer = vec![0; 1 << 20];
    match stream.read(&mut buffer) {
        Ok(len) => Some(buffer[..len].to_vec()),
        Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => None,
        Err(e) => panic!("{e}"),
    }
}
