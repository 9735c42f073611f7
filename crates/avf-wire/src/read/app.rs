// SPDX-License-Identifier: Apache-2.0
//! `VirtualMachineAppConfig` and what it is made of.

use super::{Read, Reader, devices, raw};
use crate::release::field;
use avf_aidl::service::app_config::{CustomConfig, DebugLevel, Payload};
use avf_aidl::service::{VirtualMachineAppConfig, VirtualMachinePayloadConfig};
use rsbinder::ParcelFileDescriptor;

pub(super) fn config(r: &mut Reader<'_>) -> Read<VirtualMachineAppConfig> {
    r.parcelable("appConfig", |r| {
        let mut app = VirtualMachineAppConfig {
            name: r.text("name")?,
            instanceId: r.id("instanceId")?,
            apk: r.file("apk")?,
            idsig: r.file("idsig")?,
            extraIdsigs: files(r, "extraIdsigs")?,
            ..Default::default()
        };
        if r.has(field::V17_PREVIEW) {
            app.tenantApks = files(r, "tenantApks")?;
            app.tenantIdsigs = files(r, "tenantIdsigs")?;
        }
        app.instanceImage = r.file("instanceImage")?;
        app.encryptedStorageImage = r.nullable_file("encryptedStorageImage")?;
        app.payload = payload(r)?;
        app.osName = r.text("osName")?;
        let why = "is neither NONE (0) nor FULL (1)";
        app.debugLevel = match r.below("debugLevel", 1, why)? {
            0 => DebugLevel::NONE,
            _ => DebugLevel::FULL,
        };
        app.protectedVm = r.boolean("protectedVm")?;
        app.memoryMib = r.int("memoryMib")?;
        app.cpuOptions = raw::cpu_options(r)?;
        app.customConfig = r.nullable("customConfig", custom)?;
        app.hugePages = r.boolean("hugePages")?;
        app.boostUclamp = r.boolean("boostUclamp")?;
        if r.has(field::HOST_SERVICES) {
            app.hostServices = r.list("hostServices", |r| r.text("hostServices"))?;
        }
        if r.has(field::V17_PREVIEW) {
            app.shouldDelayEncryptedStoreSetup = r.boolean("shouldDelayEncryptedStoreSetup")?;
            let key = r.nullable_binder("encryptedStoreKEK")?;
            app.encryptedStoreKEK = r.key(key);
        }
        if r.has(field::V17) {
            app.autoStartAdbd = r.boolean("autoStartAdbd")?;
            app.ramdump = r.boolean("ramdump")?;
        }
        if r.has(field::V17_1) {
            app.profileName = r.nullable_text("profileName")?;
        }
        Ok(app)
    })
}

fn files(r: &mut Reader<'_>, name: &'static str) -> Read<Vec<ParcelFileDescriptor>> {
    let files = r.list(name, |r| r.file(name))?;
    Ok(files.into_iter().flatten().collect())
}

fn payload(r: &mut Reader<'_>) -> Read<Payload> {
    if r.tag("payload", 2)? == 0 {
        return r.text("payload.configPath").map(Payload::ConfigPath);
    }
    r.parcelable("payload.payloadConfig", |r| {
        Ok(Payload::PayloadConfig(VirtualMachinePayloadConfig {
            payloadBinaryName: r.text("payload.payloadConfig.payloadBinaryName")?,
            extraApks: files(r, "payload.payloadConfig.extraApks")?,
        }))
    })
}

fn custom(r: &mut Reader<'_>) -> Read<CustomConfig> {
    Ok(CustomConfig {
        customKernelImage: r.nullable_file("customConfig.customKernelImage")?,
        gdbPort: r.int("customConfig.gdbPort")?,
        vendorImage: r.nullable_file("customConfig.vendorImage")?,
        devices: devices::selectors(r)?,
        wantUpdatable: r.boolean("customConfig.wantUpdatable")?,
        networkSupported: r.boolean("customConfig.networkSupported")?,
        extraKernelCmdlineParams: texts(r, field::QPR1, "customConfig.extraKernelCmdlineParams")?,
        teeServices: texts(r, field::QPR2, "customConfig.teeServices")?,
    })
}

/// A list of texts, if the layout has it.
fn texts(r: &mut Reader<'_>, since: field::Set, name: &'static str) -> Read<Vec<String>> {
    if r.has(since) {
        r.list(name, |r| r.text(name))
    } else {
        Ok(Vec::new())
    }
}
