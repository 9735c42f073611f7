// SPDX-License-Identifier: Apache-2.0
//! What becomes of a whole config.

use super::*;
use avf_aidl::service::{DiskImage, GpuConfig, SmbiosOptions};
use host::PvmFirmware;
use std::fs::File;

const HYPERVISOR: Hypervisor = Hypervisor {
    memory_reclaim: true,
    protected_vms: false,
    firmware: PvmFirmware::Own,
};
const NO_FILES: ClientFiles<'_> = ClientFiles {
    console_out: None,
    console_in: None,
    os_log: None,
    device_tree: None,
};

fn file(bytes: u64) -> ParcelFileDescriptor {
    let file = tempfile::tempfile().unwrap();
    file.set_len(bytes).unwrap();
    ParcelFileDescriptor::new(file)
}

fn config() -> VirtualMachineRawConfig {
    VirtualMachineRawConfig {
        name: "vm-1".into(),
        kernel: Some(file(4096)),
        platformVersion: "~1.0".into(),
        ..Default::default()
    }
}

fn draft(change: impl FnOnce(&mut VirtualMachineRawConfig)) -> Result<Draft, Error> {
    let mut config = config();
    change(&mut config);
    Draft::new(&config, NO_FILES, &HYPERVISOR, LabelPolicy::Raw)
}

fn params(draft: Draft) -> String {
    match draft.machine.boot {
        Boot::Kernel { params, .. } | Boot::Bootloader { params, .. } => params,
    }
}

#[test]
fn the_guest_is_named_after_the_vm() {
    assert_eq!(params(draft(|_| {}).unwrap()), "hostname=vm-1");
    let with = |name: &str, given: &str| {
        let draft = draft(|config| {
            config.name = name.into();
            config.params = Some(given.into());
        });
        params(draft.unwrap())
    };
    assert_eq!(with("vm", "hostname=own a"), "hostname=vm hostname=own a");
    for name in ["a b", "a_b", "a.b", "\u{e9}", &"a".repeat(65)] {
        assert_eq!(with(name, "a"), "a", "{name}");
    }
    // There is no room.
    let long = "x".repeat(1990);
    assert_eq!(with("vm-1", &long), long);
    let bootloader = draft(|config| {
        config.bootloader = config.kernel.take();
    });
    assert_eq!(params(bootloader.unwrap()), "");
}

#[test]
fn new_fields_arrive() {
    let draft = draft(|config| {
        config.pflash = vec![file(4096)];
        config.customPvmfw = Some(file(1));
        config.deviceTreeOverlay = Some(file(1));
        config.smbiosOptions = Some(SmbiosOptions {
            biosVendor: Some("vendor".into()),
            ..Default::default()
        });
        config.disks = vec![DiskImage {
            image: Some(file(512)),
            id: Some("id".into()),
            ..Default::default()
        }];
        config.allowVgicItsInPvm = true;
    });
    let machine = draft.unwrap().machine;
    assert_eq!((machine.pflash.len(), machine.overlays.len()), (1, 1));
    assert!(machine.pvmfw.is_some() && machine.smbios.is_some());
    assert_eq!(machine.disks[0].id.as_deref(), Some("id"));
    // It is for protected VMs.
    assert_eq!(machine.vgic_its, None);
}

#[test]
fn the_device_tree_goes_where_it_can_be_written() {
    let with = |dump: &ParcelFileDescriptor| {
        let files = ClientFiles {
            device_tree: Some(dump),
            ..NO_FILES
        };
        Draft::new(&config(), files, &HYPERVISOR, LabelPolicy::Raw)
    };
    assert!(with(&file(0)).unwrap().machine.device_tree_dump.is_some());
    let read_only = ParcelFileDescriptor::new(File::open("/dev/null").unwrap());
    let error = with(&read_only).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.to_string().starts_with("dumpDtFd: "), "{error}");
}

#[test]
fn a_bad_value_is_the_clients_fault() {
    for (change, field) in [
        (
            (|c| c.swiotlbMib = -1) as fn(&mut VirtualMachineRawConfig),
            "swiotlbMib -1: ",
        ),
        (|c| c.pflash = vec![file(1)], "pflash[0]: "),
        (
            |c| c.smbiosOptions.insert(SmbiosOptions::default()).uuid = Some("1".into()),
            "smbiosOptions.uuid \"1\": ",
        ),
        (
            |c| c.gpuConfig.insert(GpuConfig::default()).waylandSocketFd = Some(file(1)),
            "gpuConfig.waylandSocketFd: ",
        ),
    ] {
        let error = draft(change).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{error}");
        assert!(error.to_string().starts_with(field), "{error}");
    }
}
