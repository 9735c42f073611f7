// SPDX-License-Identifier: Apache-2.0
//! Partition files as clients hand them over: their size, their format, their access mode.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, FileTypeExt};

use rustix::fs::{OFlags, fcntl_getfl};
use thiserror::Error;

const ANDROID_SPARSE_MAGIC: u32 = 0xed26_ff3a;
const QCOW2_MAGIC: &[u8] = b"QFI\xfb";
const COMPOSITE_MAGIC: &[u8] = b"composite_disk\x1d";

/// Bytes of the fixed header of an Android sparse image.
const SPARSE_HEADER_LEN: usize = 28;

/// The format of a partition's file, and how large the partition in it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Image {
    /// The file's bytes are the partition's.
    Raw {
        /// Bytes of the file, or of the block device.
        size: u64,
    },
    /// An Android sparse image, which not every VMM can unfold.
    AndroidSparse {
        /// Bytes of the unfolded partition.
        size: u64,
    },
}

/// Why a file is no partition.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FileError {
    /// The file could not be examined.
    #[error("cannot read the partition's file; give a readable regular file or block device")]
    Read(#[source] io::Error),
    /// A pipe, socket, directory or the like.
    #[error("the partition's descriptor is a {0}; give a regular file or a block device")]
    Kind(&'static str),
    /// A format for whole disks.
    #[error("the partition's file is a {0}; convert it to a raw image")]
    Format(&'static str),
    /// The format is known, but the VMM cannot read it.
    #[error(
        "the partition's file is an Android sparse image, which is not supported by this VMM; unfold it with simg2img"
    )]
    Sparse,
    /// The header of the sparse image makes no sense.
    #[error("the partition's file has a broken Android sparse header ({0}); write the image again")]
    SparseHeader(&'static str),
    /// The partition is writable, the descriptor is not.
    #[error(
        "the partition is writable, but its descriptor is not open for reading and writing; open it so, or make the partition read-only"
    )]
    NotWritable,
    /// The descriptor does not let anyone read.
    #[error("the partition's descriptor is not open for reading; open it so")]
    NotReadable,
    /// A descriptor with the needed mode could not be made of the one given.
    #[error(
        "cannot open the partition's descriptor again as {mode}; hand over one that is opened like that"
    )]
    Reopen {
        /// The access mode that is needed.
        mode: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl Image {
    /// Looks at the first bytes of `file`, which should come from [`reopen`]: a descriptor that
    /// reads past the page cache cannot be read in small pieces.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or is neither a regular file nor a block device, and when it
    /// is an image of a whole disk (qcow2, or a composite disk) or a broken sparse image.
    pub fn detect(file: &File) -> Result<Self, FileError> {
        let size = raw_size(file)?;
        let mut buffer = [0; SPARSE_HEADER_LEN];
        let start = read_start(file, &mut buffer).map_err(FileError::Read)?;

        if start.starts_with(QCOW2_MAGIC) {
            return Err(FileError::Format("qcow2 disk image"));
        }
        if start.starts_with(COMPOSITE_MAGIC) {
            return Err(FileError::Format("composite disk, which cannot be nested"));
        }
        if start.starts_with(&ANDROID_SPARSE_MAGIC.to_le_bytes()) {
            return sparse_size(start).map(|size| Self::AndroidSparse { size });
        }
        Ok(Self::Raw { size })
    }

    /// Bytes of a partition whose file a VMM must be able to use as it is.
    ///
    /// # Errors
    ///
    /// When the image is not raw.
    pub fn raw_size(self) -> Result<u64, FileError> {
        match self {
            Self::Raw { size } => Ok(size),
            Self::AndroidSparse { .. } => Err(FileError::Sparse),
        }
    }
}

/// The same file, with a descriptor that is open for exactly what the partition needs.
///
/// QEMU takes a descriptor out of a `/dev/fdset/N` only if its access mode is the one it wants:
/// read-only for a read-only disk, read and write for a writable one. Also, a descriptor that
/// appends, or reads past the page cache, does not behave as a partition. A descriptor that fits
/// is duplicated; any other is opened again through `/proc/self/fd`, which needs the permission to
/// open the file itself.
///
/// # Errors
///
/// When `writable` and `file` is not open for reading and writing, when `file` is not open for
/// reading, and when the system refuses to open it again.
pub fn reopen(file: &File, writable: bool) -> Result<File, FileError> {
    let flags = fcntl_getfl(file).map_err(|errno| FileError::Read(errno.into()))?;
    let mode = flags & OFlags::RWMODE;
    if flags.contains(OFlags::PATH) || mode == OFlags::WRONLY {
        return Err(FileError::NotReadable);
    }
    if writable && mode != OFlags::RDWR {
        return Err(FileError::NotWritable);
    }

    let exact = writable == (mode == OFlags::RDWR);
    if exact && !flags.intersects(OFlags::APPEND | OFlags::DIRECT) {
        return file.try_clone().map_err(FileError::Read);
    }
    OpenOptions::new()
        .read(true)
        .write(writable)
        .open(format!("/proc/self/fd/{}", file.as_raw_fd()))
        .map_err(|source| FileError::Reopen {
            mode: if writable {
                "readable and writable"
            } else {
                "read-only"
            },
            source,
        })
}

fn raw_size(mut file: &File) -> Result<u64, FileError> {
    let metadata = file.metadata().map_err(FileError::Read)?;
    let kind = metadata.file_type();
    if kind.is_file() {
        return Ok(metadata.len());
    }
    if kind.is_block_device() {
        // The size in a device's inode is 0.
        let mut end = || {
            let position = file.stream_position()?;
            let end = file.seek(SeekFrom::End(0))?;
            file.seek(SeekFrom::Start(position))?;
            Ok(end)
        };
        return end().map_err(FileError::Read);
    }
    Err(FileError::Kind(if kind.is_dir() {
        "directory"
    } else if kind.is_fifo() {
        "pipe"
    } else if kind.is_socket() {
        "socket"
    } else {
        "character device"
    }))
}

/// Fills as much of `buffer` as the file has.
fn read_start<'a>(file: &File, buffer: &'a mut [u8]) -> io::Result<&'a [u8]> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(&buffer[..filled])
}

/// Bytes of the unfolded image (Android's `sparse_format.h`): all fields are little-endian; block
/// size is the u32 at 12, the number of blocks the u32 at 16.
fn sparse_size(header: &[u8]) -> Result<u64, FileError> {
    let field = |offset: usize| {
        let bytes = header.get(offset..offset + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    if header.len() < SPARSE_HEADER_LEN {
        return Err(FileError::SparseHeader("the file ends within it"));
    }
    let major = header.get(4..6);
    if major != Some(&[1, 0][..]) {
        return Err(FileError::SparseHeader("its major version is not 1"));
    }
    match (field(12), field(16)) {
        (Some(block), Some(blocks)) if block > 0 && block % 4 == 0 => {
            Ok(u64::from(block) * u64::from(blocks))
        }
        _ => Err(FileError::SparseHeader(
            "its block size is no multiple of 4",
        )),
    }
}
