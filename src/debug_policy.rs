// SPDX-License-Identifier: Apache-2.0
//! The host's debug policy: what of its guests may be seen by people. The boot loader leaves it in
//! the device tree, below `/avf/guest`; a property is a big-endian 32-bit number, 1 for yes and 0
//! for no, and one that is not there means no.

use crate::host::Host;
use std::io;
use std::path::PathBuf;

/// Whether guests write a dump of their memory when their kernel crashes.
const RAMDUMP: &str = "/proc/device-tree/avf/guest/common/ramdump";

/// A property of the policy cannot be understood.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It cannot be read.
    #[error("debug policy {}", path.display())]
    Read {
        /// The property's file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// It is neither yes nor no.
    #[error("debug policy {}: it is {value:02x?}, but must be the number 0 or 1 in 4 bytes", path.display())]
    Value {
        /// The property's file.
        path: PathBuf,
        /// Its bytes.
        value: Vec<u8>,
    },
}

/// Whether guests should write a dump of their memory when their kernel crashes.
///
/// # Errors
/// If the policy says neither yes nor no.
pub fn wants_ramdump(host: &Host) -> Result<bool, Error> {
    property(host, RAMDUMP)
}

fn property(host: &Host, name: &str) -> Result<bool, Error> {
    let path = host.path(name);
    let value = match std::fs::read(&path) {
        Ok(value) => value,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(Error::Read { path, source }),
    };
    match value[..] {
        [0, 0, 0, 0] => Ok(false),
        [0, 0, 0, 1] => Ok(true),
        _ => Err(Error::Value { path, value }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_property_is_yes_no_or_an_error() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::at(root.path());
        assert!(!wants_ramdump(&host).unwrap());
        let file = host.path(RAMDUMP);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        for (bytes, answer) in [(&[0, 0, 0, 1][..], true), (&[0, 0, 0, 0], false)] {
            std::fs::write(&file, bytes).unwrap();
            assert_eq!(wants_ramdump(&host).unwrap(), answer);
        }
        for bad in [&[0, 0, 0, 2][..], &[1, 0, 0, 0], &[1], &[]] {
            std::fs::write(&file, bad).unwrap();
            let error = wants_ramdump(&host).unwrap_err().to_string();
            assert!(
                error.contains("common/ramdump") && error.contains("0 or 1"),
                "{error}"
            );
        }
    }
}
