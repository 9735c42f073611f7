// SPDX-License-Identifier: Apache-2.0
//! A VMDK descriptor that makes QEMU put the components together itself.
//!
//! QEMU's `vmdk` driver reads a text file whose lines name the extents of a disk. It knows flat
//! files (`FLAT`), but passes over lines of type `ZERO` and over lines whose access is not `RW`,
//! so the disk would silently be too short: every extent here is a `RW` `FLAT` one, and what is
//! not a partition comes from two more files. Whether the guest may write is decided
//! for the disk as a whole (`read-only=on`), hence all partitions must have one access mode.

use std::fmt::Write as _;

use thiserror::Error;

use crate::{Access, HEADER_LEN, Layout, PARTITION_ALIGNMENT, SECTOR, Source};

/// QEMU reads at most this many bytes of a file name in a descriptor.
const MAX_PATH: usize = 511;

/// A file that a descriptor names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VmdkFile {
    /// [`Vmdk::header`].
    Header,
    /// [`Vmdk::footer`].
    Footer,
    /// The file of the partition with this index in the layout's input.
    Partition(usize),
}

/// What QEMU needs besides the partitions' own files.
///
/// On a writable disk the guest can overwrite the two tables, and QEMU changes the descriptor's
/// `CID=` line at the guest's first write: give QEMU copies of all three that live no longer than
/// the VM (memfds).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vmdk {
    /// Text of the descriptor.
    pub descriptor: String,
    /// Bytes of the file [`VmdkFile::Header`]: the primary table, then zeros for all padding.
    pub header: Vec<u8>,
    /// Bytes of the file [`VmdkFile::Footer`]: the backup table. It is a file of its own because
    /// QEMU locks each file that it opens for writing, so none can stand in two extents then.
    pub footer: Vec<u8>,
    /// Whether the disk, and with it every file of it, is to be opened for writing.
    pub writable: bool,
}

/// Why a layout has no VMDK descriptor.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum VmdkError {
    /// A descriptor's disk is writable as a whole or not at all.
    #[error(
        "the disk has writable and read-only partitions, which a VMDK descriptor cannot express; serve it over NBD"
    )]
    MixedAccess,
    /// The file name cannot stand in a descriptor.
    #[error(
        "'{}' cannot be named in a VMDK descriptor; use an absolute path of at most {MAX_PATH} bytes without quotes and line breaks",
        .0.escape_debug()
    )]
    Path(String),
}

/// Writes the descriptor of `layout`.
///
/// `path` gives the place where QEMU will find each file. With inherited descriptors these are
/// `/dev/fdset/N`; QEMU takes a descriptor from such a set only if its access mode is the disk's
/// (see [`reopen`](crate::reopen)).
///
/// A file whose length is not a multiple of 512 is named with its last sector in full; QEMU reads
/// zeros after the end of the file.
///
/// # Errors
///
/// When the partitions' access modes differ, and when a path cannot be written into a descriptor.
pub fn vmdk(layout: &Layout, path: impl Fn(VmdkFile) -> String) -> Result<Vmdk, VmdkError> {
    let writable = match layout.access() {
        Access::ReadOnly => false,
        Access::Writable => true,
        Access::Mixed => return Err(VmdkError::MixedAccess),
    };

    let mut descriptor = Descriptor::new();
    let (mut header, mut footer) = (Vec::new(), Vec::new());
    // Each padding is shorter than the alignment.
    let zeros = (0..PARTITION_ALIGNMENT).map(|_| 0);
    for component in &layout.components {
        let end = component.offset + component.length;
        let (file, from) = match &component.source {
            Source::Header(bytes) => {
                header.clone_from(bytes);
                (VmdkFile::Header, 0)
            }
            Source::Footer(bytes) => {
                footer.clone_from(bytes);
                (VmdkFile::Footer, 0)
            }
            Source::Partition(index) => (VmdkFile::Partition(*index), 0),
            Source::Zero => (VmdkFile::Header, HEADER_LEN),
        };
        descriptor.extent(end, &path(file), from)?;
    }
    header.extend(zeros);
    Ok(Vmdk {
        descriptor: descriptor.text,
        header,
        footer,
        writable,
    })
}

/// A descriptor's text up to some sector of the disk.
struct Descriptor {
    text: String,
    sectors: u64,
}

impl Descriptor {
    fn new() -> Self {
        // `twoGbMaxExtentFlat` is the type whose disks have many flat extents; QEMU sets no bound
        // to their size. The content IDs say that there is no parent disk.
        let text = "# Disk DescriptorFile\n\
             version=1\n\
             CID=fffffffe\n\
             parentCID=ffffffff\n\
             createType=\"twoGbMaxExtentFlat\"\n";
        Self {
            text: text.to_owned(),
            sectors: 0,
        }
    }

    /// Adds an extent up to the first sector at or after byte `end` of the disk, if it is not
    /// there yet, with the bytes of `path` from byte `from` on.
    fn extent(&mut self, end: u64, path: &str, from: u64) -> Result<(), VmdkError> {
        if !path.starts_with('/') || path.len() > MAX_PATH || path.contains(['"', '\n', '\r', '\0'])
        {
            return Err(VmdkError::Path(path.to_owned()));
        }
        let end = end.div_ceil(SECTOR);
        let sectors = end - self.sectors;
        if sectors > 0 {
            // Writing to a String does not fail.
            let _ = writeln!(self.text, "RW {sectors} FLAT \"{path}\" {}", from / SECTOR);
            self.sectors = end;
        }
        Ok(())
    }
}
