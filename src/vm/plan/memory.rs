// SPDX-License-Identifier: Apache-2.0
//! The guest's memory: its size, the buffer of a protected VM's devices, parts of it that are files.

use super::invalid;
use crate::error::Error;
use crate::fd::file;
use avf_aidl::service::CustomMemoryBackingFile;
use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat};
use std::fs::File;
use std::num::NonZeroU32;
use vmm::plan::MemoryFile;

/// Memory of a guest whose config names none, in MiB.
const DEFAULT_MIB: i32 = 256;
/// The most parts of the guest's memory that are files.
const MAX_FILES: usize = 64;

/// The guest's memory in MiB.
pub(super) fn size(mib: i32) -> Result<NonZeroU32, Error> {
    let mib = if mib == 0 { DEFAULT_MIB } else { mib };
    u32::try_from(mib)
        .ok()
        .and_then(NonZeroU32::new)
        .ok_or_else(|| {
            invalid(format!(
                "memoryMib {mib}: it must be positive, or 0 for {DEFAULT_MIB}"
            ))
        })
}

/// The buffer of a protected VM's devices in MiB; the usual size if none is named.
pub(super) fn swiotlb(mib: i32) -> Result<Option<NonZeroU32>, Error> {
    let mib = u32::try_from(mib).map_err(|_| {
        invalid(format!(
            "swiotlbMib {mib}: it must be positive, or 0 for the usual size"
        ))
    })?;
    Ok(NonZeroU32::new(mib))
}

/// The files of `customMemoryBackingFiles`.
pub(super) fn files(list: &[CustomMemoryBackingFile]) -> Result<Vec<MemoryFile>, Error> {
    if list.len() > MAX_FILES {
        return Err(invalid(format!(
            "customMemoryBackingFiles: there are {}, at most {MAX_FILES} are allowed",
            list.len()
        )));
    }
    let mut files: Vec<MemoryFile> = Vec::with_capacity(list.len());
    for (index, config) in list.iter().enumerate() {
        let field = format!("customMemoryBackingFiles[{index}]");
        let file = memory_file(&field, config)?;
        let end = file.start.saturating_add(file.size);
        let other = files.iter().position(|other| {
            other.start < end && file.start < other.start.saturating_add(other.size)
        });
        if let Some(other) = other {
            return Err(invalid(format!(
                "{field}: {:#x} to {end:#x} overlaps customMemoryBackingFiles[{other}]; give each a range of its own",
                file.start
            )));
        }
        files.push(file);
    }
    Ok(files)
}

fn memory_file(field: &str, config: &CustomMemoryBackingFile) -> Result<MemoryFile, Error> {
    let page = u64::try_from(rustix::param::page_size()).unwrap_or(u64::MAX);
    let pages = |name: &str, value: i64, least: u64| {
        u64::try_from(value)
            .ok()
            .filter(|bytes| bytes.is_multiple_of(page) && *bytes >= least)
            .ok_or_else(|| {
                invalid(format!(
                    "{field}.{name} {value}: it must be a multiple of the page size, {page}, and {least} or more"
                ))
            })
    };
    let start = pages("rangeStart", config.rangeStart, 0)?;
    let size = pages("size", config.size, page)?;
    let given = config
        .file
        .as_ref()
        .ok_or_else(|| invalid(format!("{field}.file: it is missing")))?;
    let field = format!("{field}.file");
    let file = file(&field, given)?;
    check_file(&field, &file, size)?;
    Ok(MemoryFile { file, start, size })
}

/// The guest writes to all of it, and a file that ends before would end the VMM with a bus error.
fn check_file(field: &str, file: &File, size: u64) -> Result<(), Error> {
    let flags =
        fcntl_getfl(file).map_err(|e| Error::io(format!("cannot read the flags of {field}"), e))?;
    if flags.contains(OFlags::PATH) || flags & OFlags::ACCMODE != OFlags::RDWR {
        return Err(invalid(format!(
            "{field}: its descriptor must be open for reading and writing"
        )));
    }
    let stat = fstat(file).map_err(|e| Error::io(format!("cannot stat {field}"), e))?;
    let is_regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    let length = u64::try_from(stat.st_size).unwrap_or(0);
    if is_regular && length < size {
        return Err(invalid(format!(
            "{field}: it has {length} bytes, fewer than size, {size}; enlarge it"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use rsbinder::ParcelFileDescriptor;

    fn backing(start: i64, size: i64) -> CustomMemoryBackingFile {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 20).unwrap();
        CustomMemoryBackingFile {
            file: Some(ParcelFileDescriptor::new(file)),
            rangeStart: start,
            size,
        }
    }

    fn fault(list: &[CustomMemoryBackingFile], part: &str) {
        let error = files(list).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{error}");
        let text = error.to_string();
        assert!(text.contains(part), "{text:?} does not contain {part:?}");
    }

    #[test]
    fn sizes() {
        assert_eq!(size(0).unwrap().get(), 256);
        assert_eq!(size(7).unwrap().get(), 7);
        assert!(size(-1).unwrap_err().to_string().contains("memoryMib -1"));
        assert_eq!(swiotlb(0).unwrap(), None);
        assert_eq!(swiotlb(64).unwrap(), NonZeroU32::new(64));
        let error = swiotlb(-1).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        assert!(error.to_string().starts_with("swiotlbMib -1: "), "{error}");
    }

    #[test]
    fn parts_of_memory_are_pages_that_do_not_overlap() {
        let list = [backing(0x20_0000, 0x2000), backing(0x20_2000, 0x1000)];
        let parts = files(&list).unwrap();
        assert_eq!((parts[1].start, parts[1].size), (0x20_2000, 0x1000));
        fault(
            &[backing(0x20_0000, 0x2000), backing(0x20_1000, 0x1000)],
            "customMemoryBackingFiles[1]: 0x201000 to 0x202000 overlaps customMemoryBackingFiles[0]",
        );
        fault(&[backing(-4096, 4096)], "[0].rangeStart -4096: ");
        fault(&[backing(1, 4096)], "[0].rangeStart 1: ");
        fault(&[backing(0, 0)], "[0].size 0: ");
        fault(&[backing(0, -4096)], "[0].size -4096: ");
        fault(&[backing(0, 4097)], "[0].size 4097: ");
        fault(&[backing(0, 2 << 20)], "[0].file: it has 1048576 bytes");
    }

    #[test]
    fn parts_of_memory_are_files_that_can_be_written() {
        let none = CustomMemoryBackingFile {
            file: None,
            ..backing(0, 4096)
        };
        fault(&[none], "[0].file: it is missing");
        let read_only = CustomMemoryBackingFile {
            file: Some(ParcelFileDescriptor::new(
                File::open("/proc/self/exe").unwrap(),
            )),
            ..backing(0, 4096)
        };
        fault(&[read_only], "must be open for reading and writing");
    }
}
