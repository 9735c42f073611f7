// SPDX-License-Identifier: Apache-2.0
//! The segments of a disk, and what can be done to a range of it.

use std::fs::File;
use std::sync::Arc;

use thiserror::Error;

/// Where the bytes of a segment come from.
#[derive(Debug)]
pub enum Content {
    /// These bytes; their number is the segment's length. Never writable.
    Bytes(Vec<u8>),
    /// A file (or block device) from its byte 0 on.
    File {
        /// Open for reading and, if `writable`, for writing; not in append mode.
        file: File,
        /// Whether the client may write here.
        writable: bool,
    },
    /// A part of a file that others of the disk may be of, too. Never writable.
    Part {
        /// Open for reading.
        file: Arc<File>,
        /// The part's first byte in the file.
        start: u64,
    },
    /// This pattern, again and again from the segment's start. Never writable.
    Fill([u8; 4]),
    /// Zeros. Never writable.
    Zero,
}

/// A range of the disk with one source.
#[derive(Debug)]
pub struct Segment {
    /// First byte on the disk. Must be the end of the segment before, or 0 for the first.
    pub offset: u64,
    /// Bytes, more than zero.
    pub length: u64,
    /// Where the bytes come from.
    pub content: Content,
}

/// Why segments do not make a disk.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SegmentError {
    /// There are none.
    #[error("a disk without segments; give it at least one")]
    None,
    /// A segment does not start where the one before ends.
    #[error(
        "segment {index} starts at byte {offset}, but the one before ends at {end}; leave no gap"
    )]
    Gap {
        /// Its place in the list, from 0.
        index: usize,
        /// Where it starts.
        offset: u64,
        /// Where it ought to start.
        end: u64,
    },
    /// A segment has no bytes, or not as many as its content.
    #[error("segment {index} has length {length}; make it more than 0 and equal to its content's")]
    Length {
        /// Its place in the list, from 0.
        index: usize,
        /// Its length.
        length: u64,
    },
    /// The end of a segment is not a valid file offset.
    #[error("segment {index} ends after byte {max}; make the disk smaller", max = i64::MAX)]
    TooLarge {
        /// Its place in the list, from 0.
        index: usize,
    },
}

/// The segments, without gaps, from byte 0.
pub(crate) struct Disk {
    segments: Vec<Segment>,
    /// For each segment, whether it was written to since it was last made durable.
    dirty: Vec<bool>,
    size: u64,
}

/// The part of a request that lies in one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) segment: usize,
    /// First byte within the segment, and so within its file.
    pub(crate) start: u64,
    pub(crate) length: u64,
}

impl Disk {
    pub(crate) fn new(segments: Vec<Segment>) -> Result<Self, SegmentError> {
        let mut end = 0u64;
        for (index, segment) in segments.iter().enumerate() {
            let Segment {
                offset,
                length,
                ref content,
            } = *segment;
            if offset != end {
                return Err(SegmentError::Gap { index, offset, end });
            }
            let right = match content {
                Content::Bytes(bytes) => bytes.len() as u64 == length,
                Content::Part { start, .. } => start
                    .checked_add(length)
                    .is_some_and(|end| i64::try_from(end).is_ok()),
                Content::File { .. } | Content::Fill(_) | Content::Zero => true,
            };
            if !right || length == 0 {
                return Err(SegmentError::Length { index, length });
            }
            end = end
                .checked_add(length)
                .filter(|end| i64::try_from(*end).is_ok())
                .ok_or(SegmentError::TooLarge { index })?;
        }
        if segments.is_empty() {
            return Err(SegmentError::None);
        }
        Ok(Self {
            dirty: vec![false; segments.len()],
            segments,
            size: end,
        })
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Whether any byte of the disk can be written.
    pub(crate) fn is_writable(&self) -> bool {
        (0..self.segments.len()).any(|index| self.writable(index).is_some())
    }

    /// Whether the range lies on the disk.
    pub(crate) fn contains(&self, offset: u64, length: u32) -> bool {
        offset
            .checked_add(u64::from(length))
            .is_some_and(|end| end <= self.size)
    }

    /// The first piece of a range; `None` if it is empty or starts after the end of the disk.
    pub(crate) fn piece(&self, offset: u64, length: u64) -> Option<Piece> {
        let index = self
            .segments
            .partition_point(|it| it.offset + it.length <= offset);
        let segment = self.segments.get(index).filter(|_| length > 0)?;
        let start = offset - segment.offset;
        Some(Piece {
            segment: index,
            start,
            length: length.min(segment.length - start),
        })
    }

    pub(crate) fn content(&self, segment: usize) -> &Content {
        &self.segments[segment].content
    }

    /// The file of a segment that can be written.
    pub(crate) fn writable(&self, segment: usize) -> Option<&File> {
        match &self.segments[segment].content {
            Content::File {
                file,
                writable: true,
            } => Some(file),
            _ => None,
        }
    }

    /// Remembers that the segment's file has data that are not durable yet.
    pub(crate) fn mark_dirty(&mut self, segment: usize) {
        self.dirty[segment] = true;
    }

    /// Makes the files durable that have been written to since this succeeded for them.
    pub(crate) fn sync_dirty<E>(&mut self, sync: impl Fn(&File) -> Result<(), E>) -> Result<(), E> {
        for (segment, dirty) in self.segments.iter().zip(&mut self.dirty) {
            if let (true, Content::File { file, .. }) = (*dirty, &segment.content) {
                sync(file)?;
                *dirty = false;
            }
        }
        Ok(())
    }
}

/// A length of something in memory, or as much of it as a pointer can express.
pub(crate) fn as_usize(length: u64) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}
