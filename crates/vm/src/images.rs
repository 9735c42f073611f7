// SPDX-License-Identifier: Apache-2.0
//! `vm create-partition` and `vm create-idsig`: files that the manager fills.

use crate::cli::images::{CreateIdsigArgs, CreatePartitionArgs, PartitionKind};
use crate::manager;
use crate::size::Size;
use anyhow::{Context, Result};
use std::fs::{self, File, OpenOptions};
use std::path::Path;
use std::process::ExitCode;
use vmclient::Manager;
use vmclient::avf_aidl::service::PartitionType;
use vmclient::rsbinder::ParcelFileDescriptor;

/// Makes a partition image.
pub(crate) fn create_partition(args: &CreatePartitionArgs) -> Result<ExitCode> {
    let program = manager::locate(&args.manager, false)?;
    let manager = manager::start_quietly(&program)?;
    let kind = match args.kind {
        PartitionKind::Raw => PartitionType::RAW,
        PartitionKind::Instance => PartitionType::ANDROID_VM_INSTANCE,
        PartitionKind::Encryptedstore => PartitionType::ENCRYPTEDSTORE,
    };
    new_partition(&manager, &args.path, args.size, kind)?;
    Ok(ExitCode::SUCCESS)
}

/// Makes or updates an idsig file.
pub(crate) fn create_idsig(args: &CreateIdsigArgs) -> Result<ExitCode> {
    let program = manager::locate(&args.manager, false)?;
    let manager = manager::start_quietly(&program)?;
    update_idsig(&manager, &args.apk, &args.path)?;
    Ok(ExitCode::SUCCESS)
}

/// Makes the partition image `path`, which must not be there. It is not left half made.
///
/// # Errors
/// If the file is there or cannot be made, or the manager refuses.
pub(crate) fn new_partition(
    manager: &Manager,
    path: &Path,
    size: Size,
    kind: PartitionType,
) -> Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(path)
        .with_context(|| format!("make {} (what is there is not overwritten)", path.display()))?;
    let filled = || -> Result<()> {
        let descriptor = ParcelFileDescriptor::new(file.try_clone()?);
        manager
            .service()
            .initializeWritablePartition(&descriptor, size.as_i64(), kind)
            .map_err(|status| manager::refused("initializeWritablePartition", status))
    };
    match filled() {
        Ok(()) => Ok(file),
        Err(e) => {
            // It was made here, and is of no use.
            let _ = fs::remove_file(path);
            Err(e.context(format!("make the partition {}", path.display())))
        }
    }
}

/// The partition image `path`, which is made if it is not there.
///
/// # Errors
/// As for [`new_partition`], or if it cannot be opened for writing.
pub(crate) fn partition(
    manager: &Manager,
    path: &Path,
    size: Size,
    kind: PartitionType,
) -> Result<File> {
    if path.exists() {
        writable(path, false)
    } else {
        new_partition(manager, path, size, kind)
    }
}

/// Makes or updates the idsig file `path` of `apk`.
///
/// # Errors
/// If a file cannot be opened, or the manager refuses.
pub(crate) fn update_idsig(manager: &Manager, apk: &Path, path: &Path) -> Result<File> {
    let input = open(apk)?;
    let file = writable(path, true)?;
    manager
        .service()
        .createOrUpdateIdsigFile(
            &ParcelFileDescriptor::new(input),
            &ParcelFileDescriptor::new(file.try_clone()?),
        )
        .map_err(|status| manager::refused("createOrUpdateIdsigFile", status))
        .with_context(|| format!("make the idsig {} of {}", path.display(), apk.display()))?;
    Ok(file)
}

/// A file for reading.
///
/// # Errors
/// If it cannot be opened.
pub(crate) fn open(path: &Path) -> Result<File> {
    File::open(path).with_context(|| format!("open {}", path.display()))
}

fn writable(path: &Path, create: bool) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(create)
        .truncate(false)
        .open(path)
        .with_context(|| format!("open {} for writing", path.display()))
}
