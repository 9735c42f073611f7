// SPDX-License-Identifier: Apache-2.0
//! Sizes in bytes, as people write and read them.

use std::fmt;
use std::str::FromStr;

/// Factors of 1024, by the letter behind the number.
const UNITS: [char; 4] = ['K', 'M', 'G', 'T'];

/// A number of bytes, with an optional suffix K, M, G or T (and `iB` or `B`), each
/// 1024 times the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(u64);

impl Size {
    /// So many bytes.
    #[must_use]
    pub const fn bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The bytes, as the interface has them.
    #[must_use]
    pub fn as_i64(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }
}

/// A text is not a size.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}; write bytes, or a number with the suffix K, M, G or T, such as 64M")]
pub struct SizeError {
    problem: &'static str,
}

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let error = |problem| SizeError { problem };
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = text.split_at(digits);
        if number.is_empty() {
            return Err(error("it does not begin with a number"));
        }
        let number: u64 = number.parse().map_err(|_| error("it is too large"))?;
        let factor = match unit.to_ascii_uppercase().as_str() {
            "" | "B" => 1,
            unit => {
                let mut chars = unit.chars();
                let letter = chars.next();
                let power = UNITS.iter().position(|known| letter == Some(*known));
                match (power, chars.as_str()) {
                    (Some(power), "" | "B" | "IB") => 1024_u64 << (10 * power),
                    _ => return Err(error("its unit is not known")),
                }
            }
        };
        number
            .checked_mul(factor)
            .filter(|bytes| i64::try_from(*bytes).is_ok())
            .map(Self)
            .ok_or(error("it is too large"))
    }
}

/// In the largest unit that leaves a number of at least 1, with one decimal below 10.
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let power = (1..=UNITS.len())
            .rev()
            .find(|power| self.0 >> (10 * power) > 0);
        let text = match power {
            None => format!("{} B", self.0),
            Some(power) => {
                let shift = 10 * power;
                let tenths = (u128::from(self.0) * 10) >> shift;
                let unit = UNITS[power - 1];
                if tenths < 100 {
                    format!("{}.{} {unit}iB", tenths / 10, tenths % 10)
                } else {
                    format!("{} {unit}iB", tenths / 10)
                }
            }
        };
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("1k", 1 << 10),
            ("10M", 10 << 20),
            ("3GiB", 3 << 30),
            ("2TB", 2 << 40),
            ("7b", 7),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
        for text in [
            "",
            "M",
            "-1",
            "1.5M",
            "1X",
            "10 M",
            "1MM",
            "1iB",
            "99999999T",
            "9223372036854775808",
            "99999999999999999999",
            "1Ä",
        ] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_shown_in_few_digits() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (10 << 20, "10 MiB"),
            ((1 << 30) - 1, "1023 MiB"),
            (u64::MAX, "16777215 TiB"),
        ] {
            assert_eq!(Size(bytes).to_string(), text);
        }
        assert_eq!(format!("{:>8}", Size(1 << 20)), " 1.0 MiB");
    }
}
