// SPDX-License-Identifier: Apache-2.0
//! A driver's half of a split virtqueue (virtio 1.2, section 2.7), written from the specification.

#![allow(
    clippy::unwrap_used,
    reason = "a test that lays out a queue wrongly may panic"
)]

use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

pub const NEXT: u16 = 1;
pub const WRITE: u16 = 2;
pub const INDIRECT: u16 = 4;

/// One descriptor: address, length and flags.
pub type Descriptor = (u64, u32, u16);

/// A queue that starts at `base` in guest memory.
pub struct Driver<'m> {
    memory: &'m GuestMemoryMmap,
    base: u64,
    size: u16,
    next_descriptor: u16,
    available: u16,
    seen: u16,
}

impl<'m> Driver<'m> {
    /// Lays out an empty queue; `size` is a power of two.
    pub fn new(memory: &'m GuestMemoryMmap, base: u64, size: u16) -> Self {
        let driver = Self {
            memory,
            base,
            size,
            next_descriptor: 0,
            available: 0,
            seen: 0,
        };
        memory
            .write_slice(
                &vec![0; usize::try_from(driver.end() - base).unwrap()],
                GuestAddress(base),
            )
            .unwrap();
        driver
    }

    pub fn table(&self) -> u64 {
        self.base
    }

    pub fn avail_ring(&self) -> u64 {
        self.base + 16 * u64::from(self.size)
    }

    pub fn used_ring(&self) -> u64 {
        (self.avail_ring() + 6 + 2 * u64::from(self.size)).next_multiple_of(4)
    }

    /// The first address after the queue.
    pub fn end(&self) -> u64 {
        self.used_ring() + 6 + 8 * u64::from(self.size)
    }

    /// Writes a descriptor into any table.
    pub fn write_descriptor(
        &self,
        table: u64,
        index: u16,
        (address, len, flags): Descriptor,
        next: u16,
    ) {
        let at = table + 16 * u64::from(index);
        self.memory.write_obj(address, GuestAddress(at)).unwrap();
        self.memory.write_obj(len, GuestAddress(at + 8)).unwrap();
        self.memory.write_obj(flags, GuestAddress(at + 12)).unwrap();
        self.memory.write_obj(next, GuestAddress(at + 14)).unwrap();
    }

    /// Chains the descriptors and makes them available; returns the head.
    pub fn offer(&mut self, descriptors: &[Descriptor]) -> u16 {
        let head = self.next_descriptor;
        for (i, &(address, len, flags)) in descriptors.iter().enumerate() {
            let index = self.next_descriptor;
            self.next_descriptor = (index + 1) % self.size;
            let flags = if i + 1 < descriptors.len() {
                flags | NEXT
            } else {
                flags
            };
            self.write_descriptor(
                self.table(),
                index,
                (address, len, flags),
                self.next_descriptor,
            );
        }
        self.publish(head);
        head
    }

    /// Puts the descriptors into a table of their own at `table` and offers that.
    pub fn offer_indirect(&mut self, table: u64, descriptors: &[Descriptor]) -> u16 {
        for (index, &(address, len, flags)) in (0_u16..).zip(descriptors) {
            let last = usize::from(index) + 1 == descriptors.len();
            let flags = if last { flags } else { flags | NEXT };
            self.write_descriptor(table, index, (address, len, flags), index + 1);
        }
        self.offer(&[(
            table,
            u32::try_from(16 * descriptors.len()).unwrap(),
            INDIRECT,
        )])
    }

    /// Makes a head available, be it valid or not.
    pub fn publish(&mut self, head: u16) {
        let at = self.avail_ring() + 4 + 2 * u64::from(self.available % self.size);
        self.memory.write_obj(head, GuestAddress(at)).unwrap();
        self.set_available(self.available.wrapping_add(1));
    }

    /// Sets the index of the available ring, be it sensible or not.
    pub fn set_available(&mut self, index: u16) {
        self.available = index;
        std::sync::atomic::fence(std::sync::atomic::Ordering::Release);
        self.memory
            .write_obj(index, GuestAddress(self.avail_ring() + 2))
            .unwrap();
    }

    /// The heads and lengths that the device returned since the last call.
    pub fn take_used(&mut self) -> Vec<(u32, u32)> {
        let index: u16 = self
            .memory
            .read_obj(GuestAddress(self.used_ring() + 2))
            .unwrap();
        std::sync::atomic::fence(std::sync::atomic::Ordering::Acquire);
        let mut used = Vec::new();
        while self.seen != index {
            let at = self.used_ring() + 4 + 8 * u64::from(self.seen % self.size);
            let head = self.memory.read_obj(GuestAddress(at)).unwrap();
            let len = self.memory.read_obj(GuestAddress(at + 4)).unwrap();
            used.push((head, len));
            self.seen = self.seen.wrapping_add(1);
        }
        used
    }
}
