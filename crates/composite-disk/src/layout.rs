// SPDX-License-Identifier: Apache-2.0
//! Which bytes of the disk come from where.

use std::collections::{HashMap, HashSet};

use thiserror::Error;
use uuid::Uuid;

use crate::gpt::{self, Entry};
use crate::{FOOTER_LEN, HEADER_LEN, MAX_LABEL_UNITS, MAX_PARTITIONS, PARTITION_ALIGNMENT, SECTOR};

/// What the layout needs to know of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// The name in the partition table: unique on the disk, not empty, at most
    /// [`MAX_LABEL_UNITS`] UTF-16 code units.
    pub label: String,
    /// Bytes of the partition's file, more than zero.
    pub size: u64,
    /// Whether the guest may write. If so, `size` is a multiple of [`PARTITION_ALIGNMENT`].
    pub writable: bool,
    /// The partition's own GUID; `None` for a random one.
    pub guid: Option<Uuid>,
}

/// Where a component's bytes come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// These bytes: protective MBR and primary partition table.
    Header(Vec<u8>),
    /// These bytes: backup partition table.
    Footer(Vec<u8>),
    /// The whole file of the partition with this index in the input list, from its byte 0.
    Partition(usize),
    /// Zeros that pad a read-only partition; always shorter than [`PARTITION_ALIGNMENT`].
    Zero,
}

/// A range of the disk that has one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// First byte on the disk.
    pub offset: u64,
    /// Bytes, more than zero. Need not be a multiple of the sector size.
    pub length: u64,
    /// Where the bytes come from.
    pub source: Source,
    /// Whether the guest may write here. Always false for anything but a partition.
    pub writable: bool,
}

/// The access modes of the partitions of one disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// No partition is writable.
    ReadOnly,
    /// Every partition is writable.
    Writable,
    /// Some are and some are not.
    Mixed,
}

/// A disk: components one after another without gaps, from byte 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Header, then each partition and its padding, then footer.
    pub components: Vec<Component>,
    /// Bytes of the whole disk, a multiple of [`PARTITION_ALIGNMENT`].
    pub size: u64,
}

/// Why partitions do not make a disk.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// There is nothing to make a disk of.
    #[error("a disk without partitions; give it at least one, or a whole disk image instead")]
    NoPartitions,
    /// More than the table has entries.
    #[error(
        "{0} partitions on one disk, but its table holds {MAX_PARTITIONS}; use more than one disk"
    )]
    TooManyPartitions(usize),
    /// A label is empty.
    #[error("partition {index} has an empty label; give it a name")]
    EmptyLabel {
        /// Its place in the input list, from 0.
        index: usize,
    },
    /// A label does not fit into its field.
    #[error(
        "partition label '{}' has {units} UTF-16 units, but only {MAX_LABEL_UNITS} fit; shorten it", label.escape_debug()
    )]
    LongLabel {
        /// The label.
        label: String,
        /// Its length in UTF-16 code units.
        units: usize,
    },
    /// A label holds a NUL, which ends a name in the table.
    #[error("partition label '{}' has a NUL character, which would end it; remove it", .0.escape_debug())]
    NulInLabel(String),
    /// Two partitions share a label.
    #[error("two partitions are labelled '{}'; rename one of them", .0.escape_debug())]
    DuplicateLabel(String),
    /// Two partitions share a unique GUID.
    #[error(
        "partitions '{}' and '{}' have the same GUID {guid}; give each its own, or none for a random one", first.escape_debug(), second.escape_debug()
    )]
    DuplicateGuid {
        /// The label of the first.
        first: String,
        /// The label of the second.
        second: String,
        /// The GUID.
        guid: Uuid,
    },
    /// A partition's file is empty.
    #[error("partition '{}' is empty (0 bytes); give a file with at least one byte", .0.escape_debug())]
    ZeroSize(String),
    /// A writable partition would need padding, which nothing could store.
    #[error(
        "writable partition '{}' has {size} bytes, which is not a multiple of {PARTITION_ALIGNMENT}; extend its file or make it read-only", label.escape_debug()
    )]
    UnalignedWritable {
        /// The label.
        label: String,
        /// Bytes of its file.
        size: u64,
    },
    /// The sizes add up to more than file offsets can express.
    #[error(
        "partition '{}' makes the disk larger than {max} bytes; use smaller partitions",
        .0.escape_debug(),
        max = i64::MAX
    )]
    TooLarge(String),
}

impl Layout {
    /// Lays out a disk with a random disk GUID.
    ///
    /// # Errors
    ///
    /// When a partition breaks one of the rules that [`Partition`]'s fields state, when there is
    /// none, when there are more than [`MAX_PARTITIONS`], and when the disk would be larger than
    /// `i64::MAX` bytes.
    pub fn new(partitions: &[Partition]) -> Result<Self, LayoutError> {
        Self::with_disk_guid(partitions, Uuid::new_v4())
    }

    /// Lays out a disk with this disk GUID; otherwise the same as [`Layout::new`].
    ///
    /// # Errors
    ///
    /// The same as those of [`Layout::new`].
    pub fn with_disk_guid(partitions: &[Partition], disk_guid: Uuid) -> Result<Self, LayoutError> {
        if partitions.is_empty() {
            return Err(LayoutError::NoPartitions);
        }
        if partitions.len() > usize::from(MAX_PARTITIONS) {
            return Err(LayoutError::TooManyPartitions(partitions.len()));
        }
        let names = partition_names(partitions)?;
        check_guids(partitions)?;

        let mut middle = Vec::new();
        let mut entries = Vec::new();
        let mut offset = HEADER_LEN;
        for ((index, partition), name) in partitions.iter().enumerate().zip(names) {
            let end = partition_end(partition, offset)?;
            entries.push(Entry {
                guid: partition.guid.unwrap_or_else(Uuid::new_v4),
                first_lba: offset / SECTOR,
                last_lba: end / SECTOR - 1,
                name,
            });
            middle.push(Component {
                offset,
                length: partition.size,
                source: Source::Partition(index),
                writable: partition.writable,
            });
            let padding = end - offset - partition.size;
            if padding > 0 {
                middle.push(read_only(end - padding, padding, Source::Zero));
            }
            offset = end;
        }

        let size = offset + FOOTER_LEN;
        let tables = gpt::tables(size, disk_guid, &entries);
        let mut components = vec![read_only(0, HEADER_LEN, Source::Header(tables.header))];
        components.append(&mut middle);
        components.push(read_only(offset, FOOTER_LEN, Source::Footer(tables.footer)));
        Ok(Self { components, size })
    }

    /// The access modes of the disk's partitions.
    pub fn access(&self) -> Access {
        let mut modes = self
            .components
            .iter()
            .filter(|component| matches!(component.source, Source::Partition(_)))
            .map(|component| component.writable);
        let first = modes.next().unwrap_or(false);
        match (first, modes.all(|mode| mode == first)) {
            (_, false) => Access::Mixed,
            (true, true) => Access::Writable,
            (false, true) => Access::ReadOnly,
        }
    }
}

fn read_only(offset: u64, length: u64, source: Source) -> Component {
    Component {
        offset,
        length,
        source,
        writable: false,
    }
}

/// The labels as they stand in the table, each checked, in the same order.
fn partition_names(partitions: &[Partition]) -> Result<Vec<Vec<u16>>, LayoutError> {
    let mut seen = HashSet::new();
    let mut names = Vec::new();
    for (index, Partition { label, .. }) in partitions.iter().enumerate() {
        let name: Vec<u16> = label.encode_utf16().collect();
        if name.is_empty() {
            return Err(LayoutError::EmptyLabel { index });
        }
        if name.len() > MAX_LABEL_UNITS {
            return Err(LayoutError::LongLabel {
                label: label.clone(),
                units: name.len(),
            });
        }
        if name.contains(&0) {
            return Err(LayoutError::NulInLabel(label.clone()));
        }
        if !seen.insert(label) {
            return Err(LayoutError::DuplicateLabel(label.clone()));
        }
        names.push(name);
    }
    Ok(names)
}

/// Refuses a GUID that two partitions have: programs find partitions by it.
fn check_guids(partitions: &[Partition]) -> Result<(), LayoutError> {
    let mut seen: HashMap<Uuid, &str> = HashMap::new();
    for Partition { label, guid, .. } in partitions {
        if let Some(guid) = *guid
            && let Some(first) = seen.insert(guid, label)
        {
            return Err(LayoutError::DuplicateGuid {
                first: first.to_owned(),
                second: label.clone(),
                guid,
            });
        }
    }
    Ok(())
}

/// The first byte after a partition that starts at `offset`, padding included.
fn partition_end(partition: &Partition, offset: u64) -> Result<u64, LayoutError> {
    let Partition {
        label,
        size,
        writable,
        ..
    } = partition;
    if *size == 0 {
        return Err(LayoutError::ZeroSize(label.clone()));
    }
    if *writable && size % PARTITION_ALIGNMENT != 0 {
        return Err(LayoutError::UnalignedWritable {
            label: label.clone(),
            size: *size,
        });
    }
    size.checked_next_multiple_of(PARTITION_ALIGNMENT)
        .and_then(|padded| offset.checked_add(padded))
        // File offsets are signed, so the footer must fit below that too.
        .filter(|end| {
            end.checked_add(FOOTER_LEN)
                .is_some_and(|size| i64::try_from(size).is_ok())
        })
        .ok_or_else(|| LayoutError::TooLarge(label.clone()))
}
