// SPDX-License-Identifier: Apache-2.0
//! Opens the files and makes the parcelable.

use std::fs::OpenOptions;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use avf_aidl::service;
use avf_aidl::service::AssignableDeviceSelector as Selector;
use rsbinder::ParcelFileDescriptor;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::{Boot, Contents, Disk, Error, MemoryMib, Partition, VmConfig};

/// The most files that a configuration can name: one call over RPC binder carries 64 file
/// descriptors, and `createVm` takes three more for the console and the log.
pub const MAX_FILES: usize = 61;

impl VmConfig {
    /// Opens the files and makes the parcelable for `createVm`.
    ///
    /// Images and partitions that are writable are opened for reading and writing, all other files
    /// for reading. Fields that a configuration does not have keep the parcelable's defaults.
    ///
    /// # Errors
    ///
    /// Fails if a file cannot be opened, is neither a regular file nor the block device of a disk, or if
    /// there are more than [`MAX_FILES`].
    pub fn to_parcelable(&self) -> Result<service::VirtualMachineRawConfig, Error> {
        let count = self.count_files();
        if count > MAX_FILES {
            return Err(Error::TooManyFiles { count });
        }
        let (kernel, bootloader) = match &self.boot {
            Boot::Kernel(path) => (Some(open("the kernel", path, Access::Boot)?), None),
            Boot::Bootloader(path) => (None, Some(open("the bootloader", path, Access::Boot)?)),
        };
        let initrd = match &self.initrd {
            Some(path) => Some(open("the initrd", path, Access::Boot)?),
            None => None,
        };
        let disks = self
            .disks
            .iter()
            .map(Disk::to_parcelable)
            .collect::<Result<_, _>>()?;
        Ok(service::VirtualMachineRawConfig {
            name: self.name.clone().unwrap_or_default(),
            kernel,
            initrd,
            params: self.params.clone(),
            bootloader,
            disks,
            protectedVm: self.protected,
            // 0 is the VMM's default.
            memoryMib: self.memory.map_or(0, MemoryMib::as_i32),
            cpuOptions: self.cpu_topology.to_parcelable(),
            platformVersion: self.platform_version.as_str().to_owned(),
            deviceAssignmentConfig: service::DeviceAssignmentConfig {
                devices: self.devices.iter().cloned().map(Selector::ByPath).collect(),
            },
            balloon: true,
            consoleInputDevice: self
                .console_input_device
                .map(|device| device.as_str().to_owned()),
            usbConfig: self.usb.map(|usb| service::UsbConfig {
                controller: usb.controller,
                devices: Vec::new(),
            }),
            ..Default::default()
        })
    }

    fn count_files(&self) -> usize {
        let on_disks = self.disks.iter().map(|disk| match &disk.contents {
            Contents::Image(_) => 1,
            Contents::Partitions(partitions) => partitions.len(),
        });
        1 + usize::from(self.initrd.is_some()) + on_disks.sum::<usize>()
    }
}

impl Disk {
    fn to_parcelable(&self) -> Result<service::DiskImage, Error> {
        let (image, partitions) = match &self.contents {
            Contents::Image(path) => {
                let image = open("the disk image", path, Access::disk(self.writable))?;
                (Some(image), Vec::new())
            }
            Contents::Partitions(partitions) => {
                let partitions = partitions.iter().map(Partition::to_parcelable);
                (None, partitions.collect::<Result<_, _>>()?)
            }
        };
        Ok(service::DiskImage {
            image,
            writable: self.writable,
            partitions,
            id: None,
        })
    }
}

impl Partition {
    fn to_parcelable(&self) -> Result<service::Partition, Error> {
        let label = self.label.as_str();
        let role = format!("the image of the partition {label:?}");
        Ok(service::Partition {
            label: label.to_owned(),
            image: Some(open(&role, &self.path, Access::disk(self.writable))?),
            writable: self.writable,
            guid: self.guid.map(String::from),
        })
    }
}

/// How a file is opened, and what it may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    /// A regular file, for reading.
    Boot,
    /// A regular file or a block device, for reading.
    ReadDisk,
    /// The same, for reading and writing.
    WriteDisk,
}

impl Access {
    fn disk(writable: bool) -> Self {
        if writable {
            Self::WriteDisk
        } else {
            Self::ReadDisk
        }
    }
}

fn open(role: &str, path: &Path, access: Access) -> Result<ParcelFileDescriptor, Error> {
    let writable = access == Access::WriteDisk;
    let open_error = |source| Error::Open {
        role: role.to_owned(),
        file: path.to_owned(),
        writable,
        source,
    };
    // Without waiting for the other end of a FIFO, and without becoming the owner of a terminal.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new()
        .read(true)
        .write(writable)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
        .map_err(open_error)?;
    let kind = file.metadata().map_err(open_error)?.file_type();
    let is_disk = kind.is_block_device() && access != Access::Boot;
    if !kind.is_file() && !is_disk {
        return Err(Error::Kind {
            role: role.to_owned(),
            file: path.to_owned(),
            kind: if kind.is_dir() {
                "a directory"
            } else if kind.is_fifo() {
                "a FIFO"
            } else if kind.is_block_device() {
                "a block device"
            } else {
                "a character device"
            },
            wanted: if access == Access::Boot {
                "a regular file"
            } else {
                "a regular file or a block device"
            },
        });
    }
    // The VMM gets this very descriptor.
    fcntl_getfl(&file)
        .and_then(|flags| fcntl_setfl(&file, flags - OFlags::NONBLOCK))
        .map_err(|errno| open_error(errno.into()))?;
    Ok(ParcelFileDescriptor::from(file))
}
