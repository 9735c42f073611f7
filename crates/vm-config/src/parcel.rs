// SPDX-License-Identifier: Apache-2.0
//! The way to the parcelable: opens the files.

use std::fs::OpenOptions;
use std::path::Path;

use avf_aidl::service;
use rsbinder::ParcelFileDescriptor;

use crate::{Boot, Contents, CpuTopology, Disk, Error, MemoryMib, Partition, VmConfig};

/// The most files that a configuration can name: one call over RPC binder carries 64 file
/// descriptors, and `createVm` takes three more for the console and the log.
pub const MAX_FILES: usize = 61;

impl VmConfig {
    /// Opens the files and makes the parcelable for `createVm`.
    ///
    /// Images and partitions that are writable are opened for reading and writing, all other files
    /// for reading. What the configuration does not know keeps the parcelable's default.
    ///
    /// # Errors
    ///
    /// Fails if a file cannot be opened or is a directory, or if there are more than [`MAX_FILES`].
    pub fn to_parcelable(&self) -> Result<service::VirtualMachineRawConfig, Error> {
        let count = self.count_files();
        if count > MAX_FILES {
            return Err(Error::TooManyFiles { count });
        }
        let (kernel, bootloader) = match &self.boot {
            Boot::Kernel(path) => (Some(open("the kernel", path, false)?), None),
            Boot::Bootloader(path) => (None, Some(open("the bootloader", path, false)?)),
        };
        let initrd = match &self.initrd {
            Some(path) => Some(open("the initrd", path, false)?),
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
            cpuTopology: match self.cpu_topology {
                CpuTopology::OneCpu => service::CpuTopology::ONE_CPU,
                CpuTopology::MatchHost => service::CpuTopology::MATCH_HOST,
            },
            platformVersion: self.platform_version.as_str().to_owned(),
            devices: self.devices.clone(),
            consoleInputDevice: self
                .console_input_device
                .map(|device| device.as_str().to_owned()),
            usbConfig: self.usb.map(|usb| service::UsbConfig {
                controller: usb.controller,
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
                let image = open("the disk image", path, self.writable)?;
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
        })
    }
}

impl Partition {
    fn to_parcelable(&self) -> Result<service::Partition, Error> {
        let label = self.label.as_str();
        let role = format!("the image of the partition {label:?}");
        Ok(service::Partition {
            label: label.to_owned(),
            image: Some(open(&role, &self.path, self.writable)?),
            writable: self.writable,
            guid: self.guid.map(String::from),
        })
    }
}

fn open(role: &str, path: &Path, writable: bool) -> Result<ParcelFileDescriptor, Error> {
    let open_error = |source| Error::Open {
        role: role.to_owned(),
        file: path.to_owned(),
        writable,
        source,
    };
    let file = OpenOptions::new()
        .read(true)
        .write(writable)
        .open(path)
        .map_err(open_error)?;
    // Linux opens a directory for reading, and the VMM would only fail later.
    if file.metadata().map_err(open_error)?.is_dir() {
        return Err(Error::Directory {
            role: role.to_owned(),
            file: path.to_owned(),
        });
    }
    Ok(ParcelFileDescriptor::from(file))
}
