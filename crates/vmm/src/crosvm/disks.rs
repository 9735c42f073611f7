// SPDX-License-Identifier: Apache-2.0
//! Disks as crosvm's block devices. A disk of partitions is a composite disk: a file that lists the
//! ranges of files that the disk is made of. Those files are named by their descriptors.

use super::abilities::Abilities;
use super::unsupported;
use super::value::value;
use crate::Error;
use crate::images::{Images, OpenImage, invalid};
use crate::launch::Launch;
use crate::plan::{Disk, DiskContent, Partition};
use composite_disk::{CompositeFile, Layout, PARTITION_ALIGNMENT, SECTOR};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The file of zeros that pads read-only partitions, in the VM's directory.
const ZERO: &str = "zero.img";

/// Adds the disks.
pub(super) fn add(
    launch: &mut Launch,
    images: &mut Images,
    abilities: &Abilities,
    directory: &Path,
    disks: Vec<Disk>,
) -> Result<(), Error> {
    let mut zero = None;
    for (index, disk) in disks.into_iter().enumerate() {
        let (image, writable) = match disk.content {
            DiskContent::Image { image, writable } => {
                let field = format!("disks[{index}].image");
                let image = open(images, &image, writable, &field, abilities, directory)?;
                (whole(image, &field)?, writable)
            }
            DiskContent::Partitions(partitions) => {
                abilities.composite_disk(&format!("disks[{index}].partitions"))?;
                let mut open = |image: &File, writable, field: &str| {
                    open(images, image, writable, field, abilities, directory)
                };
                composite(launch, &mut open, directory, index, partitions, &mut zero)?
            }
        };
        let path = launch.pass_path(image.into());
        // The file that crosvm inherits is locked already.
        let mut values = format!("path={path},ro={},lock=false", !writable);
        if let Some(id) = &disk.id {
            values.push_str(",id=");
            values.push_str(&value(id));
        }
        launch.args(["--block", &values]);
    }
    Ok(())
}

/// Opens an image; a sparse one only if this build of crosvm unfolds it.
fn open(
    images: &mut Images,
    image: &File,
    writable: bool,
    field: &str,
    abilities: &Abilities,
    directory: &Path,
) -> Result<OpenImage, Error> {
    let image = images.open(image, writable, field)?;
    if image.kind.is_sparse() {
        abilities.android_sparse(field, directory)?;
    }
    Ok(image)
}

/// A whole image. crosvm drops the bytes of an incomplete last sector.
fn whole(image: OpenImage, field: &str) -> Result<File, Error> {
    if image.kind.is_sparse() && !image.size.is_multiple_of(SECTOR) {
        return Err(unsupported(format!(
            "{field}: the unfolded image has {} bytes, which is not a multiple of {SECTOR}; make the image with blocks of 4096 bytes",
            image.size
        )));
    }
    Ok(image.file)
}

/// Makes a composite disk and returns its file, and whether it can be written to.
fn composite(
    launch: &mut Launch,
    open: &mut dyn FnMut(&File, bool, &str) -> Result<OpenImage, Error>,
    directory: &Path,
    index: usize,
    partitions: Vec<Partition>,
    zero: &mut Option<String>,
) -> Result<(File, bool), Error> {
    let mut paths = Vec::with_capacity(partitions.len());
    let mut parts = Vec::with_capacity(partitions.len());
    for partition in partitions {
        let field = format!("disks[{index}] partition '{}'", partition.label);
        let OpenImage { file, size, .. } = open(&partition.image, partition.writable, &field)?;
        paths.push(launch.pass_path(file.into()));
        parts.push(composite_disk::Partition {
            label: partition.label,
            size,
            writable: partition.writable,
            guid: partition.guid,
        });
    }
    let failed = || format!("disks[{index}]");
    let layout = Layout::new(&parts).map_err(invalid(failed()))?;
    let zero = match zero {
        Some(path) => path.clone(),
        None => zero.insert(zeros(launch, directory)?).clone(),
    };
    let header = create(directory, &format!("composite-{index}-header.img"))?;
    let footer = create(directory, &format!("composite-{index}-footer.img"))?;
    let header_path = read_only(launch, &header, failed())?;
    let footer_path = read_only(launch, &footer, failed())?;
    let disk = composite_disk::composite(&layout, |file| match file {
        CompositeFile::Header => header_path.clone(),
        CompositeFile::Footer => footer_path.clone(),
        CompositeFile::Zero => zero.clone(),
        // A layout has the partitions that it was made of.
        CompositeFile::Partition(number) => paths.get(number).cloned().unwrap_or_default(),
    })
    .map_err(invalid(failed()))?;
    let descriptor = create(directory, &format!("composite-{index}.img"))?;
    for (mut file, content) in [
        (&header, &disk.header),
        (&footer, &disk.footer),
        (&descriptor, &disk.descriptor),
    ] {
        file.write_all(content)
            .map_err(|e| Error::io(format!("cannot write a file of disks[{index}]"), e))?;
    }
    let descriptor = composite_disk::reopen(&descriptor, false).map_err(invalid(failed()))?;
    Ok((descriptor, disk.writable))
}

/// Hands over `file` so that it can only be read.
fn read_only(launch: &mut Launch, file: &File, what: String) -> Result<String, Error> {
    let file = composite_disk::reopen(file, false).map_err(invalid(what))?;
    Ok(launch.pass_path(file.into()))
}

/// One alignment's worth of zeros.
fn zeros(launch: &mut Launch, directory: &Path) -> Result<String, Error> {
    let file = create(directory, ZERO)?;
    file.set_len(PARTITION_ALIGNMENT)
        .map_err(|e| Error::io(format!("cannot enlarge {ZERO}"), e))?;
    read_only(launch, &file, ZERO.into())
}

/// Makes a file in the VM's directory.
fn create(directory: &Path, name: &str) -> Result<File, Error> {
    let path = directory.join(name);
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .map_err(|e| Error::io(format!("cannot make {}", path.display()), e))
}
