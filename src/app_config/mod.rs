// SPDX-License-Identifier: Apache-2.0
//! From an app config to the raw config that it stands for: the system's description of Microdroid,
//! with the client's settings and with disks for its instance and its payload.

mod base;
mod payload;

pub(crate) use base::supported;
pub use payload::Platform;

use crate::capabilities::Capabilities;
use crate::error::{Cause, Error, Kind};
use crate::fd::{file as duplicate, regular};
use crate::vm::plan::is_given;
use avf_aidl::service::app_config::{CustomConfig, DebugLevel, Payload};
use avf_aidl::service::{DiskImage, Partition, VirtualMachineAppConfig, VirtualMachineRawConfig};
use debug_policy::DebugPolicy;
use host::Host;
use microdroid::{INSTANCE_PARTITION, STORAGE_PARTITION, VENDOR_PARTITION};
use rsbinder::ParcelFileDescriptor;
use rustix::fs::OFlags;
use std::fs::File;

/// The property with the digest by which the guest verifies the vendor's image.
const VENDOR_DIGEST: &str = "vendor_hashtree_descriptor_root_digest";
/// Tells the guest that it has a vendor partition.
const MOUNT_VENDOR: &str = "androidboot.microdroid.mount_vendor=1";
/// Lets the guest's kernel speak where the debug level alone would not.
const SHOW_LOG: &str = "printk.devkmsg=on console=hvc0";

/// A VM's raw config, and what it has beside.
#[derive(Debug)]
pub struct Expanded {
    /// The raw config.
    pub raw: VirtualMachineRawConfig,
    /// Properties that the host vouches for.
    pub trusted: Vec<(&'static str, String)>,
}

/// Refuses what this profile cannot do, by the field's name, before any file is opened.
///
/// # Errors
/// [`Kind::Unsupported`].
pub fn check_features(app: &VirtualMachineAppConfig, can: Capabilities) -> Result<(), Error> {
    let program = can.program;
    let custom = app.customConfig.as_ref();
    let has = |get: fn(&CustomConfig) -> bool| custom.is_some_and(get);
    let refused = [
        (
            "customConfig.vendorImage",
            !can.vendor_modules && has(|custom| custom.vendorImage.is_some()),
        ),
        (
            "customConfig.customKernelImage",
            !can.vendor_modules && has(|custom| custom.customKernelImage.is_some()),
        ),
        (
            "extra APKs",
            !can.multi_tenant && !app.extraIdsigs.is_empty(),
        ),
        (
            "tenantApks and tenantIdsigs",
            !app.tenantApks.is_empty() || !app.tenantIdsigs.is_empty(),
        ),
        ("hostServices", !app.hostServices.is_empty()),
        (
            "customConfig.teeServices",
            has(|custom| !custom.teeServices.is_empty()),
        ),
        ("profileName", is_given(app.profileName.as_deref())),
        (
            "shouldDelayEncryptedStoreSetup",
            app.shouldDelayEncryptedStoreSetup,
        ),
    ];
    match refused.into_iter().find(|(_, asked)| *asked) {
        Some((field, _)) => Err(Error::unsupported(format!(
            "{program} doesn't support {field}"
        ))),
        None => Ok(()),
    }
}

/// Whether `app` asks for more than any app may: its own parts of the guest, or a payload that is
/// described in its APK.
#[must_use]
pub fn is_custom(app: &VirtualMachineAppConfig) -> bool {
    let has_own_payload = match &app.payload {
        Payload::ConfigPath(_) => true,
        Payload::PayloadConfig(config) => !config.extraApks.is_empty(),
    };
    app.customConfig.is_some() || has_own_payload || app.osName != base::DEFAULT_OS
}

/// Makes the raw config of `app`.
///
/// # Errors
/// If a field has a wrong value, or a file of the host or in the APK cannot be used.
pub fn expand(
    app: &VirtualMachineAppConfig,
    host: &Host,
    policy: DebugPolicy,
    platform: &dyn Platform,
) -> Result<Expanded, Error> {
    let debug = match app.debugLevel {
        DebugLevel::NONE => false,
        DebugLevel::FULL => true,
        DebugLevel(other) => {
            return Err(invalid(format!(
                "debugLevel {other}: it must be NONE (0) or FULL (1)"
            )));
        }
    };
    if app.autoStartAdbd {
        log::info!(
            "VM '{}': autoStartAdbd is passed to nobody: a guest starts adbd if it can be debugged",
            app.name
        );
    }
    let config = payload::Config::of(app, host)?;
    let os = os_name(app, &config)?;
    let huge_pages = app.hugePages || config.huge_pages();
    let mut raw = base::load(host, os, debug)?;
    let mut params = vec![raw.params.take().unwrap_or_default()];
    let mut trusted = Vec::new();
    if let Some(custom) = &app.customConfig {
        customize(&mut raw, custom, debug)?;
        if let Some(image) = &custom.vendorImage {
            let file = open("customConfig.vendorImage", image)?;
            trusted.push((VENDOR_DIGEST, platform.vendor_digest(&file)?));
            params.push(MOUNT_VENDOR.into());
            raw.disks
                .push(disk(vec![partition(VENDOR_PARTITION, file, false)]));
        }
        params.extend(custom.extraKernelCmdlineParams.iter().cloned());
    }
    if policy.log && !debug {
        params.push(SHOW_LOG.into());
    }
    raw.disks.push(instance_disk(app)?);
    let is_debuggable = debug || policy.adb;
    raw.disks
        .push(payload::disk(app, config, host, platform, is_debuggable)?);
    params.retain(|param| !param.is_empty());
    Ok(Expanded {
        raw: VirtualMachineRawConfig {
            name: app.name.clone(),
            instanceId: app.instanceId,
            params: Some(params.join(" ")),
            protectedVm: app.protectedVm,
            memoryMib: match app.memoryMib {
                0 => raw.memoryMib,
                mib => mib,
            },
            osName: app.osName.clone(),
            cpuOptions: app.cpuOptions.clone(),
            ramdump: app.ramdump,
            hugePages: huge_pages,
            boostUclamp: app.boostUclamp,
            ..raw
        },
        trusted,
    })
}

fn customize(
    raw: &mut VirtualMachineRawConfig,
    custom: &CustomConfig,
    debug: bool,
) -> Result<(), Error> {
    if custom.gdbPort != 0 && !debug {
        return Err(Error::new(
            Kind::Security,
            "customConfig.gdbPort: a VM with debugLevel NONE cannot be debugged",
        ));
    }
    raw.gdbPort = custom.gdbPort;
    raw.deviceAssignmentConfig
        .devices
        .clone_from(&custom.devices);
    raw.networkSupported = custom.networkSupported;
    if let Some(kernel) = &custom.customKernelImage {
        let file = open("customConfig.customKernelImage", kernel)?;
        raw.kernel = Some(ParcelFileDescriptor::new(file));
        raw.bootloader = None;
    }
    Ok(())
}

/// The guest's operating system: the payload's choice, if the client made none.
fn os_name<'a>(
    app: &'a VirtualMachineAppConfig,
    config: &'a payload::Config,
) -> Result<&'a str, Error> {
    match config.os_name() {
        None => Ok(&app.osName),
        Some(wanted) if wanted == app.osName || app.osName == base::DEFAULT_OS => Ok(wanted),
        Some(wanted) => Err(invalid(format!(
            "osName {:?}: the payload's configuration wants {wanted:?}",
            app.osName
        ))),
    }
}

fn instance_disk(app: &VirtualMachineAppConfig) -> Result<DiskImage, Error> {
    let image = present("instanceImage", app.instanceImage.as_ref())?;
    let image = duplicate("instanceImage", image)?;
    let mut partitions = vec![partition(INSTANCE_PARTITION, image, true)];
    if let Some(image) = &app.encryptedStorageImage {
        let image = duplicate("encryptedStorageImage", image)?;
        partitions.push(partition(STORAGE_PARTITION, image, true));
    }
    let mut disk = disk(partitions);
    disk.writable = true;
    Ok(disk)
}

fn disk(partitions: Vec<Partition>) -> DiskImage {
    DiskImage {
        partitions,
        ..Default::default()
    }
}

fn partition(label: &str, image: File, writable: bool) -> Partition {
    Partition {
        label: label.into(),
        image: Some(ParcelFileDescriptor::new(image)),
        writable,
        ..Default::default()
    }
}

/// A field that a client must give.
fn present<'a>(
    field: &str,
    fd: Option<&'a ParcelFileDescriptor>,
) -> Result<&'a ParcelFileDescriptor, Error> {
    fd.ok_or_else(|| invalid(format!("{field}: it is missing")))
}

/// A file that a client must give.
fn required(field: &str, fd: Option<&ParcelFileDescriptor>) -> Result<File, Error> {
    open(field, present(field, fd)?)
}

/// A file to be read. Anything but a regular file could keep its reader waiting.
fn open(field: &str, fd: &ParcelFileDescriptor) -> Result<File, Error> {
    regular(field, fd, OFlags::RDONLY)
}

fn invalid(what: String) -> Error {
    Error::invalid(what)
}

/// What of a host's or an APK's files cannot be used.
fn unusable(what: impl Into<String>, source: impl Into<Cause>) -> Error {
    Error::failed(what, source)
}
