// SPDX-License-Identifier: Apache-2.0
//! What the configs are made of, in each form.

use super::{FD_OR_NULL, TEXT_OR_NULL, TEXTS, default, fields, parcelable, union};
use crate::schema::Default::{Number, Text as Word};
use crate::schema::Type::{
    Array, Bool, Bytes64, Descriptor, Enum, Int, Long, Nullable, Parcelable, Text, Union,
};

/// `CpuTopology`: ONE_CPU, MATCH_HOST.
pub(crate) const CPU_TOPOLOGY: crate::schema::Type = Enum(2);
/// `DebugLevel`: NONE, FULL.
pub(crate) const DEBUG_LEVEL: crate::schema::Type = Enum(2);

// CpuOptions, from 16 on.
union!(CPU_TOPOLOGY_16 CpuTopology {
    cpuCount: Int; Number(1),
    matchHost: Bool,
});
parcelable!(CPU_OPTIONS CpuOptions {
    cpuTopology: Union(&CPU_TOPOLOGY_16),
});

// Partition got `guid` in 15 QPR1.
parcelable!(PARTITION_15 Partition {
    label: Text,
    image: Descriptor,
    writable: Bool,
});
parcelable!(PARTITION_15_QPR1 Partition {
    label: Text,
    image: Descriptor,
    writable: Bool,
    guid: TEXT_OR_NULL,
});

// DiskImage got `id` in 17.
parcelable!(DISK_IMAGE_15 DiskImage {
    image: FD_OR_NULL,
    writable: Bool,
    partitions: Array(&Parcelable(&PARTITION_15)),
});
parcelable!(DISK_IMAGE_15_QPR1 DiskImage {
    image: FD_OR_NULL,
    writable: Bool,
    partitions: Array(&Parcelable(&PARTITION_15_QPR1)),
});
parcelable!(DISK_IMAGE_17 DiskImage {
    image: FD_OR_NULL,
    writable: Bool,
    partitions: Array(&Parcelable(&PARTITION_15_QPR1)),
    id: TEXT_OR_NULL,
});

// SharedPath, from 15 QPR2 on, lost its last two fields before 17.
parcelable!(SHARED_PATH_15_QPR2 SharedPath {
    sharedPath: Text,
    hostUid: Int,
    hostGid: Int,
    guestUid: Int,
    guestGid: Int,
    mask: Int,
    tag: Text,
    socketPath: Text,
    socketFd: FD_OR_NULL,
    appDomain: Bool,
});
parcelable!(SHARED_PATH_17 SharedPath {
    sharedPath: Text,
    hostUid: Int,
    hostGid: Int,
    guestUid: Int,
    guestGid: Int,
    mask: Int,
    tag: Text,
    socketPath: Text,
});

// Devices of the host.
union!(ASSIGNED_DEVICES AssignedDevices {
    devices: TEXTS,
    dtbo: Descriptor,
});
union!(ASSIGNABLE_DEVICE_SELECTOR AssignableDeviceSelector {
    byLabel: Text,
    byPath: Text,
});
parcelable!(DEVICE_ASSIGNMENT_CONFIG DeviceAssignmentConfig {
    devices: Array(&Union(&ASSIGNABLE_DEVICE_SELECTOR)),
});

parcelable!(DISPLAY_CONFIG DisplayConfig {
    width: Int,
    height: Int,
    horizontalDpi: Int,
    verticalDpi: Int,
    refreshRate: Int,
});

// InputDevice got switches, trackpad and multiTouch in 15 QPR1.
parcelable!(SINGLE_TOUCH SingleTouch {
    pfd: Descriptor,
    width: Int; Number(1280),
    height: Int; Number(1080),
    name: Text; Word(""),
});
parcelable!(EV_DEV EvDev { pfd: Descriptor });
parcelable!(KEYBOARD Keyboard { pfd: Descriptor });
parcelable!(MOUSE Mouse { pfd: Descriptor });
parcelable!(SWITCHES Switches { pfd: Descriptor });
parcelable!(TRACKPAD Trackpad {
    pfd: Descriptor,
    width: Int; Number(1280),
    height: Int; Number(1080),
    name: Text; Word(""),
});
parcelable!(MULTI_TOUCH MultiTouch {
    pfd: Descriptor,
    width: Int; Number(1280),
    height: Int; Number(1080),
    name: Text; Word(""),
});
union!(INPUT_DEVICE_15 InputDevice {
    singleTouch: Parcelable(&SINGLE_TOUCH),
    evDev: Parcelable(&EV_DEV),
    keyboard: Parcelable(&KEYBOARD),
    mouse: Parcelable(&MOUSE),
});
union!(INPUT_DEVICE_15_QPR1 InputDevice {
    singleTouch: Parcelable(&SINGLE_TOUCH),
    evDev: Parcelable(&EV_DEV),
    keyboard: Parcelable(&KEYBOARD),
    mouse: Parcelable(&MOUSE),
    switches: Parcelable(&SWITCHES),
    trackpad: Parcelable(&TRACKPAD),
    multiTouch: Parcelable(&MULTI_TOUCH),
});

// GpuConfig got `waylandSocketFd` in 17.1. What is nullable about an array is so of its elements, too.
parcelable!(GPU_CONFIG_15 GpuConfig {
    backend: TEXT_OR_NULL,
    contextTypes: Nullable(&Array(&TEXT_OR_NULL)),
    pciAddress: TEXT_OR_NULL,
    rendererFeatures: TEXT_OR_NULL,
    rendererUseEgl: Bool,
    rendererUseGles: Bool,
    rendererUseGlx: Bool,
    rendererUseSurfaceless: Bool,
    rendererUseVulkan: Bool,
});
parcelable!(GPU_CONFIG_17_1 GpuConfig {
    backend: TEXT_OR_NULL,
    contextTypes: Nullable(&Array(&TEXT_OR_NULL)),
    pciAddress: TEXT_OR_NULL,
    rendererFeatures: TEXT_OR_NULL,
    rendererUseEgl: Bool,
    rendererUseGles: Bool,
    rendererUseGlx: Bool,
    rendererUseSurfaceless: Bool,
    rendererUseVulkan: Bool,
    waylandSocketFd: FD_OR_NULL,
});

parcelable!(AUDIO_CONFIG AudioConfig {
    useMicrophone: Bool,
    useSpeaker: Bool,
});

// UsbConfig got `devices` in 17.1.
parcelable!(USB_CONFIG_15_QPR1 UsbConfig { controller: Bool });
parcelable!(USB_CONFIG_17_1 UsbConfig {
    controller: Bool,
    devices: TEXTS,
});

parcelable!(CUSTOM_MEMORY_BACKING_FILE CustomMemoryBackingFile {
    file: Descriptor,
    rangeStart: Long,
    size: Long,
});

// VirtualMachineDebugInfo, which methods return.
parcelable!(DEBUG_INFO_15 VirtualMachineDebugInfo {
    cid: Int,
    temporaryDirectory: Text,
    requesterUid: Int,
    requesterPid: Int,
});
parcelable!(DEBUG_INFO_15_QPR1 VirtualMachineDebugInfo {
    cid: Int,
    temporaryDirectory: Text,
    requesterUid: Int,
    requesterPid: Int,
    hostConsoleName: TEXT_OR_NULL,
});
parcelable!(DEBUG_INFO_16 VirtualMachineDebugInfo {
    name: Text,
    cid: Int,
    temporaryDirectory: Text,
    requesterUid: Int,
    requesterPid: Int,
    hostConsoleName: TEXT_OR_NULL,
});
parcelable!(DEBUG_INFO_17_1 VirtualMachineDebugInfo {
    name: Text,
    cid: Int,
    temporaryDirectory: Text,
    requesterUid: Int,
    requesterPid: Int,
    hostConsoleName: TEXT_OR_NULL,
    instanceId: Bytes64,
});

parcelable!(SMBIOS_OPTIONS SmbiosOptions {
    biosVendor: TEXT_OR_NULL,
    biosVersion: TEXT_OR_NULL,
    manufacturer: TEXT_OR_NULL,
    productName: TEXT_OR_NULL,
    serialNumber: TEXT_OR_NULL,
    uuid: TEXT_OR_NULL,
    oemStrings: TEXTS,
});
