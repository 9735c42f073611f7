// SPDX-License-Identifier: Apache-2.0
//! The credit of one connection: how many bytes each side may still send (virtio 1.2, 5.10.6.3).
//! The counters run freely and wrap.

use crate::packet::Header;

/// The counters of both directions.
#[derive(Debug)]
pub(crate) struct Credit {
    /// The device's `buf_alloc`, which never changes.
    window: u32,
    /// The device's `fwd_cnt`, and its value in the last packet to the guest.
    forwarded: u32,
    told_forwarded: u32,
    /// Whether the guest has asked for an update.
    is_update_wanted: bool,
    /// Bytes sent to the guest, and the guest's `buf_alloc` and `fwd_cnt` in its last packet.
    sent: u32,
    guest_alloc: u32,
    guest_forwarded: u32,
    /// Whether the guest was asked for an update.
    is_requested: bool,
}

impl Credit {
    /// The credit of a new connection that may buffer `window` bytes for the host.
    pub(crate) fn new(window: u32) -> Self {
        Self {
            window,
            forwarded: 0,
            told_forwarded: 0,
            is_update_wanted: false,
            sent: 0,
            guest_alloc: 0,
            guest_forwarded: 0,
            is_requested: false,
        }
    }

    /// The device's receive buffer in bytes.
    pub(crate) fn window(&self) -> u32 {
        self.window
    }

    /// The bytes that were passed on to the host.
    pub(crate) fn forwarded(&self) -> u32 {
        self.forwarded
    }

    /// Counts bytes that were passed on to the host, or dropped in its place.
    pub(crate) fn count_forwarded(&mut self, bytes: usize) {
        // No more than a window's worth is ever counted at once.
        self.forwarded = self
            .forwarded
            .wrapping_add(u32::try_from(bytes).unwrap_or(u32::MAX));
    }

    /// Takes back what was counted: it was the device's own answer to the host.
    pub(crate) fn forget_forwarded(&mut self) {
        self.forwarded = 0;
    }

    /// Takes note of the guest's receive buffer, which every packet tells.
    pub(crate) fn update(&mut self, header: &Header) {
        self.guest_alloc = header.buf_alloc;
        self.guest_forwarded = header.fwd_cnt;
        if self.available() > 0 {
            self.is_requested = false;
        }
    }

    /// The bytes for which the guest has room. A guest that counts nonsense has none.
    pub(crate) fn available(&self) -> u32 {
        self.guest_alloc
            .saturating_sub(self.sent.wrapping_sub(self.guest_forwarded))
    }

    /// Counts bytes that were sent to the guest.
    pub(crate) fn count_sent(&mut self, bytes: usize) {
        self.sent = self
            .sent
            .wrapping_add(u32::try_from(bytes).unwrap_or(u32::MAX));
    }

    /// Whether the guest should be asked for room, or may be sent bytes.
    pub(crate) fn is_usable(&self) -> bool {
        self.available() > 0 || !self.is_requested
    }

    /// Takes note that the guest is asked for an update; false if it was asked before.
    pub(crate) fn request(&mut self) -> bool {
        !std::mem::replace(&mut self.is_requested, true)
    }

    /// The guest asks for an update.
    pub(crate) fn want_update(&mut self) {
        self.is_update_wanted = true;
    }

    /// Whether an update is due: the guest has asked, or knows of less than half of the room.
    pub(crate) fn owes_update(&self) -> bool {
        self.is_update_wanted || self.forwarded.wrapping_sub(self.told_forwarded) >= self.window / 2
    }

    /// Takes note that a packet has told the guest of the device's receive buffer.
    pub(crate) fn told(&mut self) {
        self.told_forwarded = self.forwarded;
        self.is_update_wanted = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn counters_wrap() {
        let guest = |buf_alloc| Header {
            buf_alloc,
            fwd_cnt: u32::MAX - 9,
            ..Header::default()
        };
        let mut credit = Credit::new(65536);
        credit.count_sent(10);
        credit.update(&guest(100));
        assert_eq!(credit.available(), 80);
        credit.update(&guest(20));
        assert_eq!(credit.available(), 0);
        credit.update(&guest(19));
        assert_eq!(
            credit.available(),
            0,
            "the guest may shrink its buffer below what is under way"
        );

        credit.forwarded = u32::MAX - 5;
        credit.told();
        credit.count_forwarded(32767);
        assert!(!credit.owes_update());
        credit.count_forwarded(1);
        assert!(credit.owes_update());
        assert_eq!(credit.forwarded(), 32762);
    }
}
