// SPDX-License-Identifier: Apache-2.0
//! What is refused, by the field's name, where a feature is off; and what is not, where it is on.

use super::check_features;
use crate::app_config;
use crate::capabilities::Capabilities;
use crate::error::{Error, Kind};
use avf_aidl::service::app_config::CustomConfig;
use avf_aidl::service::{
    AssignableDeviceSelector, SharedPath, VirtualMachineAppConfig, VirtualMachineRawConfig,
};
use host::{Hypervisor, PvmFirmware};
use rsbinder::ParcelFileDescriptor;
use std::fs::File;

const NONE: Capabilities = Capabilities {
    program: "manager",
    network: false,
    device_assignment: false,
    vendor_modules: false,
    multi_tenant: false,
    llpvm_changes: false,
    remote_attestation: false,
    dice_changes: false,
};
const ORDINARY: Hypervisor = Hypervisor {
    memory_reclaim: true,
    protected_vms: false,
    firmware: PvmFirmware::Own,
};

fn refused(result: Result<(), Error>, field: &str) {
    match result {
        Err(e) if e.kind() == Kind::Unsupported => {
            assert!(e.to_string().contains(field), "{e}");
        }
        other => panic!("{field}: {other:?}"),
    }
}

#[test]
fn fields_of_a_raw_config() {
    let raw = |change: fn(&mut VirtualMachineRawConfig), can| {
        let mut config = VirtualMachineRawConfig::default();
        change(&mut config);
        check_features(&config, can, &ORDINARY)
    };
    raw(|_| {}, NONE).unwrap();
    let network: fn(&mut VirtualMachineRawConfig) = |config| config.networkSupported = true;
    refused(raw(network, NONE), "networkSupported");
    let with_network = Capabilities {
        network: true,
        ..NONE
    };
    raw(network, with_network).unwrap();
    let devices: fn(&mut VirtualMachineRawConfig) = |config| {
        let device = AssignableDeviceSelector::ByPath("/sys/x".into());
        config.deviceAssignmentConfig.devices = vec![device];
    };
    refused(raw(devices, NONE), "devices");
    let with_devices = Capabilities {
        device_assignment: true,
        ..NONE
    };
    raw(devices, with_devices).unwrap();
    refused(
        raw(|config| config.protectedVm = true, with_network),
        "protectedVm",
    );
}

#[test]
fn fields_that_nothing_serves() {
    let raw = |change: fn(&mut VirtualMachineRawConfig)| {
        let mut config = VirtualMachineRawConfig::default();
        change(&mut config);
        check_features(&config, NONE, &ORDINARY)
    };
    let shared: fn(&mut VirtualMachineRawConfig) = |c| c.sharedPaths = vec![SharedPath::default()];
    refused(raw(shared), "sharedPaths");
    refused(raw(|c| c.hostServices = vec!["a".into()]), "hostServices");
    refused(raw(|c| c.teeServices = vec!["a".into()]), "teeServices");
    refused(raw(|c| c.profileName = Some("a".into())), "profileName");
    raw(|c| c.profileName = Some(String::new())).unwrap();
    raw(|c| c.enableSecretkeeper = false).unwrap();
    let error = raw(|c| c.enableHypervisorSpecificAuthMethod = true).unwrap_err();
    assert_eq!(error.kind(), Kind::Failure);
    let text = error.to_string();
    assert!(
        text.starts_with("enableHypervisorSpecificAuthMethod: "),
        "{text}"
    );
}

#[test]
fn fields_of_an_app_config_that_nothing_serves() {
    fn file() -> ParcelFileDescriptor {
        ParcelFileDescriptor::new(File::open("/dev/null").unwrap())
    }
    let all = Capabilities {
        multi_tenant: true,
        vendor_modules: true,
        ..NONE
    };
    let app = |change: fn(&mut VirtualMachineAppConfig)| {
        let mut config = VirtualMachineAppConfig::default();
        change(&mut config);
        app_config::check_features(&config, all)
    };
    app(|_| {}).unwrap();
    refused(app(|c| c.tenantApks = vec![file()]), "tenantApks");
    refused(app(|c| c.tenantIdsigs = vec![file()]), "tenantIdsigs");
    refused(app(|c| c.hostServices = vec!["a".into()]), "hostServices");
    refused(app(|c| c.profileName = Some("a".into())), "profileName");
    refused(
        app(|c| c.shouldDelayEncryptedStoreSetup = true),
        "shouldDelayEncryptedStoreSetup",
    );
    let tee: fn(&mut VirtualMachineAppConfig) = |config| {
        config.customConfig = Some(CustomConfig {
            teeServices: vec!["a".into()],
            ..Default::default()
        });
    };
    refused(app(tee), "customConfig.teeServices");
    app(|c| c.autoStartAdbd = true).unwrap();
}

#[test]
fn fields_of_an_app_config() {
    fn file() -> ParcelFileDescriptor {
        ParcelFileDescriptor::new(File::open("/dev/null").unwrap())
    }
    let app = |custom: fn(&mut CustomConfig), extras: bool, can| {
        let mut config = CustomConfig::default();
        custom(&mut config);
        let app = VirtualMachineAppConfig {
            customConfig: Some(config),
            extraIdsigs: if extras { vec![file()] } else { Vec::new() },
            ..Default::default()
        };
        app_config::check_features(&app, can)
    };
    app(|_| {}, false, NONE).unwrap();
    let kernel: fn(&mut CustomConfig) = |c| c.customKernelImage = Some(file());
    let vendor: fn(&mut CustomConfig) = |c| c.vendorImage = Some(file());
    refused(app(kernel, false, NONE), "customKernelImage");
    refused(app(vendor, false, NONE), "vendorImage");
    let with_modules = Capabilities {
        vendor_modules: true,
        ..NONE
    };
    app(kernel, false, with_modules).unwrap();
    app(vendor, false, with_modules).unwrap();
    refused(app(|_| {}, true, with_modules), "extra APKs");
    let with_extras = Capabilities {
        multi_tenant: true,
        ..NONE
    };
    app(|_| {}, true, with_extras).unwrap();
}
