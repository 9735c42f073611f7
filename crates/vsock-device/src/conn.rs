// SPDX-License-Identifier: Apache-2.0
//! The state of one connection and the bytes on their way through it.
//!
//! ```text
//!  host connects:  Handshake --CONNECT line--> Connecting --guest's RESPONSE--> Established
//!  guest connects: Accepting --our RESPONSE--> Established
//!
//!  Established --both directions done, error, or broken rule--> Resetting --our RST--> gone
//!  Established --guest's RST, bytes still buffered for the host--> Draining --> gone
//! ```
//!
//! Readiness of the host's socket is edge-triggered: `readable` and `writable` remember the last
//! edge until the kernel says that the socket would block.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown};

use crate::connect_line::{self, Request};
use crate::credit::Credit;
use crate::packet::{Header, Op, SHUTDOWN_BOTH, SHUTDOWN_RECEIVE, SHUTDOWN_SEND};

/// How long a guest may take for its RST after both directions were shut down; Linux waits as long.
pub(crate) const CLOSE_TIMEOUT: Duration = Duration::from_secs(8);

/// The two ports that name a connection; the CIDs are always the host's and the guest's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) host_port: u32,
    pub(crate) guest_port: u32,
}

/// Where a connection stands; the picture in the module's documentation shows the moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// The host's program has yet to send its `CONNECT` line.
    Handshake,
    /// The guest has to answer our REQUEST, which may not even be sent yet.
    Connecting { requested: bool },
    /// The guest's REQUEST waits for our RESPONSE.
    Accepting,
    /// Bytes may flow.
    Established,
    /// The guest is done with the connection; the host still reads what was buffered.
    Draining,
    /// The host's side is closed, and the guest has yet to be told.
    Resetting,
    /// Nothing is left to do.
    Closed,
}

/// A packet for the guest, without what every packet of the connection has in common.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outgoing {
    pub(crate) op: Op,
    pub(crate) flags: u32,
    pub(crate) len: usize,
}

impl Outgoing {
    fn control(op: Op) -> Option<Self> {
        Some(Self {
            op,
            flags: 0,
            len: 0,
        })
    }
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) key: Key,
    pub(crate) state: State,
    pub(crate) deadline: Option<Instant>,
    /// The host's end; given up as soon as the connection is reset.
    stream: Option<OwnedFd>,
    readable: bool,
    writable: bool,
    /// The host will send nothing more, or the guest wants nothing more.
    host_done: bool,
    /// The host can take nothing more.
    host_gone: bool,
    write_shut: bool,
    /// Bytes from the guest that the host's socket did not take yet; at most `window` of them.
    backlog: VecDeque<u8>,
    credit: Credit,
    /// Shutdown flags the guest sent, and those it was sent.
    guest_shutdown: u32,
    told_shutdown: u32,
}

impl Conn {
    /// A connection in `state` that may buffer `window` bytes for the host.
    pub(crate) fn new(stream: OwnedFd, state: State, key: Key, window: u32) -> Self {
        Self {
            key,
            state,
            deadline: None,
            stream: Some(stream),
            readable: true,
            writable: true,
            host_done: false,
            host_gone: false,
            write_shut: false,
            backlog: VecDeque::new(),
            credit: Credit::new(window),
            guest_shutdown: 0,
            told_shutdown: 0,
        }
    }

    pub(crate) fn stream(&self) -> Option<BorrowedFd<'_>> {
        self.stream.as_ref().map(AsFd::as_fd)
    }

    /// The counters of both directions.
    pub(crate) fn credit(&self) -> &Credit {
        &self.credit
    }

    /// The number of bytes that wait for the host.
    #[cfg(any(test, feature = "checks"))]
    pub(crate) fn buffered(&self) -> usize {
        self.backlog.len().max(self.backlog.capacity())
    }

    // ---- The host's side ----

    /// Takes note of an edge on the host's socket.
    pub(crate) fn on_event(&mut self, readable: bool, writable: bool, hung_up: bool) {
        self.readable |= readable || hung_up;
        self.writable |= writable;
        if hung_up {
            match self.state {
                State::Handshake | State::Draining => self.close(),
                State::Connecting { .. } => self.give_up(),
                State::Accepting | State::Established => self.lose_host(),
                State::Resetting | State::Closed => {}
            }
        }
        self.flush();
    }

    /// Reads the `CONNECT` line.
    pub(crate) fn read_request(&mut self) -> Request {
        let Some(stream) = self.stream() else {
            return Request::Invalid;
        };
        let request = connect_line::read(stream);
        // Otherwise the rest of the line makes the next edge, and what follows may be there already.
        self.readable &= request != Request::Partial;
        request
    }

    /// Sends buffered bytes to the host for as long as it takes them.
    fn flush(&mut self) {
        while self.writable && !self.backlog.is_empty() {
            let result = self.try_send(self.backlog.as_slices().0);
            let sent = self.note_sent(result);
            // Losing the host empties the backlog, and then nothing was sent.
            self.backlog.drain(..sent);
        }
        if self.backlog.is_empty() {
            self.backlog = VecDeque::new();
        }
    }

    /// Sends what the host takes of `bytes`; `writable` and `host_gone` tell why it was not all.
    fn send(&mut self, bytes: &[u8]) -> usize {
        let result = self.try_send(bytes);
        self.note_sent(result)
    }

    fn try_send(&self, bytes: &[u8]) -> rustix::io::Result<usize> {
        let stream = self.stream.as_ref().ok_or(Errno::PIPE)?;
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        rustix::io::retry_on_intr(|| rustix::net::send(stream, bytes, flags))
    }

    fn note_sent(&mut self, result: rustix::io::Result<usize>) -> usize {
        match result {
            Ok(sent) => {
                self.credit.count_forwarded(sent);
                return sent;
            }
            Err(Errno::AGAIN) => self.writable = false,
            Err(_) => self.lose_host(),
        }
        0
    }

    /// The host takes nothing more: what is buffered for it is dropped, and counts as taken.
    fn lose_host(&mut self) {
        self.host_gone = true;
        self.writable = false;
        self.credit.count_forwarded(self.backlog.len());
        self.backlog.clear();
    }

    // ---- The guest's side ----

    /// Takes a packet from the guest that carries no bytes.
    pub(crate) fn on_packet(&mut self, op: Option<Op>, header: &Header) {
        match (self.state, op) {
            (State::Resetting, Some(Op::Rst)) => self.close(),
            // The RST that is about to be sent answers whatever this is.
            (State::Resetting | State::Closed, _) => {}
            (_, Some(Op::Rst)) => self.on_reset(),
            (State::Connecting { requested: true }, Some(Op::Response)) => {
                self.update_credit(header);
                self.establish();
            }
            (State::Established, Some(Op::CreditUpdate)) => self.update_credit(header),
            (State::Established, Some(Op::CreditRequest)) => {
                self.update_credit(header);
                self.credit.want_update();
            }
            (State::Established, Some(Op::Shutdown)) => {
                self.update_credit(header);
                self.on_shutdown(header.flags);
            }
            _ => self.reset(),
        }
    }

    /// Takes note of the guest's receive buffer, which every packet tells.
    pub(crate) fn update_credit(&mut self, header: &Header) {
        self.credit.update(header);
    }

    /// Whether the guest may send the bytes this RW packet announces.
    ///
    /// `present` is how many its descriptors really hold.
    pub(crate) fn admits(&self, header: &Header, present: u64) -> bool {
        let window = usize::try_from(self.credit.window()).unwrap_or(usize::MAX);
        let free = window.saturating_sub(self.backlog.len());
        self.state == State::Established
            && self.guest_shutdown & SHUTDOWN_SEND == 0
            && u64::from(header.len) <= present
            && usize::try_from(header.len).is_ok_and(|len| len <= free)
    }

    /// Passes on bytes that [`Self::admits`] let in.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) {
        while self.backlog.is_empty() && self.writable && !bytes.is_empty() {
            let sent = self.send(bytes);
            bytes = &bytes[sent..];
        }
        if self.host_gone {
            self.credit.count_forwarded(bytes.len());
            return;
        }
        // Growth is by hand, as doubling could go past the window.
        let wanted = self.backlog.len() + bytes.len();
        if wanted > self.backlog.capacity() {
            let window = usize::try_from(self.credit.window()).unwrap_or(usize::MAX);
            let capacity = wanted.max((2 * self.backlog.capacity()).min(window));
            self.backlog.reserve_exact(capacity - self.backlog.len());
        }
        self.backlog.extend(bytes);
    }

    fn on_shutdown(&mut self, flags: u32) {
        self.guest_shutdown |= flags & SHUTDOWN_BOTH;
        if self.guest_shutdown & SHUTDOWN_RECEIVE != 0 && !self.host_done {
            self.host_done = true;
            self.shut(Shutdown::Read);
        }
    }

    /// The guest's RST. Bytes it sent before are the host's to read, as with a kernel socket.
    fn on_reset(&mut self) {
        if self.state == State::Established && !self.backlog.is_empty() {
            self.deadline = None;
            self.state = State::Draining;
        } else {
            self.close();
        }
    }

    /// Tells the host's program that the guest accepted.
    fn establish(&mut self) {
        let line = format!("OK {}\n", self.key.host_port);
        // Nothing was sent yet, so that a connected socket has room for the line.
        if self.send(line.as_bytes()) < line.len() {
            return self.reset();
        }
        self.credit.forget_forwarded();
        self.state = State::Established;
        self.deadline = None;
    }

    // ---- What follows ----

    /// Does what the last change made due: passes on an end of stream, ends what is over.
    pub(crate) fn settle(&mut self) {
        if self.state == State::Established && self.backlog.is_empty() {
            if self.guest_shutdown == SHUTDOWN_BOTH {
                self.reset();
            } else if self.guest_shutdown & SHUTDOWN_SEND != 0 && !self.write_shut {
                self.write_shut = true;
                self.shut(Shutdown::Write);
            }
        }
        if self.state == State::Draining && self.backlog.is_empty() {
            self.close();
        }
    }

    /// Whether [`Self::next_packet`] may have something for the guest.
    pub(crate) fn wants_to_send(&self) -> bool {
        match self.state {
            State::Connecting { requested } => !requested,
            State::Accepting | State::Resetting => true,
            State::Established => {
                self.due_shutdown() != self.told_shutdown
                    || self.may_read() && self.credit.is_usable()
                    || self.credit.owes_update()
            }
            State::Handshake | State::Draining | State::Closed => false,
        }
    }

    /// Makes the next packet for the guest; bytes for it are put into `room`, which is not empty.
    pub(crate) fn next_packet(
        &mut self,
        room: &mut [u8],
        now: impl Fn() -> Instant,
    ) -> Option<Outgoing> {
        match self.state {
            State::Connecting { requested: false } => {
                self.state = State::Connecting { requested: true };
                return Outgoing::control(Op::Request);
            }
            State::Accepting => {
                self.state = State::Established;
                return Outgoing::control(Op::Response);
            }
            State::Resetting => {
                self.close();
                return Outgoing::control(Op::Rst);
            }
            State::Established => {}
            _ => return None,
        }
        if let Some(shutdown) = self.take_shutdown(&now) {
            return Some(shutdown);
        }
        if self.may_read() {
            if self.credit.available() > 0 {
                if let Some(bytes) = self.read(room) {
                    return Some(bytes);
                }
            } else if self.credit.request() {
                return Outgoing::control(Op::CreditRequest);
            }
        }
        if self.state == State::Resetting {
            self.close();
            return Outgoing::control(Op::Rst);
        }
        // Reading may just have come upon the end of the stream.
        self.take_shutdown(&now).or_else(|| {
            if self.credit.owes_update() {
                Outgoing::control(Op::CreditUpdate)
            } else {
                None
            }
        })
    }

    /// Takes note that a packet has told the guest of the receive buffer.
    pub(crate) fn told_credit(&mut self) {
        self.credit.told();
    }

    fn may_read(&self) -> bool {
        self.readable && !self.host_done
    }

    /// The flags that describe what the host's side does no more.
    fn due_shutdown(&self) -> u32 {
        let guest_done = self.guest_shutdown & SHUTDOWN_SEND != 0 && self.backlog.is_empty();
        let mut flags = 0;
        if self.host_done {
            flags |= SHUTDOWN_SEND;
        }
        if self.host_gone || (self.host_done && guest_done) {
            flags |= SHUTDOWN_RECEIVE;
        }
        flags
    }

    fn take_shutdown(&mut self, now: impl Fn() -> Instant) -> Option<Outgoing> {
        let flags = self.due_shutdown();
        if flags == self.told_shutdown {
            return None;
        }
        self.told_shutdown = flags;
        if flags == SHUTDOWN_BOTH {
            self.deadline = Some(now() + CLOSE_TIMEOUT);
        }
        Some(Outgoing {
            op: Op::Shutdown,
            flags,
            len: 0,
        })
    }

    /// Reads bytes from the host, as many as the guest has room for.
    fn read(&mut self, room: &mut [u8]) -> Option<Outgoing> {
        let limit = usize::try_from(self.credit.available())
            .unwrap_or(usize::MAX)
            .min(room.len());
        let stream = self.stream.as_ref()?;
        loop {
            match rustix::net::recv(stream, &mut room[..limit], RecvFlags::DONTWAIT) {
                Ok((0, _)) => self.host_done = true,
                Ok((len, _)) => {
                    self.credit.count_sent(len);
                    return Some(Outgoing {
                        op: Op::Rw,
                        flags: 0,
                        len,
                    });
                }
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => self.readable = false,
                Err(_) => self.reset(),
            }
            return None;
        }
    }

    // ---- The end ----

    /// The deadline has passed.
    pub(crate) fn expire(&mut self) {
        match self.state {
            State::Handshake => self.close(),
            State::Connecting { .. } => self.give_up(),
            _ => self.reset(),
        }
    }

    /// Ends an attempt to connect to the guest, which has to hear of it if it knows of the attempt.
    fn give_up(&mut self) {
        if self.state == (State::Connecting { requested: true }) {
            self.reset();
        } else {
            self.close();
        }
    }

    /// Closes the host's side at once; the guest is sent an RST.
    pub(crate) fn reset(&mut self) {
        self.close();
        self.state = State::Resetting;
    }

    /// Ends the connection without a word to the guest.
    pub(crate) fn close(&mut self) {
        self.stream = None;
        self.backlog = VecDeque::new();
        self.deadline = None;
        self.state = State::Closed;
    }

    fn shut(&self, how: Shutdown) {
        if let Some(stream) = &self.stream {
            // It fails only when the host is gone, which the next event or call tells anyway.
            let _ = rustix::net::shutdown(stream.as_fd(), how);
        }
    }
}
