// SPDX-License-Identifier: Apache-2.0
//! `VirtualMachineAppConfig` in each form, and the union of both kinds of configs.

use super::parts::{ASSIGNABLE_DEVICE_SELECTOR, CPU_OPTIONS, CPU_TOPOLOGY, DEBUG_LEVEL};
use super::raw;
use super::{FD_OR_NULL, FDS, TEXT_OR_NULL, TEXTS, default, fields, parcelable, union};
use crate::schema::Default::{Text as Word, True};
use crate::schema::Type::{
    Array, Binder, Bool, Bytes64, Descriptor, Int, Nullable, Parcelable, Text, Union,
};

parcelable!(PAYLOAD_CONFIG VirtualMachinePayloadConfig {
    payloadBinaryName: Text,
    extraApks: FDS,
});
union!(PAYLOAD Payload {
    configPath: Text,
    payloadConfig: Parcelable(&PAYLOAD_CONFIG),
});

parcelable!(CUSTOM_15 CustomConfig {
    customKernelImage: FD_OR_NULL,
    gdbPort: Int,
    vendorImage: FD_OR_NULL,
    devices: TEXTS,
    wantUpdatable: Bool; True,
    networkSupported: Bool,
});
parcelable!(CUSTOM_15_QPR1 CustomConfig {
    customKernelImage: FD_OR_NULL,
    gdbPort: Int,
    vendorImage: FD_OR_NULL,
    devices: TEXTS,
    wantUpdatable: Bool; True,
    networkSupported: Bool,
    extraKernelCmdlineParams: TEXTS,
});
parcelable!(CUSTOM_15_QPR2 CustomConfig {
    customKernelImage: FD_OR_NULL,
    gdbPort: Int,
    vendorImage: FD_OR_NULL,
    devices: TEXTS,
    wantUpdatable: Bool; True,
    networkSupported: Bool,
    extraKernelCmdlineParams: TEXTS,
    teeServices: TEXTS,
});
parcelable!(CUSTOM_17_1 CustomConfig {
    customKernelImage: FD_OR_NULL,
    gdbPort: Int,
    vendorImage: FD_OR_NULL,
    devices: Array(&Union(&ASSIGNABLE_DEVICE_SELECTOR)),
    wantUpdatable: Bool; True,
    networkSupported: Bool,
    extraKernelCmdlineParams: TEXTS,
    teeServices: TEXTS,
});

parcelable!(APP_15 VirtualMachineAppConfig {
    name: Text,
    instanceId: Bytes64,
    apk: Descriptor,
    idsig: Descriptor,
    extraIdsigs: FDS,
    instanceImage: Descriptor,
    encryptedStorageImage: FD_OR_NULL,
    payload: Union(&PAYLOAD),
    osName: Text; Word("microdroid"),
    debugLevel: DEBUG_LEVEL,
    protectedVm: Bool,
    memoryMib: Int,
    cpuTopology: CPU_TOPOLOGY,
    customConfig: Nullable(&Parcelable(&CUSTOM_15)),
    hugePages: Bool,
    boostUclamp: Bool,
});

parcelable!(APP_15_QPR1 VirtualMachineAppConfig {
    name: Text,
    instanceId: Bytes64,
    apk: Descriptor,
    idsig: Descriptor,
    extraIdsigs: FDS,
    instanceImage: Descriptor,
    encryptedStorageImage: FD_OR_NULL,
    payload: Union(&PAYLOAD),
    osName: Text; Word("microdroid"),
    debugLevel: DEBUG_LEVEL,
    protectedVm: Bool,
    memoryMib: Int,
    cpuTopology: CPU_TOPOLOGY,
    customConfig: Nullable(&Parcelable(&CUSTOM_15_QPR1)),
    hugePages: Bool,
    boostUclamp: Bool,
});

parcelable!(APP_15_QPR2 VirtualMachineAppConfig {
    name: Text,
    instanceId: Bytes64,
    apk: Descriptor,
    idsig: Descriptor,
    extraIdsigs: FDS,
    instanceImage: Descriptor,
    encryptedStorageImage: FD_OR_NULL,
    payload: Union(&PAYLOAD),
    osName: Text; Word("microdroid"),
    debugLevel: DEBUG_LEVEL,
    protectedVm: Bool,
    memoryMib: Int,
    cpuTopology: CPU_TOPOLOGY,
    customConfig: Nullable(&Parcelable(&CUSTOM_15_QPR2)),
    hugePages: Bool,
    boostUclamp: Bool,
});

parcelable!(APP_16 VirtualMachineAppConfig {
    name: Text,
    instanceId: Bytes64,
    apk: Descriptor,
    idsig: Descriptor,
    extraIdsigs: FDS,
    instanceImage: Descriptor,
    encryptedStorageImage: FD_OR_NULL,
    payload: Union(&PAYLOAD),
    osName: Text; Word("microdroid"),
    debugLevel: DEBUG_LEVEL,
    protectedVm: Bool,
    memoryMib: Int,
    cpuOptions: Parcelable(&CPU_OPTIONS),
    customConfig: Nullable(&Parcelable(&CUSTOM_15_QPR2)),
    hugePages: Bool,
    boostUclamp: Bool,
});

parcelable!(APP_16_HS VirtualMachineAppConfig {
    name: Text,
    instanceId: Bytes64,
    apk: Descriptor,
    idsig: Descriptor,
    extraIdsigs: FDS,
    instanceImage: Descriptor,
    encryptedStorageImage: FD_OR_NULL,
    payload: Union(&PAYLOAD),
    osName: Text; Word("microdroid"),
    debugLevel: DEBUG_LEVEL,
    protectedVm: Bool,
    memoryMib: Int,
    cpuOptions: Parcelable(&CPU_OPTIONS),
    customConfig: Nullable(&Parcelable(&CUSTOM_15_QPR2)),
    hugePages: Bool,
    boostUclamp: Bool,
    hostServices: TEXTS,
});

parcelable!(APP_17_R1 VirtualMachineAppConfig {
    name: Text,
    instanceId: Bytes64,
    apk: Descriptor,
    idsig: Descriptor,
    extraIdsigs: FDS,
    tenantApks: FDS,
    tenantIdsigs: FDS,
    instanceImage: Descriptor,
    encryptedStorageImage: FD_OR_NULL,
    payload: Union(&PAYLOAD),
    osName: Text; Word("microdroid"),
    debugLevel: DEBUG_LEVEL,
    protectedVm: Bool,
    memoryMib: Int,
    cpuOptions: Parcelable(&CPU_OPTIONS),
    customConfig: Nullable(&Parcelable(&CUSTOM_15_QPR2)),
    hugePages: Bool,
    boostUclamp: Bool,
    hostServices: TEXTS,
    shouldDelayEncryptedStoreSetup: Bool,
    encryptedStoreKEK: Nullable(&Binder),
});

parcelable!(APP_17 VirtualMachineAppConfig {
    name: Text,
    instanceId: Bytes64,
    apk: Descriptor,
    idsig: Descriptor,
    extraIdsigs: FDS,
    tenantApks: FDS,
    tenantIdsigs: FDS,
    instanceImage: Descriptor,
    encryptedStorageImage: FD_OR_NULL,
    payload: Union(&PAYLOAD),
    osName: Text; Word("microdroid"),
    debugLevel: DEBUG_LEVEL,
    protectedVm: Bool,
    memoryMib: Int,
    cpuOptions: Parcelable(&CPU_OPTIONS),
    customConfig: Nullable(&Parcelable(&CUSTOM_15_QPR2)),
    hugePages: Bool,
    boostUclamp: Bool,
    hostServices: TEXTS,
    shouldDelayEncryptedStoreSetup: Bool,
    encryptedStoreKEK: Nullable(&Binder),
    autoStartAdbd: Bool,
    ramdump: Bool; True,
});

parcelable!(APP_17_1 VirtualMachineAppConfig {
    name: Text,
    instanceId: Bytes64,
    apk: Descriptor,
    idsig: Descriptor,
    extraIdsigs: FDS,
    tenantApks: FDS,
    tenantIdsigs: FDS,
    instanceImage: Descriptor,
    encryptedStorageImage: FD_OR_NULL,
    payload: Union(&PAYLOAD),
    osName: Text; Word("microdroid"),
    debugLevel: DEBUG_LEVEL,
    protectedVm: Bool,
    memoryMib: Int,
    cpuOptions: Parcelable(&CPU_OPTIONS),
    customConfig: Nullable(&Parcelable(&CUSTOM_17_1)),
    hugePages: Bool,
    boostUclamp: Bool,
    hostServices: TEXTS,
    shouldDelayEncryptedStoreSetup: Bool,
    encryptedStoreKEK: Nullable(&Binder),
    autoStartAdbd: Bool,
    ramdump: Bool; True,
    profileName: TEXT_OR_NULL,
});

macro_rules! config {
    ($static:ident $app:ident $raw:ident) => {
        union!($static VirtualMachineConfig {
            appConfig: Parcelable(&$app),
            rawConfig: Parcelable(&raw::$raw),
        });
    };
}

config!(CONFIG_15 APP_15 RAW_15);
config!(CONFIG_15_QPR1 APP_15_QPR1 RAW_15_QPR1);
config!(CONFIG_15_QPR2 APP_15_QPR2 RAW_15_QPR2);
config!(CONFIG_16 APP_16 RAW_16);
config!(CONFIG_16_HS APP_16_HS RAW_16_HS);
config!(CONFIG_16_MAIN APP_16_HS RAW_16_MAIN);
config!(CONFIG_17_R1 APP_17_R1 RAW_17_R1);
config!(CONFIG_17 APP_17 RAW_17);
config!(CONFIG_17_1 APP_17_1 RAW_17_1);
