// SPDX-License-Identifier: Apache-2.0
//! Disks as QEMU block devices.
//!
//! A disk of partitions is one GPT disk to the guest. If all partitions have the same access mode,
//! QEMU itself puts the files together, by a VMDK descriptor. It cannot do that for files of both
//! modes, and it cannot read Android sparse images; a disk with such is served by a thread of ours
//! over an inherited socket.

use super::chardev::add_fd;
use crate::Error;
use crate::launch::Launch;
use crate::plan::{Disk, Partition};
use composite_disk::{Access, Extent, ExtentContent, Image, Layout, Source, VmdkFile};
use nbd_disk::{Content, NbdDisk, Segment};
use rustix::fs::MemfdFlags;
use std::error::Error as StdError;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// What serves a disk as long as the VM runs, if something of ours does.
type Helper = Option<Box<dyn Send>>;

/// Adds disk number `index`.
pub(super) fn add(launch: &mut Launch, index: usize, disk: Disk) -> Result<Helper, Error> {
    let helper = match disk {
        Disk::Image { image, writable } => add_image(launch, index, &image, writable)?,
        Disk::Partitions(partitions) => add_partitions(launch, index, partitions)?,
    };
    launch.args(["-device", &format!("virtio-blk-pci,drive=disk{index}")]);
    Ok(helper)
}

/// An error about a part of what the client gave.
fn invalid<E: StdError + Send + Sync + 'static>(what: String) -> impl FnOnce(E) -> Error {
    move |source| Error::InvalidDisk {
        what,
        source: Box::new(source),
    }
}

fn add_image(
    launch: &mut Launch,
    index: usize,
    image: &File,
    writable: bool,
) -> Result<Helper, Error> {
    let what = || format!("disks[{index}].image");
    let image = composite_disk::reopen(image, writable).map_err(invalid(what()))?;
    let kind = Image::detect(&image).map_err(invalid(what()))?;
    kind.size(writable).map_err(invalid(what()))?;
    if kind.is_sparse() {
        let mut segments = Vec::new();
        unfold(&mut segments, image, &what())?;
        return serve(launch, index, segments, false).map(Some);
    }
    let set = add_fd(launch, image.into());
    launch.args([
        "-blockdev",
        // Locks are off: whether an image may be shared is the client's business.
        &format!(
            "driver=file,node-name=disk{index},filename=/dev/fdset/{set},locking=off,read-only={}",
            on_off(!writable)
        ),
    ]);
    Ok(None)
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
    index: usize,
    partitions: Vec<Partition>,
) -> Result<Helper, Error> {
    let mut files = Vec::with_capacity(partitions.len());
    let mut parts = Vec::with_capacity(partitions.len());
    for partition in partitions {
        let what = || format!("disks[{index}] partition '{}'", partition.label);
        let file = composite_disk::reopen(&partition.image, partition.writable)
            .map_err(invalid(what()))?;
        let kind = Image::detect(&file).map_err(invalid(what()))?;
        let size = kind.size(partition.writable).map_err(invalid(what()))?;
        files.push(PartitionFile {
            file,
            is_sparse: kind.is_sparse(),
            what: what(),
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
    // The descriptor names sets, and a set's number is that of its descriptor, so the files that
    // are made of the layout need their descriptors before their content.
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
        // Every number is one of ours; no set has the number -1.
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
            .map_err(|e| Error::io(format!("write a descriptor of disks[{index}]"), e))?;
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
    rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC)
        .map_err(|e| Error::io(format!("make a file in memory, {name}"), e))
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
    let (server, socket) =
        NbdDisk::start(&format!("disk{index}"), segments).map_err(|e| Error::InvalidDisk {
            what: format!("disks[{index}]"),
            source: Box::new(e),
        })?;
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
