// SPDX-License-Identifier: Apache-2.0
//! The device-tree overlay for assigned devices, which Android devices have in their partition `dtbo`.
//!
//! The partition is a table of overlays in the format of "DTB/DTBO partitions" of Android's
//! architecture documentation: big-endian 32-bit numbers, a header of at least 32 bytes (magic, total
//! size, header size, entry size, entry count, offset of the entries, page size, version) and entries
//! that begin with the size and the offset of an overlay.

use crate::paths::Paths;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::unix::fs::FileExt;

/// Which overlay of the partition is that for VMs.
const INDEX: &str = "ro.boot.hypervisor.vm_dtbo_idx";
/// Which of two partitions the device was booted from.
const SLOT: &str = "ro.boot.slot_suffix";
const PARTITION: &str = "/dev/block/by-name/dtbo";
const MAGIC: u32 = 0xd7b7_ab1e;
/// Overlays are some kilobytes.
const LARGEST: u32 = 8 << 20;

/// Why there is no overlay.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// This machine has none.
    #[error("this device has no overlay for VMs: the property {INDEX} is not set")]
    None,
    /// The property is not a number.
    #[error("property {INDEX}: '{0}' is not a number")]
    Index(String),
    /// The partition is wrong.
    #[error("{path}: {why}")]
    Format {
        /// The partition.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// A system call failed.
    #[error("{what}")]
    Io {
        /// What was being done.
        what: String,
        /// The system error.
        source: io::Error,
    },
}

/// A file in memory with the overlay of this machine.
pub(crate) fn overlay(paths: &Paths) -> Result<File, Error> {
    let index = paths.host().property(INDEX).ok_or(Error::None)?;
    let index = index.parse().map_err(|_| Error::Index(index))?;
    let path = paths.host().path(&format!(
        "{PARTITION}{}",
        paths.host().property(SLOT).unwrap_or_default()
    ));
    let partition = File::open(&path).map_err(|source| Error::Io {
        what: format!("cannot open {}", path.display()),
        source,
    })?;
    let bytes = extract(&partition, index).map_err(|e| match e {
        Fault::Wrong(why) => Error::Format {
            path: path.display().to_string(),
            why,
        },
        Fault::Io(source) => Error::Io {
            what: format!("cannot read {}", path.display()),
            source,
        },
    })?;
    in_memory(&bytes).map_err(|source| Error::Io {
        what: "cannot make a file in memory".into(),
        source,
    })
}

/// A file with these bytes that nobody can change.
fn in_memory(bytes: &[u8]) -> io::Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = File::from(memfd_create("vm_dtbo", flags)?);
    file.write_all(bytes)?;
    file.rewind()?;
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    fcntl_add_seals(&file, seals)?;
    Ok(file)
}

#[derive(Debug)]
enum Fault {
    Wrong(String),
    Io(io::Error),
}

/// The overlay number `index` of the table.
fn extract(table: &File, index: u32) -> Result<Vec<u8>, Fault> {
    let number = |offset: u64| {
        let mut bytes = [0; 4];
        table
            .read_exact_at(&mut bytes, offset)
            .map(|()| u32::from_be_bytes(bytes))
            .map_err(Fault::Io)
    };
    if number(0)? != MAGIC {
        return Err(Fault::Wrong("it is not a table of overlays".into()));
    }
    let (total, entry_size, count, entries) = (number(4)?, number(12)?, number(16)?, number(20)?);
    if index >= count {
        return Err(Fault::Wrong(format!(
            "it has {count} overlays, and not number {index}"
        )));
    }
    let entry = u64::from(entries) + u64::from(entry_size) * u64::from(index);
    let (size, offset) = (number(entry)?, number(entry + 4)?);
    if size > LARGEST || u64::from(offset) + u64::from(size) > u64::from(total) {
        return Err(Fault::Wrong(format!(
            "overlay {index} with {size} bytes at {offset} is not inside, or over {LARGEST} bytes"
        )));
    }
    let mut bytes = vec![0; usize::try_from(size).unwrap_or_default()];
    table
        .read_exact_at(&mut bytes, offset.into())
        .map_err(Fault::Io)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    /// A table with the overlays "one" and "second".
    fn table() -> Vec<u8> {
        let numbers: [u32; 14] = [
            MAGIC, 73, 32, 12, 2, 32, 4096, 0, // header
            3, 64, 0, // an entry, here of 12 bytes
            6, 67, 0,
        ];
        let mut bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_be_bytes()).collect();
        bytes.resize(64, 0);
        bytes.extend(b"onesecond");
        bytes
    }

    fn read(bytes: &[u8], index: u32) -> Result<Vec<u8>, Fault> {
        extract(&in_memory(bytes).unwrap(), index)
    }

    #[test]
    fn the_overlay_by_its_number() {
        assert_eq!(read(&table(), 0).unwrap(), b"one");
        assert_eq!(read(&table(), 1).unwrap(), b"second");
        assert!(matches!(read(&table(), 2), Err(Fault::Wrong(_))));
    }

    #[test]
    fn any_change_is_an_error_or_other_bytes_but_no_panic() {
        let good = table();
        for at in 0..good.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                let _ = read(&bad, 1);
            }
            assert!(read(&good[..at], 1).is_err(), "cut at {at}");
        }
        let mut bad = good.clone();
        bad[0] = 0;
        assert!(matches!(read(&bad, 0), Err(Fault::Wrong(_))));
        // One that reaches beyond the end.
        bad = good;
        bad[7] = 72;
        assert!(matches!(read(&bad, 1), Err(Fault::Wrong(_))));
    }

    #[test]
    fn the_file_cannot_be_changed() {
        let mut file = in_memory(b"overlay").unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, b"overlay");
        assert!(file.write_all(b"x").is_err());
        assert!(file.set_len(0).is_err());
    }

    #[test]
    fn a_machine_without_properties_has_none() {
        let root = tempfile::tempdir().unwrap();
        assert!(matches!(overlay(&Paths::at(root.path())), Err(Error::None)));
    }
}
