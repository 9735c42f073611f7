// SPDX-License-Identifier: Apache-2.0
//! The encoding of one event for Android's `statsd`, as its socket library sends it.
//!
//! An event is an object of typed fields: one byte for the kind (object), one for the number of
//! fields, then the fields. The first two are the time since boot in nanoseconds and the number of the
//! atom. A field is one byte, whose low half is its type and whose high half is the number of its
//! annotations, the value, and the annotations. Numbers are little endian; a text is its length in
//! 32 bits and its bytes. A datagram has a log header and a tag before the event.

/// Field types.
const INT32: u8 = 0;
const INT64: u8 = 1;
const STRING: u8 = 2;
const BOOL: u8 = 5;
const OBJECT: u8 = 7;
/// The annotation that says that a number is a user.
const IS_UID: u8 = 1;
/// The log buffer of statistics.
const LOG_ID_STATS: u8 = 5;
/// The tag of an event.
const TAG: u32 = 0x7374_6174;
/// Longer texts are cut, so that a datagram stays under the 4068 bytes that are read.
const LONGEST: usize = 1500;

/// An event that is being put together.
#[derive(Debug)]
pub(super) struct Event {
    bytes: Vec<u8>,
    fields: u8,
}

impl Event {
    /// An event of atom `id` that happened `nanoseconds` after the boot.
    pub(super) fn new(id: u32, nanoseconds: i64) -> Self {
        let event = Self {
            bytes: vec![OBJECT, 0],
            fields: 0,
        };
        event.int64(nanoseconds).int32(id.cast_signed())
    }

    fn field(mut self, head: u8, value: &[u8]) -> Self {
        self.bytes.push(head);
        self.bytes.extend_from_slice(value);
        self.fields = self.fields.saturating_add(1);
        self
    }

    pub(super) fn int32(self, value: i32) -> Self {
        self.field(INT32, &value.to_le_bytes())
    }

    pub(super) fn int64(self, value: i64) -> Self {
        self.field(INT64, &value.to_le_bytes())
    }

    pub(super) fn bool(self, value: bool) -> Self {
        self.field(BOOL, &[u8::from(value)])
    }

    pub(super) fn string(self, value: &str) -> Self {
        let value = super::cut(value, LONGEST);
        // The limit above bounds it.
        let length = u32::try_from(value.len()).unwrap_or_default();
        let mut bytes = length.to_le_bytes().to_vec();
        bytes.extend_from_slice(value.as_bytes());
        self.field(STRING, &bytes)
    }

    /// A user, annotated as one.
    pub(super) fn uid(self, value: i32) -> Self {
        let mut bytes = value.to_le_bytes().to_vec();
        bytes.extend([IS_UID, BOOL, 1]);
        self.field(1 << 4 | INT32, &bytes)
    }

    /// The datagram, sent by the thread `tid` at the time of day `(seconds, nanoseconds)`.
    pub(super) fn datagram(mut self, tid: u16, (seconds, nanoseconds): (u32, u32)) -> Vec<u8> {
        if let Some(count) = self.bytes.get_mut(1) {
            *count = self.fields;
        }
        let mut datagram = vec![LOG_ID_STATS];
        datagram.extend(tid.to_le_bytes());
        datagram.extend(seconds.to_le_bytes());
        datagram.extend(nanoseconds.to_le_bytes());
        datagram.extend(TAG.to_le_bytes());
        datagram.extend(self.bytes);
        datagram
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_for_byte() {
        let event = Event::new(409, 0x0102_0304_0506_0708)
            .uid(10_001)
            .string("vm")
            .bool(true)
            .int64(-1);
        #[rustfmt::skip]
        let expected = [
            5, // statistics
            0x34, 0x12, // thread
            1, 0, 0, 0, 2, 0, 0, 0, // time of day
            b't', b'a', b't', b's', // tag
            7, 6, // an object of six fields
            1, 8, 7, 6, 5, 4, 3, 2, 1, // time since boot
            0, 0x99, 1, 0, 0, // atom 409
            0x10, 0x11, 0x27, 0, 0, 1, 5, 1, // a number with one annotation: a user
            2, 2, 0, 0, 0, b'v', b'm',
            5, 1,
            1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        ];
        assert_eq!(event.datagram(0x1234, (1, 2)), expected);
    }

    #[test]
    fn texts_are_cut_between_characters() {
        let event = Event::new(1, 0).string(&"\u{e9}".repeat(1000));
        let datagram = event.datagram(0, (0, 0));
        let text = datagram.get(15 + 2 + 9 + 5 + 5..).unwrap();
        assert_eq!(text.len(), 1500);
        assert!(std::str::from_utf8(text).is_ok());
        let event = Event::new(1, 0).string(&format!("x{}", "\u{e9}".repeat(1000)));
        assert_eq!(event.datagram(0, (0, 0)).len(), 15 + 2 + 9 + 5 + 5 + 1499);
    }
}
