// SPDX-License-Identifier: Apache-2.0
//! Disks as QEMU block devices.
//!
//! A disk of partitions is one GPT disk to the guest. If all partitions have the same access mode,
//! QEMU itself puts the files together, by a VMDK descriptor. It cannot do that for files of both
//! modes, nor read Android sparse images: a thread of this process serves a disk that has any of
//! these, over an inherited socket.

use super::args::escape;
use super::chardev::add_fd;
use crate::Error;
use crate::images::{Images, OpenImage, invalid};
use crate::launch::Launch;
use crate::plan::{Disk, DiskContent, Partition};
use composite_disk::{Access, Extent, ExtentContent, Layout, SECTOR, Source, VmdkFile};
use nbd_disk::{Content, NbdDisk, Segment};
use rustix::fs::MemfdFlags;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// What serves a disk as long as the VM runs, if something of ours does.
type Helper = Option<Box<dyn Send>>;

/// The disk whose node has this name.
pub(super) fn index_of(node: &str) -> Option<usize> {
    node.strip_prefix("disk")?.parse().ok()
}

/// Adds disk number `index`.
pub(super) fn add(
    launch: &mut Launch,
    images: &mut Images,
    index: usize,
    disk: Disk,
) -> Result<Helper, Error> {
    let helper = match disk.content {
        DiskContent::Image { image, writable } => {
            let image = images.open(&image, writable, &format!("disks[{index}].image"))?;
            add_image(launch, index, image, writable)?
        }
        DiskContent::Partitions(partitions) => add_partitions(launch, images, index, partitions)?,
    };
    // A guest cannot do anything about a full file system of the host, so it is paused until there
    // is room. Any other error is the guest's to see.
    let mut device = format!("virtio-blk-pci,drive=disk{index},werror=enospc,rerror=report");
    if let Some(id) = &disk.id {
        device.push_str(",serial=");
        device.push_str(&escape(id));
    }
    launch.args(["-device", &device]);
    Ok(helper)
}

fn add_image(
    launch: &mut Launch,
    index: usize,
    image: OpenImage,
    writable: bool,
) -> Result<Helper, Error> {
    if image.kind.is_sparse() {
        let segments = whole_sparse(image.file, &format!("disks[{index}].image"))?;
        return serve(launch, index, segments, false).map(Some);
    }
    add_file(launch, &format!("disk{index}"), image, writable);
    Ok(None)
}

/// Adds the block node `name`, which is a whole raw file.
pub(super) fn add_file(launch: &mut Launch, name: &str, image: OpenImage, writable: bool) {
    let set = add_fd(launch, image.file.into());
    launch.args([
        "-blockdev",
        // QEMU's own locks are off: the file that it inherits is locked already.
        &format!(
            "driver=file,node-name={name},filename=/dev/fdset/{set},locking=off,read-only={}",
            on_off(!writable)
        ),
    ]);
}

/// The ranges of a sparse image that is a whole disk: a guest reads no incomplete sector, so the
/// last one is filled up.
fn whole_sparse(image: File, what: &str) -> Result<Vec<Segment>, Error> {
    let mut segments = Vec::new();
    unfold(&mut segments, image, what)?;
    let offset = segments.last().map_or(0, |last| last.offset + last.length);
    let length = offset.next_multiple_of(SECTOR) - offset;
    if length > 0 {
        segments.push(Segment {
            offset,
            length,
            content: Content::Zero,
        });
    }
    Ok(segments)
}

/// Adds the ranges of a sparse image.
fn unfold(segments: &mut Vec<Segment>, image: File, what: &str) -> Result<(), Error> {
    let extents = composite_disk::unfold(&image).map_err(invalid(what.to_owned()))?;
    let image = Arc::new(image);
    let mut offset = segments.last().map_or(0, |last| last.offset + last.length);
    for Extent { length, content } in extents {
        segments.push(Segment {
            offset,
            length,
            content: match content {
                ExtentContent::File { start } => Content::Part {
                    file: Arc::clone(&image),
                    start,
                },
                ExtentContent::Fill(pattern) => Content::Fill(pattern),
                ExtentContent::Zero => Content::Zero,
            },
        });
        offset += length;
    }
    Ok(())
}

fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

fn add_partitions(
    launch: &mut Launch,
    images: &mut Images,
    index: usize,
    partitions: Vec<Partition>,
) -> Result<Helper, Error> {
    let mut files = Vec::with_capacity(partitions.len());
    let mut parts = Vec::with_capacity(partitions.len());
    for partition in partitions {
        let what = format!("disks[{index}] partition '{}'", partition.label);
        let OpenImage { file, kind, size } =
            images.open(&partition.image, partition.writable, &what)?;
        files.push(PartitionFile {
            file,
            is_sparse: kind.is_sparse(),
            what,
        });
        parts.push(composite_disk::Partition {
            label: partition.label,
            size,
            writable: partition.writable,
            guid: partition.guid,
        });
    }
    let layout = Layout::new(&parts).map_err(invalid(format!("disks[{index}]")))?;
    if layout.access() == Access::Mixed || files.iter().any(|file| file.is_sparse) {
        add_nbd(launch, index, layout, files).map(Some)
    } else {
        add_vmdk(launch, index, &layout, files).map(|()| None)
    }
}

/// The file of a partition.
struct PartitionFile {
    file: File,
    is_sparse: bool,
    /// The field, for errors.
    what: String,
}

/// The disk as a descriptor that QEMU reads: it opens the files itself.
fn add_vmdk(
    launch: &mut Launch,
    index: usize,
    layout: &Layout,
    files: Vec<PartitionFile>,
) -> Result<(), Error> {
    let writable = layout.access() == Access::Writable;
    let failed = || format!("disks[{index}]");
    // The descriptor names fd sets, and a set has the number of its descriptor. So the files that are
    // made from the layout need their descriptors before their content.
    let header = memfd("gpt-header")?;
    let footer = memfd("gpt-footer")?;
    let sets: Vec<i32> = files
        .into_iter()
        .map(|partition| add_fd(launch, partition.file.into()))
        .collect();
    let reopen = |fd: &OwnedFd| -> Result<OwnedFd, Error> {
        let file = fd
            .try_clone()
            .map(File::from)
            .map_err(|e| Error::io(failed(), e))?;
        composite_disk::reopen(&file, writable)
            .map(OwnedFd::from)
            .map_err(invalid(failed()))
    };
    let header_set = add_fd(launch, reopen(&header)?);
    let footer_set = add_fd(launch, reopen(&footer)?);
    let vmdk = composite_disk::vmdk(layout, |file| {
        let set = match file {
            VmdkFile::Header => Some(header_set),
            VmdkFile::Footer => Some(footer_set),
            VmdkFile::Partition(number) => sets.get(number).copied(),
        };
        // Every number is known here; no set has the number -1.
        format!("/dev/fdset/{}", set.unwrap_or(-1))
    })
    .map_err(invalid(failed()))?;
    let descriptor = memfd("vmdk")?;
    for (fd, content) in [
        (&header, &vmdk.header[..]),
        (&footer, &vmdk.footer),
        (&descriptor, vmdk.descriptor.as_bytes()),
    ] {
        fd.try_clone()
            .and_then(|fd| File::from(fd).write_all(content))
            .map_err(|e| Error::io(format!("cannot write a descriptor of disks[{index}]"), e))?;
    }
    let set = add_fd(launch, reopen(&descriptor)?);
    launch.args([
        "-blockdev",
        &format!(
            "driver=vmdk,node-name=disk{index},read-only={},file.driver=file,file.filename=/dev/fdset/{set}",
            on_off(!writable)
        ),
    ]);
    Ok(())
}

/// A file in memory.
fn memfd(name: &str) -> Result<OwnedFd, Error> {
    rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC).map_err(|e| {
        Error::io(
            format!("cannot make a file in memory ({name}); a sandbox must allow memfd_create"),
            e,
        )
    })
}

/// The disk as a server in this process, which enforces the access mode of each partition.
fn add_nbd(
    launch: &mut Launch,
    index: usize,
    layout: Layout,
    files: Vec<PartitionFile>,
) -> Result<Box<dyn Send>, Error> {
    let writable = layout.access() != Access::ReadOnly;
    let mut files: Vec<Option<PartitionFile>> = files.into_iter().map(Some).collect();
    let mut segments = Vec::new();
    for component in layout.components {
        let content = match component.source {
            Source::Header(bytes) | Source::Footer(bytes) => Content::Bytes(bytes),
            Source::Zero => Content::Zero,
            Source::Partition(number) => match files.get_mut(number).and_then(Option::take) {
                Some(partition) if partition.is_sparse => {
                    unfold(&mut segments, partition.file, &partition.what)?;
                    continue;
                }
                Some(partition) => Content::File {
                    file: partition.file,
                    writable: component.writable,
                },
                // A layout has each partition once.
                None => Content::Zero,
            },
        };
        segments.push(Segment {
            offset: component.offset,
            length: component.length,
            content,
        });
    }
    serve(launch, index, segments, writable)
}

/// Starts the server of a disk and adds the disk.
fn serve(
    launch: &mut Launch,
    index: usize,
    segments: Vec<Segment>,
    writable: bool,
) -> Result<Box<dyn Send>, Error> {
    let (server, socket) = NbdDisk::start(&format!("disk{index}"), segments)
        .map_err(invalid(format!("disks[{index}]")))?;
    let fd = launch.pass(socket);
    launch.args([
        "-blockdev",
        &format!(
            "driver=nbd,node-name=disk{index},server.type=fd,server.str={fd},export=disk,read-only={}",
            on_off(!writable)
        ),
    ]);
    Ok(Box::new(server))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_sparse_image_ends_with_a_whole_sector() {
        // 13 blocks of 1000 bytes that are not stored.
        let mut image = tempfile::tempfile().unwrap();
        for word in [0xed26_ff3a_u32, 1, 28 | 12 << 16, 1000, 13, 1, 0] {
            image.write_all(&word.to_le_bytes()).unwrap();
        }
        for word in [0xcac3_u32, 13, 12] {
            image.write_all(&word.to_le_bytes()).unwrap();
        }
        let segments = whole_sparse(image, "disks[0].image").unwrap();
        let last = segments.last().unwrap();
        assert_eq!(last.offset + last.length, 26 * 512);
        assert_eq!((last.offset, last.length), (13000, 312));
    }
}
