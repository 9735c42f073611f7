// SPDX-License-Identifier: Apache-2.0
//! The system's and the vendor's code are updated apart from each other, so a VM is made of one
//! side's files only: those of its client. Files that a VM writes to, and those that are made for it,
//! belong to no side.

use crate::error::{Error, Kind};
use crate::requested::{Config, Requested};
use avf_aidl::service::app_config::Payload;
use avf_aidl::service::{VirtualMachineAppConfig, VirtualMachineRawConfig};
use host::Host;
use microdroid::INSTANCE_PARTITION;
use rsbinder::ParcelFileDescriptor;
use std::os::fd::AsRawFd;
use std::path::Path;

/// The vendor's partitions.
const VENDOR: [&str; 2] = ["vendor", "odm"];
/// The vendor's image for every side's Microdroid.
const SHARED: &str = "vendor/etc/avf/microdroid/microdroid_vendor.img";

/// Refuses files of the vendor's for a client that is not the vendor's, and the other way round.
///
/// # Errors
/// [`Kind::Failure`], naming field and file.
pub fn check(requested: &Requested<'_>, host: &Host, is_vendor: bool) -> Result<(), Error> {
    let mut files = Vec::new();
    match requested.config {
        Config::Raw(raw) => of_raw(raw, &mut files),
        Config::App(app) => of_app(app, &mut files),
    }
    for (field, fd) in files {
        let link = format!("/proc/self/fd/{}", fd.as_ref().as_raw_fd());
        let path = std::fs::read_link(&link)
            .map_err(|e| Error::io(format!("{field}: cannot find out what file it is"), e))?;
        check_path(&field, &path, host.root(), is_vendor)?;
    }
    Ok(())
}

type Files<'a> = Vec<(String, &'a ParcelFileDescriptor)>;

fn of_raw<'a>(raw: &'a VirtualMachineRawConfig, files: &mut Files<'a>) {
    let boot = [
        ("kernel", &raw.kernel),
        ("initrd", &raw.initrd),
        ("bootloader", &raw.bootloader),
        ("customPvmfw", &raw.customPvmfw),
    ];
    for (field, fd) in boot {
        files.extend(fd.iter().map(|fd| (field.to_owned(), fd)));
    }
    for (number, disk) in raw.disks.iter().enumerate() {
        if let Some(image) = disk.image.as_ref().filter(|_| !disk.writable) {
            files.push((format!("disks[{number}].image"), image));
        }
        for (index, partition) in disk.partitions.iter().enumerate() {
            if let Some(image) = &partition.image
                && !partition.writable
                && partition.label != INSTANCE_PARTITION
            {
                files.push((format!("disks[{number}].partitions[{index}].image"), image));
            }
        }
    }
}

fn of_app<'a>(app: &'a VirtualMachineAppConfig, files: &mut Files<'a>) {
    files.extend(app.apk.iter().map(|fd| ("apk".to_owned(), fd)));
    if let Payload::PayloadConfig(config) = &app.payload {
        for (index, apk) in config.extraApks.iter().enumerate() {
            files.push((format!("payload.payloadConfig.extraApks[{index}]"), apk));
        }
    }
    if let Some(custom) = &app.customConfig {
        for (field, fd) in [
            ("customConfig.customKernelImage", &custom.customKernelImage),
            ("customConfig.vendorImage", &custom.vendorImage),
        ] {
            files.extend(fd.iter().map(|fd| (field.to_owned(), fd)));
        }
    }
}

fn check_path(field: &str, path: &Path, root: &Path, is_vendor: bool) -> Result<(), Error> {
    // A file that is outside the root has no side.
    let Ok(below) = path.strip_prefix(root) else {
        return Ok(());
    };
    let is_of_vendor = VENDOR.iter().any(|name| below.starts_with(name));
    if is_of_vendor == is_vendor || below == Path::new(SHARED) {
        return Ok(());
    }
    let (file, client) = if is_vendor {
        ("not on /vendor or /odm", "a client there")
    } else {
        ("on /vendor or /odm", "a client that is not there")
    };
    Err(Error::new(
        Kind::Failure,
        format!(
            "{field}: {} is {file}, so it is not for {client}",
            path.display()
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_of_the_clients_side() {
        let check =
            |path: &str, is_vendor| check_path("f", path.as_ref(), "/r".as_ref(), is_vendor);
        for (path, system, vendor) in [
            ("/r/system/kernel", true, false),
            ("/r/vendor/kernel", false, true),
            ("/r/odm/kernel", false, true),
            ("/r/vendors/kernel", true, false),
            (
                "/r/vendor/etc/avf/microdroid/microdroid_vendor.img",
                true,
                true,
            ),
            ("/elsewhere/vendor/kernel", true, true),
        ] {
            assert_eq!(check(path, false).is_ok(), system, "{path}");
            assert_eq!(check(path, true).is_ok(), vendor, "{path}");
        }
        let error = check("/r/odm/kernel", false).unwrap_err().to_string();
        assert_eq!(
            error,
            "f: /r/odm/kernel is on /vendor or /odm, so it is not for a client that is not there"
        );
    }
}
