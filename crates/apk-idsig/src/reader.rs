// SPDX-License-Identifier: Apache-2.0
//! Numbers and length-prefixed values of byte strings, all little-endian.

/// The rest of some bytes. Each method returns `None` if too few are left.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.bytes(1)?.first().copied()
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.bytes(2)?.try_into().ok()?))
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.bytes(4)?.try_into().ok()?))
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.bytes(8)?.try_into().ok()?))
    }

    /// A value after its length in 32 bits.
    pub(crate) fn sized(&mut self) -> Option<Self> {
        let length = usize::try_from(self.u32()?).ok()?;
        self.bytes(length).map(Reader)
    }

    /// A value after its length in 64 bits.
    pub(crate) fn long_sized(&mut self) -> Option<Self> {
        let length = usize::try_from(self.u64()?).ok()?;
        self.bytes(length).map(Reader)
    }
}
