// SPDX-License-Identifier: Apache-2.0
//! `VirtualMachineAppConfig`.

use super::raw::required;
use super::{Writer, Written};
use crate::release::field;
use avf_aidl::service::VirtualMachineAppConfig;
use avf_aidl::service::app_config::CustomConfig;

pub(super) fn config(w: &mut Writer<'_>, app: &VirtualMachineAppConfig) -> Written {
    w.put(&app.name)?;
    w.put(&app.instanceId)?;
    required(w, app.apk.as_ref())?;
    required(w, app.idsig.as_ref())?;
    w.put(&app.extraIdsigs)?;
    w.since(field::V17_PREVIEW, &app.tenantApks)?;
    w.since(field::V17_PREVIEW, &app.tenantIdsigs)?;
    required(w, app.instanceImage.as_ref())?;
    w.put(&app.encryptedStorageImage)?;
    w.put(&app.payload)?;
    w.put(&app.osName)?;
    w.put(&app.debugLevel)?;
    w.put(&app.protectedVm)?;
    w.put(&app.memoryMib)?;
    w.cpu_options(&app.cpuOptions)?;
    w.option(app.customConfig.as_ref(), custom)?;
    w.put(&app.hugePages)?;
    w.put(&app.boostUclamp)?;
    w.since(field::HOST_SERVICES, &app.hostServices)?;
    w.since(field::V17_PREVIEW, &app.shouldDelayEncryptedStoreSetup)?;
    w.since(field::V17_PREVIEW, &app.encryptedStoreKEK)?;
    w.since(field::V17, &app.autoStartAdbd)?;
    w.since(field::V17, &app.ramdump)?;
    w.since(field::V17_1, &app.profileName)
}

fn custom(w: &mut Writer<'_>, custom: &CustomConfig) -> Written {
    w.put(&custom.customKernelImage)?;
    w.put(&custom.gdbPort)?;
    w.put(&custom.vendorImage)?;
    w.devices(&custom.devices)?;
    w.put(&custom.wantUpdatable)?;
    w.put(&custom.networkSupported)?;
    w.since(field::QPR1, &custom.extraKernelCmdlineParams)?;
    w.since(field::QPR2, &custom.teeServices)
}
