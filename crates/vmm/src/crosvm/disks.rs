// SPDX-License-Identifier: Apache-2.0
//! Disks as crosvm's block devices. A disk of partitions is a composite disk: a file that says
//! which ranges of which files it is made of. Those files are named by their descriptors.

use super::abilities::Abilities;
use super::args::path;
use crate::Error;
use crate::launch::Launch;
use crate::plan::{Disk, Partition};
use composite_disk::{CompositeFile, Image, Layout, PARTITION_ALIGNMENT};
use std::error::Error as StdError;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The file of zeros that fills up read-only partitions, in the VM's directory.
const ZERO: &str = "zero.img";

/// Adds the disks.
pub(super) fn add(
    launch: &mut Launch,
    abilities: &Abilities,
    directory: &Path,
    disks: Vec<Disk>,
) -> Result<(), Error> {
    let mut zero = None;
    for (index, disk) in disks.into_iter().enumerate() {
        let (image, writable) = match disk {
            Disk::Image { image, writable } => {
                let what = format!("disks[{index}].image");
                (
                    checked(&image, writable, &what, abilities, directory)?.0,
                    writable,
                )
            }
            Disk::Partitions(partitions) => {
                abilities.composite_disk(&format!("disks[{index}].partitions"))?;
                composite(launch, abilities, directory, index, partitions, &mut zero)?
            }
        };
        let path = path(launch, image.into());
        launch.args([
            "--block",
            // Locks are off: whether an image may be shared is the client's business.
            &format!("path={path},ro={},lock=false", !writable),
        ]);
    }
    Ok(())
}

/// An error about a part of what the client gave.
fn invalid<E: StdError + Send + Sync + 'static>(what: String) -> impl FnOnce(E) -> Error {
    move |source| Error::InvalidDisk {
        what,
        source: Box::new(source),
    }
}

/// The image with exactly the access that is wanted, and its size as the guest sees it.
fn checked(
    image: &File,
    writable: bool,
    what: &str,
    abilities: &Abilities,
    directory: &Path,
) -> Result<(File, u64), Error> {
    let image = composite_disk::reopen(image, writable).map_err(invalid(what.to_owned()))?;
    let kind = Image::detect(&image).map_err(invalid(what.to_owned()))?;
    let size = kind.size(writable).map_err(invalid(what.to_owned()))?;
    if kind.is_sparse() {
        abilities.android_sparse(what, directory)?;
    }
    Ok((image, size))
}

/// Makes a composite disk and returns its file, and whether it can be written to.
fn composite(
    launch: &mut Launch,
    abilities: &Abilities,
    directory: &Path,
    index: usize,
    partitions: Vec<Partition>,
    zero: &mut Option<String>,
) -> Result<(File, bool), Error> {
    let mut paths = Vec::with_capacity(partitions.len());
    let mut parts = Vec::with_capacity(partitions.len());
    for partition in partitions {
        let what = format!("disks[{index}] partition '{}'", partition.label);
        let (file, size) = checked(
            &partition.image,
            partition.writable,
            &what,
            abilities,
            directory,
        )?;
        paths.push(path(launch, file.into()));
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
            .map_err(|e| Error::io(format!("write a file of disks[{index}]"), e))?;
    }
    let descriptor = composite_disk::reopen(&descriptor, false).map_err(invalid(failed()))?;
    Ok((descriptor, disk.writable))
}

/// Hands over `file` so that it can only be read.
fn read_only(launch: &mut Launch, file: &File, what: String) -> Result<String, Error> {
    let file = composite_disk::reopen(file, false).map_err(invalid(what))?;
    Ok(path(launch, file.into()))
}

/// One alignment's worth of zeros.
fn zeros(launch: &mut Launch, directory: &Path) -> Result<String, Error> {
    let file = create(directory, ZERO)?;
    file.set_len(PARTITION_ALIGNMENT)
        .map_err(|e| Error::io(format!("enlarge {ZERO}"), e))?;
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
        .map_err(|e| Error::io(format!("make {}", path.display()), e))
}
