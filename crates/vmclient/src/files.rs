// SPDX-License-Identifier: Apache-2.0
//! How many file descriptors a call of createVm carries.

use crate::options::Streams;
use avf_aidl::service::app_config::Payload;
use avf_aidl::service::{VirtualMachineConfig, VirtualMachineRawConfig};

/// The descriptors in `config` and `streams`.
pub(crate) fn count(config: &VirtualMachineConfig, streams: &Streams) -> usize {
    let streams = [
        &streams.console_out,
        &streams.console_in,
        &streams.log,
        &streams.device_tree,
    ];
    let streams = streams.into_iter().flatten().count();
    streams
        + match config {
            VirtualMachineConfig::RawConfig(raw) => of_raw(raw),
            VirtualMachineConfig::AppConfig(app) => {
                let custom = app.customConfig.as_ref().map_or(0, |custom| {
                    let images = [&custom.customKernelImage, &custom.vendorImage];
                    images.into_iter().flatten().count()
                });
                let extra = match &app.payload {
                    Payload::PayloadConfig(payload) => payload.extraApks.len(),
                    Payload::ConfigPath(_) => 0,
                };
                let fixed = [
                    &app.apk,
                    &app.idsig,
                    &app.instanceImage,
                    &app.encryptedStorageImage,
                ];
                let lists = [&app.extraIdsigs, &app.tenantApks, &app.tenantIdsigs];
                let lists: usize = lists.into_iter().map(Vec::len).sum();
                fixed.into_iter().flatten().count() + lists + extra + custom
            }
        }
}

fn of_raw(raw: &VirtualMachineRawConfig) -> usize {
    let disks = raw.disks.iter().map(|disk| {
        let partitions = disk.partitions.iter().filter(|p| p.image.is_some()).count();
        usize::from(disk.image.is_some()) + partitions
    });
    let files = [
        &raw.kernel,
        &raw.initrd,
        &raw.bootloader,
        &raw.customPvmfw,
        &raw.deviceTreeOverlay,
    ];
    let gpu = raw.gpuConfig.as_ref();
    let wayland = gpu.is_some_and(|gpu| gpu.waylandSocketFd.is_some());
    // Every input device is made of one descriptor, and so is memory in a file.
    files.into_iter().flatten().count()
        + disks.sum::<usize>()
        + raw.inputDevices.len()
        + raw.customMemoryBackingFiles.len()
        + raw.pflash.len()
        + usize::from(wayland)
}
