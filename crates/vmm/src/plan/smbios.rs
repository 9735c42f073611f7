// SPDX-License-Identifier: Apache-2.0
//! What the firmware's tables (SMBIOS) say about the machine.

use uuid::Uuid;

/// The most OEM strings: their number is one byte of the table.
pub const MAX_OEM_STRINGS: usize = 255;
/// Bytes of all strings together: the tables share 64 KiB below the first MiB with the VMM's own.
pub const MAX_SMBIOS_BYTES: usize = 32 << 10;

/// What the firmware's tables say about the machine. The VMM has words of its own for what is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Smbios {
    /// Who made the BIOS.
    pub bios_vendor: Option<String>,
    /// The BIOS's version.
    pub bios_version: Option<String>,
    /// Who made the machine.
    pub manufacturer: Option<String>,
    /// The machine's model.
    pub product_name: Option<String>,
    /// The machine's serial number.
    pub serial_number: Option<String>,
    /// The machine's UUID.
    pub uuid: Option<Uuid>,
    /// Free-form strings.
    pub oem_strings: Vec<String>,
}

impl Smbios {
    /// Why `text` cannot be a string of the tables under any VMM, if it cannot. A NUL ends a string
    /// there, and an empty string ends the list of strings. Whatever else has a meaning on a VMM's
    /// command line is quoted.
    #[must_use]
    pub fn fault(text: &str) -> Option<&'static str> {
        if text.is_empty() {
            Some("it is empty; leave it out")
        } else if text.contains(char::is_control) {
            Some("it has a control character; remove it")
        } else {
            None
        }
    }

    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Bytes of all strings together.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.strings().map(str::len).sum()
    }

    fn strings(&self) -> impl Iterator<Item = &str> {
        [
            &self.bios_vendor,
            &self.bios_version,
            &self.manufacturer,
            &self.product_name,
            &self.serial_number,
        ]
        .into_iter()
        .flatten()
        .chain(&self.oem_strings)
        .map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_that_would_break_the_tables() {
        assert_eq!(Smbios::fault("a, \"b\" [c]='d' \u{e9}"), None);
        for bad in ["", "a\0b", "a\nb", "\u{85}"] {
            assert!(Smbios::fault(bad).is_some(), "{bad:?}");
        }
    }

    #[test]
    fn all_strings_count() {
        let text = |text: &str| Some(text.to_owned());
        let smbios = Smbios {
            bios_vendor: text("1"),
            bios_version: text("22"),
            manufacturer: text("333"),
            product_name: text("4444"),
            serial_number: text("55555"),
            uuid: Some(Uuid::nil()),
            oem_strings: vec!["666666".into(), "7777777".into()],
        };
        assert_eq!(smbios.bytes(), 28);
        assert!(!smbios.is_empty() && Smbios::default().is_empty());
    }
}
