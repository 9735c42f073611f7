// SPDX-License-Identifier: Apache-2.0
//! `VirtualMachineRawConfig`.

use super::{Writer, Written};
use crate::release::field;
use avf_aidl::service::{
    DiskImage, GpuConfig, InputDevice, Partition, SharedPath, UsbConfig, VirtualMachineRawConfig,
};
use rsbinder::ParcelFileDescriptor;

pub(super) fn config(w: &mut Writer<'_>, raw: &VirtualMachineRawConfig) -> Written {
    w.put(&raw.name)?;
    w.put(&raw.instanceId)?;
    w.since(field::OS_NAME, &raw.osName)?;
    w.put(&raw.kernel)?;
    w.put(&raw.initrd)?;
    w.put(&raw.params)?;
    w.put(&raw.bootloader)?;
    if w.has(field::V17_PREVIEW) {
        w.put(&raw.pflash)?;
    }
    w.list(&raw.disks, disk)?;
    if w.has(field::QPR2) {
        w.list(&raw.sharedPaths, shared_path)?;
    }
    w.put(&raw.protectedVm)?;
    w.since(field::OS_NAME, &raw.customPvmfw)?;
    w.put(&raw.memoryMib)?;
    w.since(field::V16, &raw.swiotlbMib)?;
    w.cpu_options(&raw.cpuOptions)?;
    w.put(&raw.platformVersion)?;
    w.put(&raw.gdbPort)?;
    w.put(&raw.hugePages)?;
    devices(w, raw)?;
    w.put(&raw.displayConfig)?;
    w.list(&raw.inputDevices, |w, device: &InputDevice| w.put(device))?;
    w.put(&raw.networkSupported)?;
    w.put(&raw.consoleInputDevice)?;
    w.put(&raw.boostUclamp)?;
    w.option(raw.gpuConfig.as_ref(), gpu)?;
    w.since(field::QPR1, &raw.audioConfig)?;
    w.since(field::NO_BALLOON, &!raw.balloon)?;
    w.since(field::V16, &raw.balloon)?;
    w.since(field::OS_NAME, &raw.allowVgicItsInPvm)?;
    if w.has(field::QPR1) {
        w.option(raw.usbConfig.as_ref(), usb)?;
    }
    w.since(field::QPR2, &raw.teeServices)?;
    w.since(field::V16, &raw.enableHypervisorSpecificAuthMethod)?;
    w.since(field::V17_1, &raw.deviceTreeOverlay)?;
    w.since(field::V16, &raw.customMemoryBackingFiles)?;
    w.since(field::HOST_SERVICES, &raw.hostServices)?;
    w.since(field::V17_PREVIEW, &raw.smbiosOptions)?;
    w.since(field::V17, &raw.ramdump)?;
    w.since(field::V17_1, &raw.profileName)?;
    w.since(field::V17_1, &raw.enableSecretkeeper)
}

/// Devices of the host: selectors in 17.1; paths or an overlay in 16 and 17; paths before.
fn devices(w: &mut Writer<'_>, raw: &VirtualMachineRawConfig) -> Written {
    if w.has(field::V17_1) {
        return w.put(&raw.deviceAssignmentConfig);
    }
    if w.has(field::V16) {
        w.put(&1_i32)?;
        if let Some(overlay) = &raw.deviceTreeOverlay {
            w.put(&1_i32)?;
            return w.put(overlay);
        }
        w.put(&0_i32)?;
    }
    w.devices(&raw.deviceAssignmentConfig.devices)
}

fn disk(w: &mut Writer<'_>, disk: &DiskImage) -> Written {
    w.parcelable(|w| {
        w.put(&disk.image)?;
        w.put(&disk.writable)?;
        w.list(&disk.partitions, partition)?;
        w.since(field::V17_PREVIEW, &disk.id)
    })
}

fn partition(w: &mut Writer<'_>, partition: &Partition) -> Written {
    w.parcelable(|w| {
        w.put(&partition.label)?;
        required(w, partition.image.as_ref())?;
        w.put(&partition.writable)?;
        w.since(field::QPR1, &partition.guid)
    })
}

/// A descriptor that must be there.
pub(super) fn required(w: &mut Writer<'_>, file: Option<&ParcelFileDescriptor>) -> Written {
    w.put(file.ok_or(rsbinder::StatusCode::UnexpectedNull)?)
}

fn shared_path(w: &mut Writer<'_>, path: &SharedPath) -> Written {
    w.parcelable(|w| {
        w.put(&path.sharedPath)?;
        for number in [
            path.hostUid,
            path.hostGid,
            path.guestUid,
            path.guestGid,
            path.mask,
        ] {
            w.put(&number)?;
        }
        w.put(&path.tag)?;
        w.put(&path.socketPath)?;
        // A socket of the client's, and whether the client serves it: not in the newest release.
        w.since(field::SHARED_SOCKET, &0_i32)?;
        w.since(field::SHARED_SOCKET, &false)
    })
}

fn gpu(w: &mut Writer<'_>, gpu: &GpuConfig) -> Written {
    w.put(&gpu.backend)?;
    w.put(&gpu.contextTypes)?;
    w.put(&gpu.pciAddress)?;
    w.put(&gpu.rendererFeatures)?;
    for used in [
        gpu.rendererUseEgl,
        gpu.rendererUseGles,
        gpu.rendererUseGlx,
        gpu.rendererUseSurfaceless,
        gpu.rendererUseVulkan,
    ] {
        w.put(&used)?;
    }
    w.since(field::V17_1, &gpu.waylandSocketFd)
}

fn usb(w: &mut Writer<'_>, usb: &UsbConfig) -> Written {
    w.put(&usb.controller)?;
    w.since(field::V17_1, &usb.devices)
}
