// SPDX-License-Identifier: Apache-2.0
//! Plain byte streams over vsock, for tests and measurements: the payload serves them if it is
//! started with `--echo`. The functions here are both ends' idea of what the bytes are.

use std::io::{self, Read, Write};

/// Every byte comes back, until end of file.
pub const ECHO_PORT: u32 = 5679;
/// The client sends a number of bytes, 8 bytes little-endian, and gets so many of the [`pattern`].
pub const SOURCE_PORT: u32 = 5680;
/// The client sends until end of file (it shuts its writing side down) and gets a [`Tally`].
pub const SINK_PORT: u32 = 5681;

/// Length of the pattern, a prime: no shift by a power of two goes unnoticed.
const PERIOD: u64 = 251;
/// How much is read or written at once.
const CHUNK: usize = 64 * 1024;

/// Byte number `at` of the pattern: `at % 251`.
#[must_use]
pub fn pattern(at: u64) -> u8 {
    u8::try_from(at % PERIOD).unwrap_or_default()
}

/// Writes the first `length` bytes of the pattern.
///
/// # Errors
/// Those of `out`.
pub fn write_pattern(out: &mut impl Write, length: u64) -> io::Result<()> {
    // A whole number of periods, so that each chunk begins alike.
    let chunk: Vec<u8> = (0..PERIOD * 256).map(pattern).collect();
    let mut left = length;
    while left > 0 {
        let now = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
        out.write_all(&chunk[..now])?;
        left -= u64::try_from(now).unwrap_or(left);
    }
    out.flush()
}

/// How many bytes there were, and a checksum of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Number of bytes.
    pub bytes: u64,
    /// FNV-1a with 64 bits over the bytes, <http://www.isthe.com/chongo/tech/comp/fnv/>.
    pub checksum: u64,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            bytes: 0,
            checksum: 0xcbf2_9ce4_8422_2325,
        }
    }
}

impl Tally {
    /// Counts `data` in.
    pub fn add(&mut self, data: &[u8]) {
        self.bytes += u64::try_from(data.len()).unwrap_or_default();
        for byte in data {
            self.checksum = (self.checksum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// Reads `input` to its end.
    ///
    /// # Errors
    /// Those of `input`.
    pub fn of(input: &mut impl Read) -> io::Result<Self> {
        let mut tally = Self::default();
        let mut buffer = vec![0; CHUNK];
        loop {
            match input.read(&mut buffer) {
                Ok(0) => return Ok(tally),
                Ok(n) => tally.add(&buffer[..n]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// As the sink sends it: the count, then the checksum, 8 bytes little-endian each.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.bytes.to_le_bytes());
        bytes[8..].copy_from_slice(&self.checksum.to_le_bytes());
        bytes
    }

    /// Reads what the sink sent.
    ///
    /// # Errors
    /// Those of `input`, also if it ends early.
    pub fn read(input: &mut impl Read) -> io::Result<Self> {
        let (mut bytes, mut checksum) = ([0; 8], [0; 8]);
        input.read_exact(&mut bytes)?;
        input.read_exact(&mut checksum)?;
        Ok(Self {
            bytes: u64::from_le_bytes(bytes),
            checksum: u64::from_le_bytes(checksum),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values that the algorithm's authors publish.
    #[test]
    fn the_checksum_is_fnv() {
        for (text, sum) in [
            ("", 0xcbf2_9ce4_8422_2325),
            ("a", 0xaf63_dc4c_8601_ec8c),
            ("foobar", 0x8594_4171_f739_67e8_u64),
        ] {
            assert_eq!(
                Tally::of(&mut text.as_bytes()).unwrap().checksum,
                sum,
                "{text}"
            );
        }
    }

    #[test]
    fn the_pattern_is_the_same_however_it_is_cut() {
        let mut bytes = Vec::new();
        write_pattern(&mut bytes, 200_000).unwrap();
        assert_eq!(bytes.len(), 200_000);
        assert!(bytes.iter().zip(0..).all(|(byte, at)| *byte == pattern(at)));
        let tally = Tally::of(&mut bytes.as_slice()).unwrap();
        assert_eq!(
            Tally::read(&mut tally.to_bytes().as_slice()).unwrap(),
            tally
        );
    }
}
