// SPDX-License-Identifier: Apache-2.0
//! Sizes in bytes, as people write and read them.

use std::fmt;
use std::str::FromStr;

/// Suffixes of numbers, each 1024 times the one before.
const UNITS: [char; 4] = ['K', 'M', 'G', 'T'];
/// The factor of MiB.
const MIB: u64 = 1 << 20;

/// A number of bytes. It is read as a number with an optional suffix K, M, G or T (also as in `MiB` or
/// `MB`), each 1024 times the one before. A number with a suffix may have decimals.
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

/// A text that is not a size.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}; give {form}")]
pub struct SizeError {
    problem: &'static str,
    form: &'static str,
}

/// How a number of bytes is written.
const BYTES: &str = "a number of bytes, or a number with a suffix K, M, G or T, for example 64M";
/// How a size of memory is written.
const MEMORY: &str = "a number of MiB, or a number with a suffix K, M, G or T, for example 2G";

/// Reads a number with an optional suffix; without one it counts `unit` bytes.
fn parse(text: &str, unit: u64, form: &'static str) -> Result<u64, SizeError> {
    let error = |problem| SizeError { problem, form };
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    let digits = text.len() - text.trim_start_matches(is_number).len();
    let (number, suffix) = text.split_at(digits);
    let factor = match suffix.to_ascii_uppercase().as_str() {
        "" => unit,
        "B" => 1,
        suffix => {
            let mut chars = suffix.chars();
            let letter = chars.next();
            let power = UNITS.iter().position(|known| letter == Some(*known));
            match (power, chars.as_str()) {
                (Some(power), "" | "B" | "IB") => 1024_u64 << (10 * power),
                _ if number.is_empty() => return Err(error("it does not begin with a number")),
                _ => return Err(error("its suffix is not known")),
            }
        }
    };
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || number.ends_with('.') {
        return Err(error("it does not begin with a number"));
    }
    let too_large = || error("it is too large");
    let mut bytes = whole
        .parse::<u64>()
        .ok()
        .and_then(|whole| whole.checked_mul(factor))
        .ok_or_else(too_large)?;
    if !decimals.is_empty() {
        // More decimals than these are less than a byte of a terabyte.
        const LIMIT: usize = 15;
        let decimals = &decimals[..decimals.len().min(LIMIT)];
        let scale = 10_u128.pow(u32::try_from(decimals.len()).unwrap_or(0));
        let part = decimals
            .parse::<u128>()
            .map_err(|_| error("it is not a number"))?
            * u128::from(factor);
        if factor == 1 {
            return Err(error("it is a part of a byte"));
        }
        let part = u64::try_from(part / scale).map_err(|_| too_large())?;
        bytes = bytes.checked_add(part).ok_or_else(too_large)?;
    }
    i64::try_from(bytes).map_err(|_| too_large())?;
    Ok(bytes)
}

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        parse(text, 1, BYTES).map(Self)
    }
}

/// A guest's memory in whole MiB. It is read as a number of MiB, or as a [`Size`] with a suffix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemorySize(i64);

impl MemorySize {
    /// So many MiB.
    #[must_use]
    pub const fn mib(self) -> i64 {
        self.0
    }
}

impl FromStr for MemorySize {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let error = |problem| SizeError {
            problem,
            form: MEMORY,
        };
        if text.starts_with('-') {
            return Err(error("it is negative"));
        }
        let bytes = parse(text, MIB, MEMORY)?;
        if bytes == 0 {
            return Err(error("it is 0"));
        }
        if bytes % MIB != 0 {
            return Err(error("it is not a whole number of MiB"));
        }
        i64::try_from(bytes / MIB)
            .map(Self)
            .map_err(|_| error("it is too large"))
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
            ("1.5G", 3 << 29),
            ("0.5k", 512),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
        for text in [
            "",
            "M",
            "-1",
            "1.5",
            "1.",
            ".5M",
            "1.2.3M",
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
    fn memory_is_read_in_mib_or_with_a_suffix() {
        for (text, mib) in [
            ("256", 256),
            ("2G", 2048),
            ("1.5G", 1536),
            ("512M", 512),
            ("2048k", 2),
            ("1048576B", 1),
            ("2000000000", 2_000_000_000),
        ] {
            assert_eq!(text.parse::<MemorySize>().map(MemorySize::mib), Ok(mib));
        }
        for (text, part) in [
            ("0", "it is 0"),
            ("-5", "negative"),
            ("100K", "whole number of MiB"),
            ("2X", "suffix"),
            ("x", "number"),
            ("", "number"),
            ("9999999T", "too large"),
        ] {
            let error = text.parse::<MemorySize>().unwrap_err().to_string();
            assert!(
                error.contains(part) && error.contains("2G"),
                "{text}: {error}"
            );
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
