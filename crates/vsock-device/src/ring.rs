// SPDX-License-Identifier: Apache-2.0
//! Packets in and out of the virtqueues.

use std::fs::File;

use virtio_queue::{Queue, QueueOwnedT, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestMemory, GuestMemoryMmap, Permissions};

use crate::mux::{BadMemory, Mux, Payload};
use crate::packet::{HEADER_LEN, Header};

/// The largest queue the device takes, in descriptors.
pub(crate) const MAX_QUEUE_SIZE: u16 = 1024;
/// The most descriptors of a chain, indirect ones included.
const MAX_SEGMENTS: usize = 1024;
/// The most bytes of one packet to the guest, as in Linux.
const MAX_PAYLOAD: usize = 64 * 1024;
/// The most packets in one go, so that a busy queue does not keep everything else waiting.
const BATCH: usize = 256;

/// One virtqueue together with its notifications.
#[derive(Debug)]
pub(crate) struct Ring {
    pub(crate) queue: Queue,
    pub(crate) enabled: bool,
    pub(crate) kick: Option<File>,
    pub(crate) call: Option<File>,
    /// Whether the memory of the rings was found to be the guest's since it last changed.
    pub(crate) checked: bool,
    /// The driver broke the rules of the queue; it rests until the driver starts it again.
    pub(crate) broken: bool,
}

impl Ring {
    pub(crate) fn new() -> Result<Self, virtio_queue::Error> {
        Ok(Self {
            queue: Queue::new(MAX_QUEUE_SIZE)?,
            enabled: false,
            kick: None,
            call: None,
            checked: false,
            broken: false,
        })
    }

    /// Whether the queue may be used now.
    pub(crate) fn is_running(&mut self, memory: &GuestMemoryMmap) -> bool {
        if !self.queue.ready() || !self.enabled || self.broken {
            return false;
        }
        if !self.checked {
            self.checked = true;
            self.broken = !self.queue.is_valid(memory);
        }
        !self.broken
    }

    /// Takes the next chain of descriptors, of which `access` says which half matters.
    fn pop(
        &mut self,
        memory: &GuestMemoryMmap,
        access: Permissions,
        chain: &mut Chain,
    ) -> Option<u16> {
        let Ok(mut available) = self.queue.iter(memory) else {
            self.broken = true;
            return None;
        };
        let descriptors = available.next()?;
        let head = descriptors.head_index();
        chain.load(
            memory,
            descriptors.map(|d| (d.addr(), d.len(), d.is_write_only())),
            access,
        );
        Some(head)
    }

    fn put_used(&mut self, memory: &GuestMemoryMmap, head: u16, len: usize) {
        let len = u32::try_from(len).unwrap_or(0);
        // It fails for a head outside of the queue, which no driver may offer.
        self.broken |= self.queue.add_used(memory, head, len).is_err();
    }

    fn pause_kicks(&mut self, memory: &GuestMemoryMmap) {
        self.broken |= self.queue.disable_notification(memory).is_err();
    }

    /// Asks for kicks again; returns whether something came in the meantime.
    fn resume_kicks(&mut self, memory: &GuestMemoryMmap) -> bool {
        match self.queue.enable_notification(memory) {
            Ok(more) => more,
            Err(_) => {
                self.broken = true;
                false
            }
        }
    }

    fn notify(&mut self, memory: &GuestMemoryMmap) {
        if let Some(call) = &self.call
            && self.queue.needs_notification(memory).unwrap_or(true)
        {
            // The counter of an eventfd does not run full while anybody reads it.
            let _ = rustix::io::write(call, &1_u64.to_ne_bytes());
        }
    }
}

/// The memory of one chain of descriptors, and working space, both used again and again.
#[derive(Debug)]
pub(crate) struct Chain {
    segments: Vec<(GuestAddress, usize)>,
    /// How much of the first segments was read.
    at: (usize, usize),
    left: u64,
}

impl Chain {
    pub(crate) fn new() -> Self {
        Self {
            segments: Vec::new(),
            at: (0, 0),
            left: 0,
        }
    }

    /// Takes the readable or the writable descriptors; a chain that breaks a rule is empty.
    fn load(
        &mut self,
        memory: &GuestMemoryMmap,
        descriptors: impl Iterator<Item = (GuestAddress, u32, bool)>,
        access: Permissions,
    ) {
        self.segments.clear();
        self.at = (0, 0);
        self.left = 0;
        let write = access == Permissions::Write;
        for (seen, (address, len, writable)) in descriptors.enumerate() {
            let size = usize::try_from(len).unwrap_or(usize::MAX);
            if seen >= MAX_SEGMENTS || !memory.check_range(address, size, access) {
                self.segments.clear();
                self.left = 0;
                return;
            }
            if writable == write && size > 0 {
                self.segments.push((address, size));
                self.left += u64::from(len);
            }
        }
    }

    /// Writes `bytes` to the start of the chain.
    fn write(&self, memory: &GuestMemoryMmap, mut bytes: &[u8]) -> Result<(), BadMemory> {
        for &(address, size) in &self.segments {
            let (now, later) = bytes.split_at(size.min(bytes.len()));
            memory.write_slice(now, address).map_err(|_| BadMemory)?;
            bytes = later;
            if bytes.is_empty() {
                return Ok(());
            }
        }
        Err(BadMemory)
    }
}

/// A chain together with the memory it points to.
struct InMemory<'a> {
    memory: &'a GuestMemoryMmap,
    chain: &'a mut Chain,
}

impl Payload for InMemory<'_> {
    fn remaining(&self) -> u64 {
        self.chain.left
    }

    fn read(&mut self, mut buf: &mut [u8]) -> Result<(), BadMemory> {
        while !buf.is_empty() {
            let (index, offset) = self.chain.at;
            let &(address, size) = self.chain.segments.get(index).ok_or(BadMemory)?;
            let len = (size - offset).min(buf.len());
            let (now, later) = buf.split_at_mut(len);
            let from = u64::try_from(offset)
                .ok()
                .and_then(|offset| address.0.checked_add(offset));
            self.memory
                .read_slice(now, GuestAddress(from.ok_or(BadMemory)?))
                .map_err(|_| BadMemory)?;
            buf = later;
            self.chain.at = if offset + len == size {
                (index + 1, 0)
            } else {
                (index, offset + len)
            };
            self.chain.left = self
                .chain
                .left
                .saturating_sub(u64::try_from(len).unwrap_or(u64::MAX));
        }
        Ok(())
    }
}

/// Working space for the packets, allocated once.
#[derive(Debug)]
pub(crate) struct Workspace {
    chain: Chain,
    bytes: Vec<u8>,
}

impl Workspace {
    pub(crate) fn new() -> Self {
        Self {
            chain: Chain::new(),
            bytes: vec![0; HEADER_LEN + MAX_PAYLOAD],
        }
    }
}

/// Takes packets from the guest's transmit queue; returns whether some were left there.
pub(crate) fn receive(
    ring: &mut Ring,
    memory: &GuestMemoryMmap,
    mux: &mut Mux,
    work: &mut Workspace,
) -> bool {
    if !ring.is_running(memory) {
        return false;
    }
    let mut batch = BATCH;
    let mut used = false;
    let mut more = true;
    while more && !ring.broken {
        ring.pause_kicks(memory);
        loop {
            if batch == 0 || ring.broken || !mux.can_receive() {
                break;
            }
            let Some(head) = ring.pop(memory, Permissions::Read, &mut work.chain) else {
                more = ring.resume_kicks(memory);
                break;
            };
            receive_one(memory, mux, work);
            ring.put_used(memory, head, 0);
            used = true;
            batch -= 1;
        }
        if batch == 0 || !mux.can_receive() {
            break;
        }
    }
    if used {
        ring.notify(memory);
    }
    more && !ring.broken
}

fn receive_one(memory: &GuestMemoryMmap, mux: &mut Mux, work: &mut Workspace) {
    let mut payload = InMemory {
        memory,
        chain: &mut work.chain,
    };
    let mut header = [0; HEADER_LEN];
    // Without a whole header there is nobody to answer to.
    if payload.read(&mut header).is_ok() {
        mux.receive(&Header::decode(&header), &mut payload, &mut work.bytes);
    }
}

/// Puts packets into the guest's receive queue; returns whether there is room and a packet left.
pub(crate) fn send(
    ring: &mut Ring,
    memory: &GuestMemoryMmap,
    mux: &mut Mux,
    work: &mut Workspace,
) -> bool {
    if !mux.has_packets() || !ring.is_running(memory) {
        return false;
    }
    let mut used = false;
    let mut more = true;
    ring.pause_kicks(memory);
    for _ in 0..BATCH {
        more = mux.has_packets() && !ring.broken;
        if !more {
            break;
        }
        let before = ring.queue.next_avail();
        let Some(head) = ring.pop(memory, Permissions::Write, &mut work.chain) else {
            more = ring.resume_kicks(memory) && !ring.broken;
            if more {
                ring.pause_kicks(memory);
                continue;
            }
            break;
        };
        match send_one(memory, mux, work) {
            Some(len) => {
                ring.put_used(memory, head, len);
                used = true;
            }
            None => {
                // There was no packet after all: the chain stays where it is.
                ring.queue.set_next_avail(before);
                more = false;
                break;
            }
        }
    }
    if used {
        ring.notify(memory);
    }
    more
}

/// Fills the chain with a packet and returns its length, 0 if the chain is of no use.
fn send_one(memory: &GuestMemoryMmap, mux: &mut Mux, work: &mut Workspace) -> Option<usize> {
    let room = usize::try_from(work.chain.left)
        .unwrap_or(usize::MAX)
        .min(work.bytes.len());
    if room <= HEADER_LEN {
        return Some(0);
    }
    let header = mux.next_packet(&mut work.bytes[HEADER_LEN..room])?;
    let len = HEADER_LEN + usize::try_from(header.len).unwrap_or(0);
    work.bytes[..HEADER_LEN].copy_from_slice(&header.encode());
    // The chain was checked when it was loaded.
    Some(
        work.chain
            .write(memory, &work.bytes[..len])
            .map_or(0, |()| len),
    )
}

#[cfg(test)]
#[path = "ring_tests.rs"]
mod tests;
