// SPDX-License-Identifier: Apache-2.0
//! The disk as a composite disk file, which crosvm reads: a magic, then a protobuf message that
//! lists files with their offsets on the disk.

use crate::{Component, Layout, Source};
use prost::Message;
use thiserror::Error;

/// What the file begins with.
pub(crate) const MAGIC: &[u8] = b"composite_disk\x1d";
/// The version of the message.
const VERSION: u64 = 2;

/// A file of a composite disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompositeFile {
    /// [`Composite::header`].
    Header,
    /// [`Composite::footer`].
    Footer,
    /// [`PARTITION_ALIGNMENT`](crate::PARTITION_ALIGNMENT) zeros.
    Zero,
    /// The file of the partition with this index in the layout's input.
    Partition(usize),
}

/// What crosvm needs besides the partitions' own files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Composite {
    /// Bytes of the composite disk file itself.
    pub descriptor: Vec<u8>,
    /// Bytes of the file [`CompositeFile::Header`].
    pub header: Vec<u8>,
    /// Bytes of the file [`CompositeFile::Footer`].
    pub footer: Vec<u8>,
    /// Whether the file [`CompositeFile::Zero`] is named.
    pub needs_zero: bool,
    /// Whether any partition can be written to, and so whether the disk has to be given as
    /// writable.
    pub writable: bool,
}

/// Why a layout has no composite disk file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CompositeError {
    /// The path would be taken as relative to the composite disk's own, which has none.
    #[error("'{}' cannot be named in a composite disk; use an absolute path", .0.escape_debug())]
    Path(String),
}

#[derive(Clone, PartialEq, Message)]
struct CompositeDisk {
    #[prost(uint64, tag = "1")]
    version: u64,
    #[prost(message, repeated, tag = "2")]
    component_disks: Vec<ComponentDisk>,
    #[prost(uint64, tag = "3")]
    length: u64,
}

#[derive(Clone, PartialEq, Message)]
struct ComponentDisk {
    #[prost(string, tag = "1")]
    file_path: String,
    #[prost(uint64, tag = "2")]
    offset: u64,
    #[prost(enumeration = "Capability", tag = "3")]
    read_write_capability: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
enum Capability {
    ReadOnly = 0,
    ReadWrite = 1,
}

/// Writes the composite disk file of `layout`.
///
/// `path` gives the place where crosvm will find each file. For inherited descriptors these are
/// `/proc/self/fd/N`. crosvm looks at each file's format by itself, so that of a partition may be
/// an Android sparse image if crosvm can read such.
///
/// # Errors
///
/// When a path is not absolute.
pub fn composite(
    layout: &Layout,
    path: impl Fn(CompositeFile) -> String,
) -> Result<Composite, CompositeError> {
    let mut disk = Composite {
        descriptor: MAGIC.to_vec(),
        header: Vec::new(),
        footer: Vec::new(),
        needs_zero: false,
        writable: layout.components.iter().any(|part| part.writable),
    };
    let mut component_disks = Vec::with_capacity(layout.components.len());
    for component in &layout.components {
        let file_path = path(disk.place(component));
        if !file_path.starts_with('/') {
            return Err(CompositeError::Path(file_path));
        }
        let capability = if component.writable {
            Capability::ReadWrite
        } else {
            Capability::ReadOnly
        };
        component_disks.push(ComponentDisk {
            file_path,
            offset: component.offset,
            read_write_capability: capability.into(),
        });
    }
    let message = CompositeDisk {
        version: VERSION,
        component_disks,
        length: layout.size,
    };
    disk.descriptor.extend(message.encode_to_vec());
    Ok(disk)
}

impl Composite {
    /// Which file a component is in; takes over the bytes of the tables.
    fn place(&mut self, component: &Component) -> CompositeFile {
        match &component.source {
            Source::Header(bytes) => {
                self.header.clone_from(bytes);
                CompositeFile::Header
            }
            Source::Footer(bytes) => {
                self.footer.clone_from(bytes);
                CompositeFile::Footer
            }
            Source::Partition(index) => CompositeFile::Partition(*index),
            Source::Zero => {
                self.needs_zero = true;
                CompositeFile::Zero
            }
        }
    }
}
