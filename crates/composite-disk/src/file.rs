// SPDX-License-Identifier: Apache-2.0
//! Partition files as clients hand them over: their size, their format, their access mode.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, FileTypeExt};

use rustix::fs::{OFlags, fcntl_getfl};
use thiserror::Error;

use crate::composite::MAGIC as COMPOSITE_MAGIC;
use crate::sparse;

const QCOW2_MAGIC: &[u8] = b"QFI\xfb";

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

/// Why a file cannot be a partition.
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
    /// A sparse image leaves blocks out, so they cannot be written.
    #[error(
        "the partition is writable, but its file is an Android sparse image; unfold it with simg2img, or make the partition read-only"
    )]
    WritableSparse,
    /// The sparse image is broken.
    #[error("the partition's file is a broken Android sparse image ({0}); write the image again")]
    SparseHeader(&'static str),
    /// The partition is writable, the descriptor is not.
    #[error(
        "the partition is writable, but its descriptor is not open for reading and writing; open it for both, or make the partition read-only"
    )]
    NotWritable,
    /// The descriptor is not open for reading.
    #[error("the partition's descriptor is not open for reading; open the descriptor for reading")]
    NotReadable,
    /// The file could not be opened again with the needed access mode.
    #[error("cannot open the partition's descriptor again as {mode}")]
    Reopen {
        /// The access mode that is needed.
        mode: &'static str,
        /// The system error, and the remedy.
        #[source]
        source: io::Error,
    },
}

impl Image {
    /// Looks at the first bytes of `file`, which should come from [`reopen`]: a descriptor that
    /// uses direct I/O cannot be read in small pieces.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or is neither a regular file nor a block device, and when it
    /// is an image of a whole disk (qcow2, or a composite disk) or a broken sparse image.
    pub fn detect(file: &File) -> Result<Self, FileError> {
        let size = raw_size(file)?;
        let mut buffer = [0; sparse::HEADER_LEN];
        let start = read_start(file, &mut buffer).map_err(FileError::Read)?;

        if start.starts_with(QCOW2_MAGIC) {
            return Err(FileError::Format("qcow2 disk image"));
        }
        if start.starts_with(COMPOSITE_MAGIC) {
            return Err(FileError::Format("composite disk, which cannot be nested"));
        }
        if start.starts_with(&sparse::MAGIC.to_le_bytes()) {
            return sparse::Header::parse(start).map(|header| Self::AndroidSparse {
                size: header.size(),
            });
        }
        Ok(Self::Raw { size })
    }

    /// Bytes of the partition, as the guest sees it.
    ///
    /// # Errors
    ///
    /// When a sparse image is to be `writable`.
    pub fn size(self, writable: bool) -> Result<u64, FileError> {
        match self {
            Self::AndroidSparse { .. } if writable => Err(FileError::WritableSparse),
            Self::Raw { size } | Self::AndroidSparse { size } => Ok(size),
        }
    }

    /// Whether it is an Android sparse image.
    #[must_use]
    pub fn is_sparse(self) -> bool {
        matches!(self, Self::AndroidSparse { .. })
    }
}

/// The same file, with a descriptor that is open for exactly what the partition needs.
///
/// QEMU takes a descriptor out of a `/dev/fdset/N` only if its access mode is the one it wants:
/// read-only for a read-only disk, read and write for a writable one. Also, a descriptor that
/// appends or uses direct I/O does not behave as a partition. A descriptor that fits
/// is duplicated; any other is opened again through `/proc/self/fd`, which needs the permission to
/// open the file itself.
///
/// # Errors
///
/// When `writable` and `file` is not open for reading and writing, when `file` is not open for
/// reading, and when the system refuses to open it again.
pub fn reopen(file: &File, writable: bool) -> Result<File, FileError> {
    if has_right_mode(file, writable)? {
        return file.try_clone().map_err(FileError::Read);
    }
    open_anew(file, writable)
}

/// As [`reopen`], but opens the file again even if the descriptor fits, so that the result shares
/// neither position, nor flags, nor locks with `file`. Only where the system forbids that, a fitting
/// descriptor is duplicated. The second value tells whether the file was opened again.
///
/// # Errors
///
/// The same as those of [`reopen`].
pub fn open_own(file: &File, writable: bool) -> Result<(File, bool), FileError> {
    let fits = has_right_mode(file, writable)?;
    match open_anew(file, writable) {
        Ok(file) => Ok((file, true)),
        Err(_) if fits => Ok((file.try_clone().map_err(FileError::Read)?, false)),
        Err(error) => Err(error),
    }
}

/// Whether `file` is open for exactly what the partition needs; an error if it is open for less.
fn has_right_mode(file: &File, writable: bool) -> Result<bool, FileError> {
    let flags = fcntl_getfl(file).map_err(|errno| FileError::Read(errno.into()))?;
    let mode = flags & OFlags::RWMODE;
    if flags.contains(OFlags::PATH) || mode == OFlags::WRONLY {
        return Err(FileError::NotReadable);
    }
    if writable && mode != OFlags::RDWR {
        return Err(FileError::NotWritable);
    }
    let exact = writable == (mode == OFlags::RDWR);
    Ok(exact && !flags.intersects(OFlags::APPEND | OFlags::DIRECT))
}

fn open_anew(file: &File, writable: bool) -> Result<File, FileError> {
    // A pipe's other end may never be opened, and opening a device may do more than that.
    raw_size(file)?;
    OpenOptions::new()
        .read(true)
        .write(writable)
        .open(format!("/proc/self/fd/{}", file.as_raw_fd()))
        .map_err(|error| FileError::Reopen {
            mode: if writable {
                "readable and writable"
            } else {
                "read-only"
            },
            source: match error.kind() {
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    io::Error::new(
                        error.kind(),
                        format!("{error}; hand over one that is open in that mode alone"),
                    )
                }
                _ => error,
            },
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
