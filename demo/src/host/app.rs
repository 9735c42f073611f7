// SPDX-License-Identifier: Apache-2.0
//! The VM as an app config: the payload is in an APK, and the manager makes the rest.

use super::args::{Args, open};
use anyhow::{Context, Result};
use std::fs::{File, OpenOptions};
use std::path::Path;
use tempfile::TempDir;
use vmclient::avf_aidl::service::app_config::{CustomConfig, DebugLevel, Payload};
use vmclient::avf_aidl::service::{
    PartitionType, VirtualMachineAppConfig, VirtualMachineConfig, VirtualMachinePayloadConfig,
};
use vmclient::rsbinder::{ParcelFileDescriptor, Status};
use vmclient::{CallError, Manager};

/// The payload in the APK.
const PAYLOAD: &str = "vm_demo_payload";
/// The size of an instance image, in bytes.
const INSTANCE_SIZE: i64 = 10 << 20;

/// An app's VM, and what was made for it.
pub(crate) struct App {
    pub(crate) config: VirtualMachineConfig,
    /// Idsig and instance image are in it.
    _directory: TempDir,
}

/// Has idsig and instance image made for the APK `apk`.
pub(crate) fn config(args: &Args, name: &str, apk: &Path, manager: &Manager) -> Result<App> {
    let directory =
        tempfile::tempdir().context("cannot make a directory for idsig and instance image")?;
    let descriptor = |file: File| ParcelFileDescriptor::new(file);
    let service = manager.service();
    let refused = |method: &'static str| move |status: Status| CallError { method, status };

    let idsig = writable(&directory.path().join("idsig"))?;
    service
        .createOrUpdateIdsigFile(
            &descriptor(open("--apk", apk)?),
            &descriptor(idsig.try_clone()?),
        )
        .map_err(refused("createOrUpdateIdsigFile"))?;
    let instance = writable(&directory.path().join("instance.img"))?;
    service
        .initializeWritablePartition(
            &descriptor(instance.try_clone()?),
            INSTANCE_SIZE,
            PartitionType::ANDROID_VM_INSTANCE,
        )
        .map_err(refused("initializeWritablePartition"))?;
    let extra = args.payload_params()?;
    let app = VirtualMachineAppConfig {
        name: name.into(),
        apk: Some(descriptor(open("--apk", apk)?)),
        idsig: Some(descriptor(idsig)),
        instanceImage: Some(descriptor(instance)),
        payload: Payload::PayloadConfig(VirtualMachinePayloadConfig {
            payloadBinaryName: PAYLOAD.into(),
            ..Default::default()
        }),
        osName: "microdroid".into(),
        debugLevel: DebugLevel::FULL,
        memoryMib: args.memory_mib,
        customConfig: (!extra.is_empty()).then(|| CustomConfig {
            extraKernelCmdlineParams: extra,
            ..Default::default()
        }),
        ..Default::default()
    };
    Ok(App {
        config: VirtualMachineConfig::AppConfig(app),
        _directory: directory,
    })
}

fn writable(path: &Path) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(path)
        .with_context(|| format!("make {}", path.display()))
}
