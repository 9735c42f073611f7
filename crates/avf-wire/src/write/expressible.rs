// SPDX-License-Identifier: Apache-2.0
//! What a release has no words for.

use crate::release::{Layout, field};
use avf_aidl::service::app_config::CustomConfig;
use avf_aidl::service::cpu_options::CpuTopology;
use avf_aidl::service::{
    AssignableDeviceSelector, CpuOptions, InputDevice, VirtualMachineAppConfig,
    VirtualMachineConfig, VirtualMachineRawConfig,
};

/// The first field of `config` that a layout cannot express; `dump_dt` says whether the device tree
/// is wanted.
pub(crate) fn check(
    layout: &Layout,
    config: &VirtualMachineConfig,
    dump_dt: bool,
) -> Result<(), &'static str> {
    let lacks = |fields: field::Set| layout.fields & fields == 0;
    let raw = match config {
        VirtualMachineConfig::RawConfig(raw) => Some(raw),
        VirtualMachineConfig::AppConfig(_) => None,
    };
    let app = match config {
        VirtualMachineConfig::AppConfig(app) => Some(app),
        VirtualMachineConfig::RawConfig(_) => None,
    };
    let refused = raw
        .and_then(|raw| of_raw(raw, &lacks))
        .or_else(|| app.and_then(|app| of_app(app, &lacks)))
        .or_else(|| (dump_dt && lacks(field::QPR2)).then_some("dumpDtFd"));
    refused.map_or(Ok(()), Err)
}

fn of_raw(
    raw: &VirtualMachineRawConfig,
    lacks: &impl Fn(field::Set) -> bool,
) -> Option<&'static str> {
    let disks = || raw.disks.iter();
    let has_guid = || {
        let mut partitions = disks().flat_map(|disk| &disk.partitions);
        partitions.any(|partition| partition.guid.is_some())
    };
    let newer_input = |device: &InputDevice| {
        use InputDevice::{MultiTouch, Switches, Trackpad};
        matches!(device, Switches(_) | Trackpad(_) | MultiTouch(_))
    };
    let gpu = raw.gpuConfig.as_ref();
    let usb = raw.usbConfig.as_ref();
    let devices = &raw.deviceAssignmentConfig.devices;
    let overlay = raw.deviceTreeOverlay.is_some();
    let v16 = field::V16;
    let checks: &[(&'static str, bool)] = &[
        ("osName", lacks(field::OS_NAME) && !raw.osName.is_empty()),
        (
            "pflash",
            lacks(field::V17_PREVIEW) && !raw.pflash.is_empty(),
        ),
        (
            "disks.id",
            lacks(field::V17_PREVIEW) && disks().any(|disk| disk.id.is_some()),
        ),
        ("disks.partitions.guid", lacks(field::QPR1) && has_guid()),
        (
            "sharedPaths",
            lacks(field::QPR2) && !raw.sharedPaths.is_empty(),
        ),
        (
            "customPvmfw",
            lacks(field::OS_NAME) && raw.customPvmfw.is_some(),
        ),
        ("swiotlbMib", lacks(v16) && raw.swiotlbMib != 0),
        (
            "cpuOptions",
            lacks(v16) && !is_old_topology(&raw.cpuOptions),
        ),
        (
            "deviceAssignmentConfig",
            lacks(field::V17_1) && has_label(devices),
        ),
        ("deviceTreeOverlay", overlay && lacks(v16)),
        (
            "deviceTreeOverlay together with deviceAssignmentConfig",
            overlay && lacks(field::V17_1) && !devices.is_empty(),
        ),
        (
            "inputDevices",
            lacks(field::QPR1) && raw.inputDevices.iter().any(newer_input),
        ),
        (
            "gpuConfig.waylandSocketFd",
            lacks(field::V17_1) && gpu.is_some_and(|gpu| gpu.waylandSocketFd.is_some()),
        ),
        (
            "audioConfig",
            lacks(field::QPR1) && raw.audioConfig.is_some(),
        ),
        (
            "balloon false",
            lacks(v16) && lacks(field::NO_BALLOON) && !raw.balloon,
        ),
        (
            "allowVgicItsInPvm",
            lacks(field::OS_NAME) && raw.allowVgicItsInPvm,
        ),
        ("usbConfig", lacks(field::QPR1) && usb.is_some()),
        (
            "usbConfig.devices",
            lacks(field::V17_1) && usb.is_some_and(|usb| !usb.devices.is_empty()),
        ),
        (
            "teeServices",
            lacks(field::QPR2) && !raw.teeServices.is_empty(),
        ),
        (
            "enableHypervisorSpecificAuthMethod",
            lacks(v16) && raw.enableHypervisorSpecificAuthMethod,
        ),
        (
            "customMemoryBackingFiles",
            lacks(v16) && !raw.customMemoryBackingFiles.is_empty(),
        ),
        (
            "hostServices",
            lacks(field::HOST_SERVICES) && !raw.hostServices.is_empty(),
        ),
        (
            "smbiosOptions",
            lacks(field::V17_PREVIEW) && raw.smbiosOptions.is_some(),
        ),
        ("ramdump false", lacks(field::V17) && !raw.ramdump),
        (
            "profileName",
            lacks(field::V17_1) && raw.profileName.is_some(),
        ),
        (
            "enableSecretkeeper false",
            lacks(field::V17_1) && !raw.enableSecretkeeper,
        ),
    ];
    first(checks)
}

fn of_app(
    app: &VirtualMachineAppConfig,
    lacks: &impl Fn(field::Set) -> bool,
) -> Option<&'static str> {
    let custom = app.customConfig.as_ref();
    let asks = |get: fn(&CustomConfig) -> bool| custom.is_some_and(get);
    let preview = field::V17_PREVIEW;
    let checks: &[(&'static str, bool)] = &[
        ("tenantApks", lacks(preview) && !app.tenantApks.is_empty()),
        (
            "tenantIdsigs",
            lacks(preview) && !app.tenantIdsigs.is_empty(),
        ),
        (
            "cpuOptions",
            lacks(field::V16) && !is_old_topology(&app.cpuOptions),
        ),
        (
            "customConfig.devices",
            lacks(field::V17_1) && asks(|custom| has_label(&custom.devices)),
        ),
        (
            "customConfig.extraKernelCmdlineParams",
            lacks(field::QPR1) && asks(|custom| !custom.extraKernelCmdlineParams.is_empty()),
        ),
        (
            "customConfig.teeServices",
            lacks(field::QPR2) && asks(|custom| !custom.teeServices.is_empty()),
        ),
        (
            "hostServices",
            lacks(field::HOST_SERVICES) && !app.hostServices.is_empty(),
        ),
        (
            "shouldDelayEncryptedStoreSetup",
            lacks(preview) && app.shouldDelayEncryptedStoreSetup,
        ),
        (
            "encryptedStoreKEK",
            lacks(preview) && app.encryptedStoreKEK.is_some(),
        ),
        ("autoStartAdbd", lacks(field::V17) && app.autoStartAdbd),
        ("ramdump false", lacks(field::V17) && !app.ramdump),
        (
            "profileName",
            lacks(field::V17_1) && app.profileName.is_some(),
        ),
    ];
    first(checks)
}

fn first(checks: &[(&'static str, bool)]) -> Option<&'static str> {
    let refused = checks.iter().find(|(_, is_refused)| *is_refused);
    refused.map(|(field, _)| *field)
}

/// Whether it is one of the two topologies that Android 15 has.
fn is_old_topology(options: &CpuOptions) -> bool {
    match options.cpuTopology {
        CpuTopology::CpuCount(count) => count == 1,
        CpuTopology::MatchHost(_) => true,
    }
}

fn has_label(devices: &[AssignableDeviceSelector]) -> bool {
    let by_label = |device: &_| matches!(device, AssignableDeviceSelector::ByLabel(_));
    devices.iter().any(by_label)
}
