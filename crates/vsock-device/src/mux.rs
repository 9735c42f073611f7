// SPDX-License-Identifier: Apache-2.0
//! Brings packets and connections together (virtio 1.2, section 5.10.6).

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::epoll;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::conn::{Key, State};
use crate::connect_line::Request;
use crate::packet::{HOST_CID, Header, Op, TYPE_STREAM};
use crate::table::{MAX_HANDSHAKES, Origin, Slot, Table};

/// How long a program on the host may take for its `CONNECT` line.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the guest may take to answer a REQUEST.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The most RST packets without a connection that wait for the guest.
pub(crate) const MAX_RESETS: usize = 256;
/// Host ports given to connections from the host: the upper half of what fits a signed number.
const FIRST_PORT: u32 = 1 << 30;
const LAST_PORT: u32 = (1 << 31) - 1;

/// The bytes a packet carries, wherever they are.
pub(crate) trait Payload {
    /// How many bytes are left.
    fn remaining(&self) -> u64;
    /// Fills `buf` with the next bytes; fails when they cannot be read.
    fn read(&mut self, buf: &mut [u8]) -> Result<(), BadMemory>;
}

/// Descriptors that point to memory the guest does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadMemory;

/// All connections of one guest, and the packets that wait for it.
#[derive(Debug)]
pub(crate) struct Mux {
    guest_cid: u64,
    /// The path of the sockets on the host, up to the `_P`.
    prefix: String,
    epoll: Arc<OwnedFd>,
    table: Table,
    /// Connections that may have a packet for the guest, each at most once.
    ready: VecDeque<Slot>,
    /// RST packets that belong to no connection.
    resets: VecDeque<Header>,
    guest_ready: bool,
    next_port: u32,
    handshakes: usize,
    /// No deadline is earlier than this one.
    next_deadline: Option<Instant>,
}

impl Mux {
    pub(crate) fn new(guest_cid: u32, prefix: String, epoll: Arc<OwnedFd>) -> Self {
        Self {
            guest_cid: u64::from(guest_cid),
            prefix,
            epoll,
            table: Table::default(),
            ready: VecDeque::new(),
            resets: VecDeque::new(),
            guest_ready: false,
            next_port: FIRST_PORT,
            handshakes: 0,
            next_deadline: None,
        }
    }

    /// Until the guest's driver has started, connections to the guest fail at once.
    pub(crate) fn set_guest_ready(&mut self) {
        self.guest_ready = true;
    }

    /// The guest's driver started again: it knows of no connection any more.
    pub(crate) fn forget_guest(&mut self) {
        self.resets.clear();
        for slot in self.table.slots() {
            let in_use = self
                .table
                .get_mut(slot)
                .is_some_and(|conn| !matches!(conn.state, State::Handshake | State::Draining));
            if in_use {
                self.table.remove(slot);
            }
        }
    }

    /// Counts up whenever a connection ends.
    pub(crate) fn removals(&self) -> u64 {
        self.table.removed()
    }

    // ---- The host's side ----

    /// Takes a connection from a program on the host.
    pub(crate) fn accept(&mut self, stream: OwnedFd) {
        if self.handshakes >= MAX_HANDSHAKES {
            self.evict_handshake();
        }
        // The port is set once it is known; until then no packet finds the connection.
        let key = Key {
            host_port: 0,
            guest_port: 0,
        };
        let Some(slot) = self
            .table
            .insert(stream, Origin::Host, State::Handshake, key)
        else {
            return;
        };
        self.handshakes += 1;
        self.set_deadline(slot, HANDSHAKE_TIMEOUT);
        if self.watch(slot).is_ok() {
            self.continue_handshake(slot);
        } else {
            self.close(slot);
        }
        self.settle(slot);
    }

    /// Acts on an edge of a connection's socket.
    pub(crate) fn on_event(&mut self, token: u64, readable: bool, writable: bool, hung_up: bool) {
        let Some(slot) = self.table.by_token(token) else {
            return;
        };
        let Some(conn) = self.table.get_mut(slot) else {
            return;
        };
        let handshake = conn.state == State::Handshake;
        conn.on_event(readable, writable, hung_up);
        if handshake && hung_up {
            self.handshakes -= 1;
        } else if handshake && readable {
            self.continue_handshake(slot);
        }
        self.settle(slot);
    }

    fn continue_handshake(&mut self, slot: Slot) {
        let Some(conn) = self.table.get_mut(slot) else {
            return;
        };
        match conn.read_request() {
            Request::Partial => {}
            Request::Port(guest_port) if self.guest_ready => {
                let key = self.free_key(guest_port);
                let Some(conn) = self.table.get_mut(slot) else {
                    return;
                };
                conn.key = key;
                conn.state = State::Connecting { requested: false };
                self.handshakes -= 1;
                self.table.link(slot);
                self.set_deadline(slot, CONNECT_TIMEOUT);
            }
            Request::Port(_) | Request::Invalid => self.close(slot),
        }
    }

    /// A host port that makes a new connection with this guest port.
    fn free_key(&mut self, guest_port: u32) -> Key {
        // Ends, as there are many more ports than connections.
        loop {
            let key = Key {
                host_port: self.next_port,
                guest_port,
            };
            self.next_port = if self.next_port == LAST_PORT {
                FIRST_PORT
            } else {
                self.next_port + 1
            };
            if self.table.find(key).is_none() {
                return key;
            }
        }
    }

    /// Closes the connection whose `CONNECT` line is longest overdue.
    fn evict_handshake(&mut self) {
        let mut oldest: Option<(Option<Instant>, Slot)> = None;
        for slot in self.table.slots() {
            if let Some(conn) = self.table.get_mut(slot)
                && conn.state == State::Handshake
                && oldest.is_none_or(|(deadline, _)| conn.deadline < deadline)
            {
                oldest = Some((conn.deadline, slot));
            }
        }
        if let Some((_, slot)) = oldest {
            self.close(slot);
            self.settle(slot);
        }
    }

    // ---- Packets from the guest ----

    /// Whether there is room for the RST that the next packet may call for.
    ///
    /// While there is not, the guest's packets stay in its transmit queue: a guest that sends
    /// nonsense without ever taking the answers stalls itself.
    pub(crate) fn can_receive(&self) -> bool {
        self.resets.len() < MAX_RESETS
    }

    /// Takes a packet from the guest; `scratch` is working space and must not be empty.
    pub(crate) fn receive(
        &mut self,
        header: &Header,
        payload: &mut impl Payload,
        scratch: &mut [u8],
    ) {
        if header.src_cid != self.guest_cid {
            // There is nobody to answer to.
            return;
        }
        if header.dst_cid != HOST_CID || header.kind != TYPE_STREAM {
            return self.refuse(header);
        }
        let op = Op::from_raw(header.op);
        let key = Key {
            host_port: header.dst_port,
            guest_port: header.src_port,
        };
        let Some(slot) = self.table.find(key) else {
            return match op {
                Some(Op::Request) => self.connect(header, key),
                _ => self.refuse(header),
            };
        };
        let Some(conn) = self.table.get_mut(slot) else {
            return;
        };
        if op != Some(Op::Rw) {
            conn.on_packet(op, header);
        } else if conn.admits(header, payload.remaining()) {
            conn.update_credit(header);
            let mut left = usize::try_from(header.len).unwrap_or(0);
            while left > 0 {
                let len = left.min(scratch.len());
                let chunk = &mut scratch[..len];
                if payload.read(chunk).is_err() {
                    conn.reset();
                    break;
                }
                conn.push(chunk);
                left -= len;
            }
        } else if conn.state != State::Resetting {
            conn.reset();
        }
        self.settle(slot);
    }

    /// Answers a packet that belongs to nothing. An RST is never answered.
    fn refuse(&mut self, header: &Header) {
        if header.op != Op::Rst.raw() && self.can_receive() {
            self.resets.push_back(header.reset());
        }
    }

    /// The guest wishes to reach a port of the host.
    fn connect(&mut self, header: &Header, key: Key) {
        let Ok(stream) = connect_unix(&format!("{}_{}", self.prefix, key.host_port)) else {
            return self.refuse(header);
        };
        let Some(slot) = self
            .table
            .insert(stream, Origin::Guest, State::Accepting, key)
        else {
            return self.refuse(header);
        };
        if self.watch(slot).is_err() {
            self.table.remove(slot);
            return self.refuse(header);
        }
        self.table.link(slot);
        if let Some(conn) = self.table.get_mut(slot) {
            conn.update_credit(header);
        }
        self.settle(slot);
    }

    // ---- Packets to the guest ----

    /// Whether [`Self::next_packet`] may have one.
    pub(crate) fn has_packets(&self) -> bool {
        !self.resets.is_empty() || !self.ready.is_empty()
    }

    /// The next packet for the guest; its bytes, `len` of them, are put into `room`.
    pub(crate) fn next_packet(&mut self, room: &mut [u8]) -> Option<Header> {
        if let Some(reset) = self.resets.pop_front() {
            return Some(reset);
        }
        while let Some(slot) = self.ready.pop_front() {
            self.table.set_queued(slot, false);
            let Some(conn) = self.table.get_mut(slot) else {
                continue;
            };
            let outgoing = conn.next_packet(room, Instant::now);
            let packet = outgoing.map(|outgoing| {
                conn.told_credit();
                Header {
                    src_cid: HOST_CID,
                    dst_cid: self.guest_cid,
                    src_port: conn.key.host_port,
                    dst_port: conn.key.guest_port,
                    len: u32::try_from(outgoing.len).unwrap_or(0),
                    kind: TYPE_STREAM,
                    op: outgoing.op.raw(),
                    flags: outgoing.flags,
                    buf_alloc: conn.credit().window(),
                    fwd_cnt: conn.credit().forwarded(),
                }
            });
            // The connection goes to the end of the queue, so that each has its turn.
            self.settle(slot);
            if packet.is_some() {
                return packet;
            }
        }
        None
    }

    // ---- Time ----

    /// When [`Self::expire`] should be called, if at all.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.next_deadline
    }

    /// Ends what is overdue.
    pub(crate) fn expire(&mut self, now: Instant) {
        if self.next_deadline.is_none_or(|deadline| now < deadline) {
            return;
        }
        self.next_deadline = None;
        for slot in self.table.slots() {
            let Some(conn) = self.table.get_mut(slot) else {
                continue;
            };
            if conn.deadline.is_some_and(|deadline| deadline <= now) {
                if conn.state == State::Handshake {
                    self.handshakes -= 1;
                }
                conn.expire();
            }
            self.settle(slot);
        }
    }

    fn set_deadline(&mut self, slot: Slot, timeout: Duration) {
        if let Some(conn) = self.table.get_mut(slot) {
            conn.deadline = Some(Instant::now() + timeout);
        }
    }

    // ---- What follows from a change ----

    /// Closes a connection that is not yet known to the guest.
    fn close(&mut self, slot: Slot) {
        if let Some(conn) = self.table.get_mut(slot) {
            if conn.state == State::Handshake {
                self.handshakes -= 1;
            }
            conn.close();
        }
    }

    /// Does what is due after anything happened to a connection.
    fn settle(&mut self, slot: Slot) {
        let Some(conn) = self.table.get_mut(slot) else {
            return;
        };
        conn.settle();
        if let Some(deadline) = conn.deadline {
            self.next_deadline = Some(
                self.next_deadline
                    .map_or(deadline, |next| next.min(deadline)),
            );
        }
        let sends = conn.wants_to_send();
        match conn.state {
            State::Closed => self.table.remove(slot),
            // Its ports are free again: the guest may open a new connection with them.
            State::Draining => self.table.unlink(slot),
            _ => {}
        }
        if sends && !self.table.set_queued(slot, true) {
            self.ready.push_back(slot);
        }
    }

    fn watch(&self, slot: Slot) -> io::Result<()> {
        let Some(stream) = self.table.stream(slot) else {
            return Ok(());
        };
        let token = self.table.token(slot).raw();
        let edges = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET;
        epoll::add(
            &*self.epoll,
            stream,
            epoll::EventData::new_u64(token),
            edges,
        )?;
        Ok(())
    }
}

/// Connects to a Unix socket without ever waiting; a full backlog counts as a refusal.
fn connect_unix(path: &str) -> rustix::io::Result<OwnedFd> {
    let address = SocketAddrUnix::new(path)?;
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&socket, &address)?;
    Ok(socket)
}

#[cfg(any(test, feature = "checks"))]
impl Mux {
    /// The memory that holds bytes for the host, of all connections.
    pub(crate) fn buffered(&mut self) -> usize {
        let slots = self.table.slots();
        slots
            .filter_map(|slot| self.table.get_mut(slot).map(|conn| conn.buffered()))
            .sum()
    }

    /// The number of connections, of those queued, and of RST packets that wait.
    pub(crate) fn sizes(&self) -> (usize, usize, usize) {
        (self.table.len(), self.ready.len(), self.resets.len())
    }
}

#[cfg(test)]
#[path = "mux_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "mux_host_tests.rs"]
mod host_tests;
