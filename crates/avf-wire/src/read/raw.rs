// SPDX-License-Identifier: Apache-2.0
//! `VirtualMachineRawConfig` and what it is made of.

use super::devices::{self, Devices};
use super::{Read, Reader};
use crate::release::field;
use avf_aidl::service::cpu_options::CpuTopology;
use avf_aidl::service::{
    CpuOptions, CustomMemoryBackingFile, DiskImage, Partition, SharedPath, SmbiosOptions,
    VirtualMachineRawConfig,
};

pub(super) fn config(r: &mut Reader<'_>) -> Read<VirtualMachineRawConfig> {
    r.parcelable("rawConfig", |r| {
        let mut raw = VirtualMachineRawConfig {
            name: r.text("name")?,
            instanceId: r.id("instanceId")?,
            ..Default::default()
        };
        if r.has(field::OS_NAME) {
            raw.osName = r.text("osName")?;
        }
        raw.kernel = r.nullable_file("kernel")?;
        raw.initrd = r.nullable_file("initrd")?;
        raw.params = r.nullable_text("params")?;
        raw.bootloader = r.nullable_file("bootloader")?;
        if r.has(field::V17_PREVIEW) {
            raw.pflash = r
                .list("pflash", |r| r.file("pflash"))?
                .into_iter()
                .flatten()
                .collect();
        }
        raw.disks = r.list("disks", disk)?;
        if r.has(field::QPR2) {
            raw.sharedPaths = r.list("sharedPaths", shared_path)?;
        }
        raw.protectedVm = r.boolean("protectedVm")?;
        if r.has(field::OS_NAME) {
            raw.customPvmfw = r.nullable_file("customPvmfw")?;
        }
        raw.memoryMib = r.int("memoryMib")?;
        if r.has(field::V16) {
            raw.swiotlbMib = r.int("swiotlbMib")?;
        }
        raw.cpuOptions = cpu_options(r)?;
        raw.platformVersion = r.text("platformVersion")?;
        raw.gdbPort = r.int("gdbPort")?;
        raw.hugePages = r.boolean("hugePages")?;
        let devices = devices::assigned(r)?;
        raw.displayConfig = r.nullable("displayConfig", devices::display)?;
        raw.inputDevices = r.list("inputDevices", devices::input)?;
        raw.networkSupported = r.boolean("networkSupported")?;
        raw.consoleInputDevice = r.nullable_text("consoleInputDevice")?;
        raw.boostUclamp = r.boolean("boostUclamp")?;
        raw.gpuConfig = r.nullable("gpuConfig", devices::gpu)?;
        if r.has(field::QPR1) {
            raw.audioConfig = r.nullable("audioConfig", devices::audio)?;
        }
        raw.balloon = balloon(r)?;
        if r.has(field::OS_NAME) {
            raw.allowVgicItsInPvm = r.boolean("allowVgicItsInPvm")?;
        }
        if r.has(field::QPR1) {
            raw.usbConfig = r.nullable("usbConfig", devices::usb)?;
        }
        if r.has(field::QPR2) {
            raw.teeServices = r.list("teeServices", |r| r.text("teeServices"))?;
        }
        if r.has(field::V16) {
            let field = "enableHypervisorSpecificAuthMethod";
            raw.enableHypervisorSpecificAuthMethod = r.boolean(field)?;
        }
        if r.has(field::V17_1) {
            raw.deviceTreeOverlay = r.nullable_file("deviceTreeOverlay")?;
        }
        if r.has(field::V16) {
            raw.customMemoryBackingFiles = r.list("customMemoryBackingFiles", backing_file)?;
        }
        if r.has(field::HOST_SERVICES) {
            raw.hostServices = r.list("hostServices", |r| r.text("hostServices"))?;
        }
        if r.has(field::V17_PREVIEW) {
            raw.smbiosOptions = r.nullable("smbiosOptions", smbios)?;
        }
        if r.has(field::V17) {
            raw.ramdump = r.boolean("ramdump")?;
        }
        if r.has(field::V17_1) {
            raw.profileName = r.nullable_text("profileName")?;
            raw.enableSecretkeeper = r.boolean("enableSecretkeeper")?;
        }
        match devices {
            Devices::Chosen(devices) => raw.deviceAssignmentConfig.devices = devices,
            Devices::Overlay(overlay) => raw.deviceTreeOverlay = overlay,
        }
        Ok(raw)
    })
}

/// CPUs: two topologies up to Android 15, a number or the host's from 16 on.
pub(super) fn cpu_options(r: &mut Reader<'_>) -> Read<CpuOptions> {
    let topology = if r.has(field::V16) {
        r.parcelable("cpuOptions", |r| {
            Ok(match r.tag("cpuOptions.cpuTopology", 2)? {
                0 => CpuTopology::CpuCount(r.int("cpuCount")?),
                _ => CpuTopology::MatchHost(r.boolean("matchHost")?),
            })
        })?
    } else {
        let why = "is neither ONE_CPU (0) nor MATCH_HOST (1)";
        match r.below("cpuTopology", 1, why)? {
            0 => CpuTopology::CpuCount(1),
            _ => CpuTopology::MatchHost(true),
        }
    };
    Ok(CpuOptions {
        cpuTopology: topology,
    })
}

/// Whether there is a balloon: always in Android 15, unless it is refused in its later releases, if it
/// is asked for from 16 on.
fn balloon(r: &mut Reader<'_>) -> Read<bool> {
    if r.has(field::V16) {
        r.boolean("balloon")
    } else if r.has(field::NO_BALLOON) {
        Ok(!r.boolean("noBalloon")?)
    } else {
        Ok(true)
    }
}

fn disk(r: &mut Reader<'_>) -> Read<DiskImage> {
    r.parcelable("disks", |r| {
        Ok(DiskImage {
            image: r.nullable_file("disks.image")?,
            writable: r.boolean("disks.writable")?,
            partitions: r.list("disks.partitions", partition)?,
            id: if r.has(field::V17_PREVIEW) {
                r.nullable_text("disks.id")?
            } else {
                None
            },
        })
    })
}

fn partition(r: &mut Reader<'_>) -> Read<Partition> {
    r.parcelable("disks.partitions", |r| {
        Ok(Partition {
            label: r.text("disks.partitions.label")?,
            image: r.file("disks.partitions.image")?,
            writable: r.boolean("disks.partitions.writable")?,
            guid: if r.has(field::QPR1) {
                r.nullable_text("disks.partitions.guid")?
            } else {
                None
            },
        })
    })
}

fn shared_path(r: &mut Reader<'_>) -> Read<SharedPath> {
    r.parcelable("sharedPaths", |r| {
        let path = SharedPath {
            sharedPath: r.text("sharedPaths.sharedPath")?,
            hostUid: r.int("sharedPaths.hostUid")?,
            hostGid: r.int("sharedPaths.hostGid")?,
            guestUid: r.int("sharedPaths.guestUid")?,
            guestGid: r.int("sharedPaths.guestGid")?,
            mask: r.int("sharedPaths.mask")?,
            tag: r.text("sharedPaths.tag")?,
            socketPath: r.text("sharedPaths.socketPath")?,
        };
        if r.has(field::SHARED_SOCKET) {
            // Android 17 has neither, and no shared path is given to a guest yet.
            r.nullable_file("sharedPaths.socketFd")?;
            r.boolean("sharedPaths.appDomain")?;
        }
        Ok(path)
    })
}

fn backing_file(r: &mut Reader<'_>) -> Read<CustomMemoryBackingFile> {
    r.parcelable("customMemoryBackingFiles", |r| {
        Ok(CustomMemoryBackingFile {
            file: r.file("customMemoryBackingFiles.file")?,
            rangeStart: r.long("customMemoryBackingFiles.rangeStart")?,
            size: r.long("customMemoryBackingFiles.size")?,
        })
    })
}

fn smbios(r: &mut Reader<'_>) -> Read<SmbiosOptions> {
    Ok(SmbiosOptions {
        biosVendor: r.nullable_text("smbiosOptions.biosVendor")?,
        biosVersion: r.nullable_text("smbiosOptions.biosVersion")?,
        manufacturer: r.nullable_text("smbiosOptions.manufacturer")?,
        productName: r.nullable_text("smbiosOptions.productName")?,
        serialNumber: r.nullable_text("smbiosOptions.serialNumber")?,
        uuid: r.nullable_text("smbiosOptions.uuid")?,
        oemStrings: r.list("smbiosOptions.oemStrings", |r| {
            r.text("smbiosOptions.oemStrings")
        })?,
    })
}
