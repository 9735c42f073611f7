// SPDX-License-Identifier: Apache-2.0
//! APKs and their idsigs.

use crate::failure::{Failure, Kind};
use crate::partitions;
use crate::uevents::Uevents;
use apk_idsig::{Idsig, Verified};
use host::chain;
use microdroid::archive::ReadAt;
use std::fs::File;
use std::io::{self, BufReader};

/// A root hash.
pub(super) type Root = [u8; 32];

/// An APK whose content is that of its idsig.
pub(super) struct Apk {
    file: Verified,
    /// Its root hash.
    pub(super) root: Root,
}

impl Apk {
    /// The root hash in hexadecimal.
    pub(super) fn root_text(&self) -> String {
        self.root.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl ReadAt for Apk {
    fn length(&self) -> io::Result<u64> {
        Ok(self.file.length())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }
}

/// The APK in the partition `label`, verified by the idsig in the partition `idsig_label`. The
/// messages call it `what`.
pub(super) fn apk(
    what: &str,
    label: &str,
    idsig_label: &str,
    uevents: &Uevents,
) -> Result<Apk, Failure> {
    let failed = |e: &dyn std::error::Error| {
        Failure::new(Kind::Verification, format!("{what}: {}", chain(e)))
    };
    let apk = partitions::wait_for(label, uevents)?;
    let idsig = partitions::wait_for(idsig_label, uevents)?;
    let idsig = File::open(idsig).map_err(|e| failed(&e))?;
    let idsig = Idsig::read(BufReader::new(idsig), false).map_err(|e| failed(&e))?;
    let root = Root::try_from(&idsig.hashing.root[..]).map_err(|_| {
        Failure::new(
            Kind::Verification,
            format!("{what}: its root hash is not a hash"),
        )
    })?;
    let file = File::open(apk).map_err(|e| failed(&e))?;
    let length = ReadAt::length(&file).map_err(|e| failed(&e))?;
    let file = Verified::new(file, length, &idsig.hashing).map_err(|e| failed(&e))?;
    Ok(Apk { file, root })
}
