// SPDX-License-Identifier: Apache-2.0
//! Android sparse images: files that leave out repeated or unimportant blocks of a partition. The
//! format is that of `sparse_format.h` of Android's libsparse; all its numbers are little-endian.
//!
//! | file header | bytes | chunk header | bytes |
//! | --- | --- | --- | --- |
//! | magic 0xed26ff3a | 0 to 4 | type: raw 0xcac1, fill 0xcac2, don't care 0xcac3, CRC 0xcac4 | 0 to 2 |
//! | major version 1, minor version | 4 to 8 | reserved | 2 to 4 |
//! | length of this header, of chunk headers | 8 to 12 | blocks of the partition | 4 to 8 |
//! | bytes of a block | 12 to 16 | bytes in the file, with this header | 8 to 12 |
//! | blocks, chunks | 16 to 24 | | |
//! | checksum, not used | 24 to 28 | | |

use crate::FileError;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};

/// The magic number.
pub(crate) const MAGIC: u32 = 0xed26_ff3a;
/// Bytes of the file header, at least.
pub(crate) const HEADER_LEN: usize = 28;
/// Bytes of a chunk header, at least.
const CHUNK_HEADER_LEN: usize = 12;

const RAW: u16 = 0xcac1;
const FILL: u16 = 0xcac2;
const DONT_CARE: u16 = 0xcac3;
const CRC: u16 = 0xcac4;

/// Bytes of a fill's pattern and of a checksum.
const WORD: u64 = 4;
/// The most extents that an image may have: each takes memory as long as its VM lives.
pub const MAX_EXTENTS: usize = 1 << 18;

/// A range of the unfolded image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Bytes, more than zero.
    pub length: u64,
    /// What they are.
    pub content: ExtentContent,
}

/// The bytes of an [`Extent`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtentContent {
    /// Those of the file from this byte on.
    File {
        /// The first byte in the file.
        start: u64,
    },
    /// This pattern, again and again.
    Fill([u8; 4]),
    /// Zeros. What the image does not care about reads as zeros, too.
    Zero,
}

/// The head of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    header_len: u16,
    chunk_header_len: u16,
    block: u32,
    blocks: u32,
    chunks: u32,
}

fn broken<T>(what: &'static str) -> Result<T, FileError> {
    Err(FileError::SparseHeader(what))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(
        bytes.get(at..at.checked_add(2)?)?.try_into().ok()?,
    ))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(
        bytes.get(at..at.checked_add(4)?)?.try_into().ok()?,
    ))
}

impl Header {
    /// Reads the head of a file that begins with the magic number.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, FileError> {
        let fields = || {
            Some((
                u16_at(bytes, 4)?,
                Self {
                    header_len: u16_at(bytes, 8)?,
                    chunk_header_len: u16_at(bytes, 10)?,
                    block: u32_at(bytes, 12)?,
                    blocks: u32_at(bytes, 16)?,
                    chunks: u32_at(bytes, 20)?,
                },
            ))
        };
        let Some((major, header)) = fields().filter(|_| bytes.len() >= HEADER_LEN) else {
            return broken("the file ends within its header");
        };
        if major != 1 {
            return broken("its major version is not 1");
        }
        if usize::from(header.header_len) < HEADER_LEN {
            return broken("its header has less than 28 bytes");
        }
        if usize::from(header.chunk_header_len) < CHUNK_HEADER_LEN {
            return broken("its chunk headers have less than 12 bytes");
        }
        if header.block == 0 || header.block % 4 != 0 {
            return broken("its block size is not a multiple of 4");
        }
        Ok(header)
    }

    /// Bytes of the unfolded image.
    pub(crate) fn size(self) -> u64 {
        u64::from(self.block) * u64::from(self.blocks)
    }
}

/// The extents of the sparse image `file`, from its first byte to its last, without gaps. The
/// image's data are not read.
///
/// # Errors
///
/// When the file cannot be read, is not a sparse image, or its parts do not fit together, and when it
/// has more than [`MAX_EXTENTS`] parts.
pub fn unfold(file: &File) -> Result<Vec<Extent>, FileError> {
    let length = file.metadata().map_err(FileError::Read)?.len();
    let mut reader = BufReader::new(file);
    reader.rewind().map_err(FileError::Read)?;
    let mut bytes = [0; HEADER_LEN];
    read(&mut reader, &mut bytes)?;
    if u32_at(&bytes, 0) != Some(MAGIC) {
        return broken("it does not begin with the format's number");
    }
    let header = Header::parse(&bytes)?;
    let mut chunks = Chunks {
        reader,
        header,
        at: u64::from(header.header_len),
        length,
    };
    let mut extents: Vec<Extent> = Vec::new();
    let mut blocks = 0u64;
    for _ in 0..header.chunks {
        let Some(extent) = chunks.next()? else {
            continue;
        };
        blocks += extent.length / u64::from(header.block);
        if blocks > u64::from(header.blocks) {
            return broken("its chunks have more blocks than the image");
        }
        match extents.last_mut() {
            Some(last) if joins(last, &extent) => last.length += extent.length,
            _ => extents.push(extent),
        }
        if extents.len() > MAX_EXTENTS {
            return broken("it has too many chunks");
        }
    }
    if blocks != u64::from(header.blocks) {
        return broken("its chunks have fewer blocks than the image");
    }
    Ok(extents)
}

/// Whether two extents are one.
fn joins(first: &Extent, second: &Extent) -> bool {
    !matches!(first.content, ExtentContent::File { .. }) && first.content == second.content
}

fn read(reader: &mut impl Read, bytes: &mut [u8]) -> Result<(), FileError> {
    reader.read_exact(bytes).map_err(|error| {
        if error.kind() == std::io::ErrorKind::UnexpectedEof {
            FileError::SparseHeader("the file ends within it")
        } else {
            FileError::Read(error)
        }
    })
}

/// The chunks of an image, one after another.
struct Chunks<'a> {
    reader: BufReader<&'a File>,
    header: Header,
    /// Where the next chunk's header is in the file.
    at: u64,
    /// Bytes of the file.
    length: u64,
}

impl Chunks<'_> {
    /// The next chunk; `None` for one without blocks.
    fn next(&mut self) -> Result<Option<Extent>, FileError> {
        let data = self.at.checked_add(u64::from(self.header.chunk_header_len));
        let Some(data) = data.filter(|data| *data <= self.length) else {
            return broken("the file ends within its chunks");
        };
        self.seek(self.at)?;
        let mut bytes = [0; CHUNK_HEADER_LEN];
        read(&mut self.reader, &mut bytes)?;
        let (Some(kind), Some(blocks), Some(total)) =
            (u16_at(&bytes, 0), u32_at(&bytes, 4), u32_at(&bytes, 8))
        else {
            return broken("the file ends within its chunks");
        };
        let length = u64::from(blocks) * u64::from(self.header.block);
        let Some(stored) = u64::from(total).checked_sub(u64::from(self.header.chunk_header_len))
        else {
            return broken("a chunk is shorter than its header");
        };
        let end = data.checked_add(stored);
        let Some(end) = end.filter(|end| *end <= self.length) else {
            return broken("the file ends within a chunk");
        };
        self.at = end;
        let wanted = match kind {
            RAW => length,
            FILL | CRC => WORD,
            DONT_CARE => 0,
            _ => return broken("it has a chunk of an unknown type"),
        };
        if stored != wanted {
            return broken("a chunk's length does not fit its type");
        }
        let content = match kind {
            RAW => ExtentContent::File { start: data },
            FILL => {
                self.seek(data)?;
                let mut pattern = [0; 4];
                read(&mut self.reader, &mut pattern)?;
                if pattern == [0; 4] {
                    ExtentContent::Zero
                } else {
                    ExtentContent::Fill(pattern)
                }
            }
            DONT_CARE => ExtentContent::Zero,
            // A checksum has no blocks, whatever it says.
            _ => return Ok(None),
        };
        Ok((length > 0).then_some(Extent { length, content }))
    }

    /// Goes to `position`, without giving up what has been read ahead.
    fn seek(&mut self, position: u64) -> Result<(), FileError> {
        let now = self.reader.stream_position().map_err(FileError::Read)?;
        let steps = i64::try_from(i128::from(position) - i128::from(now));
        match steps {
            Ok(steps) => self.reader.seek_relative(steps).map_err(FileError::Read),
            Err(_) => self
                .reader
                .seek(SeekFrom::Start(position))
                .map(drop)
                .map_err(FileError::Read),
        }
    }
}
