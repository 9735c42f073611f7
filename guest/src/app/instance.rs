// SPDX-License-Identifier: Apache-2.0
//! What an instance knows of its payload: the root hashes of the APKs that it was first booted with,
//! in the partition `vm-instance`. The host made the partition; this guest's record stands at 4096:
//! a magic text, its version and the number of hashes in 16 bits each, little-endian, the hashes.
//!
//! The record is neither encrypted nor signed: a hostile host can replace it. It tells an
//! update by mistake from the payload that the instance's data belong to.

use super::verify::Root;
use crate::failure::{Failure, Kind};
use crate::partitions;
use crate::uevents::Uevents;
use microdroid::INSTANCE_PARTITION;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;

/// How the host begins the partition, with the version.
const HEAD: &[u8] = b"Android-VM-instance\x01\x00";
/// Where the record stands, and how long it may be.
const PLACE: u64 = 4096;
const LENGTH: usize = 4096;
const MAGIC: &[u8] = b"avf-init payload";
const VERSION: u16 = 1;

/// Since when the instance knows its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// Since an earlier boot.
    Before,
    /// Since this one.
    Now,
}

/// Compares `roots` with the record; makes a record if there is none.
pub(super) fn check(roots: &[Root], uevents: &Uevents) -> Result<Known, Failure> {
    let path = partitions::wait_for(INSTANCE_PARTITION, uevents)?;
    let partition = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .map_err(|e| Failure::io(Kind::Config, format!("open the instance ({path})"), &e))?;
    compare(&partition, roots)
}

fn compare(partition: &File, roots: &[Root]) -> Result<Known, Failure> {
    let failed =
        |what: &str, e: io::Error| Failure::io(Kind::Config, format!("{what} the instance"), &e);
    let mut head = vec![0; HEAD.len()];
    partition
        .read_exact_at(&mut head, 0)
        .map_err(|e| failed("read", e))?;
    if head != HEAD {
        return Err(Failure::new(
            Kind::Config,
            "the partition vm-instance is not an instance image; have the host make one",
        ));
    }
    let mut found = vec![0; LENGTH];
    partition
        .read_exact_at(&mut found, PLACE)
        .map_err(|e| failed("read the record of", e))?;
    let wanted = record(roots)?;
    if found == wanted {
        return Ok(Known::Before);
    }
    if found.iter().any(|byte| *byte != 0) {
        return Err(Failure::new(
            Kind::Changed,
            "the APKs are not those that this instance was first booted with; make a new instance \
             for them, or take the old ones",
        ));
    }
    partition
        .write_all_at(&wanted, PLACE)
        .and_then(|()| partition.sync_all())
        .map_err(|e| failed("write the record of", e))?;
    Ok(Known::Now)
}

fn record(roots: &[Root]) -> Result<Vec<u8>, Failure> {
    let count = u16::try_from(roots.len()).unwrap_or(u16::MAX);
    let mut record = [MAGIC, &VERSION.to_le_bytes(), &count.to_le_bytes()].concat();
    record.extend(roots.iter().flatten());
    if record.len() > LENGTH {
        return Err(Failure::new(Kind::Config, "there are too many extra APKs"));
    }
    record.resize(LENGTH, 0);
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance() -> File {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 20).unwrap();
        file.write_all_at(HEAD, 0).unwrap();
        file
    }

    #[test]
    fn the_first_payload_is_the_instances_own() {
        let file = instance();
        let (one, other) = ([1; 32], [2; 32]);
        assert_eq!(compare(&file, &[one]).unwrap(), Known::Now);
        assert_eq!(compare(&file, &[one]).unwrap(), Known::Before);
        for changed in [&[other][..], &[one, other], &[]] {
            let failure = compare(&file, changed).unwrap_err();
            assert_eq!(failure.kind, Kind::Changed, "{failure}");
        }
        assert_eq!(compare(&file, &[one]).unwrap(), Known::Before);
    }

    #[test]
    fn what_is_no_instance_is_left_alone() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(compare(&file, &[]).unwrap_err().kind, Kind::Config);
        file.set_len(8192).unwrap();
        assert_eq!(compare(&file, &[]).unwrap_err().kind, Kind::Config);
        let mut bytes = vec![1; 8192];
        file.read_exact_at(&mut bytes, 0).unwrap();
        assert!(bytes.iter().all(|byte| *byte == 0));
        let full = instance();
        assert!(compare(&full, &[[0; 32]; 200]).is_err());
    }
}
