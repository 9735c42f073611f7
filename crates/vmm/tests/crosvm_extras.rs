// SPDX-License-Identifier: Apache-2.0
//! crosvm's command lines for what few VMs have. The lists are beside those of `crosvm_arguments`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test panics"
)]

#[allow(dead_code, reason = "other lists use the rest")]
mod files;

use files::Files;
use files::crosvm::{EVERYTHING, android_arm, golden, golden_of, linux_arm, linux_x86, refused};
use host::PvmFirmware;
use std::num::NonZeroU32;
use std::os::unix::net::UnixStream;
use vmm::Vmm;
use vmm::plan::*;

fn protected(firmware: Firmware, swiotlb_mib: u32) -> Option<Protection> {
    Some(Protection {
        firmware,
        swiotlb_mib: NonZeroU32::new(swiotlb_mib),
    })
}

fn named_disk(files: &mut Files, role: &str, id: &str) -> Disk {
    Disk {
        id: Some(id.into()),
        ..files.disk(role, false)
    }
}

fn overlay(files: &mut Files, role: &str, filtered: bool) -> Overlay {
    Overlay {
        file: files.file(role),
        filtered,
    }
}

fn flash(files: &mut Files, role: &str, writable: bool) -> Pflash {
    Pflash {
        image: files.file(role),
        writable,
    }
}

fn device(files: &mut Files) -> UsbDevice {
    UsbDevice {
        vendor: 0x18d1,
        product: 0x4ee7,
        node: files.fd("usb"),
    }
}

fn some_smbios() -> Smbios {
    let text = |text: &str| Some(text.to_owned());
    Smbios {
        bios_vendor: text("A \"B\" [C]"),
        bios_version: text("1.0"),
        manufacturer: text("Maker, Inc."),
        product_name: text("Box"),
        serial_number: text("S=1"),
        uuid: "12e474af-2cc1-49d1-b0e5-d03a3e03ca03".parse().ok(),
        oem_strings: vec!["one".into(), "two,three".into()],
    }
}

#[test]
fn what_an_unprotected_vm_may_have() {
    golden("extras-x86", linux_x86(), |files, plan| {
        plan.machine.cpus = Cpus::Count(NonZeroU32::new(255).unwrap());
        plan.machine.pvmfw = Some(files.file("pvmfw"));
        plan.machine.memory_files = vec![
            MemoryFile {
                file: files.file("memory"),
                start: 0x8000_0000,
                size: 0x20_0000,
            },
            MemoryFile {
                file: files.file("more-memory"),
                start: 0x9000_0000,
                size: 0x1000,
            },
        ];
        plan.machine.disks = vec![
            named_disk(files, "system", "system"),
            named_disk(files, "data", "a,b"),
        ];
        plan.machine.pflash = vec![flash(files, "pflash", true)];
        plan.machine.smbios = Some(some_smbios());
        plan.machine.device_tree_overlay = Some(files.file("overlay"));
        plan.machine.overlays = vec![overlay(files, "client-overlay", false)];
        plan.machine.device_tree_dump = Some(files.fd("dump"));
        plan.machine.gpu = Some(Gpu::default());
        plan.machine.usb = true;
    });
}

#[test]
fn what_a_protected_vm_may_have() {
    golden("extras-arm64", android_arm(), |files, plan| {
        let pvmfw = files.file("pvmfw");
        plan.machine.protection = protected(Firmware::File(pvmfw), 64);
        plan.machine.vgic_its = Some(true);
        plan.machine.overlays = vec![overlay(files, "a", true), overlay(files, "b", false)];
        plan.machine.device_tree_dump = Some(files.fd("dump"));
        plan.consoles.ramdump = Some(files.fd("ramdump"));
    });
    golden("protected-bare", linux_arm(), |_, plan| {
        plan.machine.protection = protected(Firmware::Host(PvmFirmware::Absent), 0);
        plan.machine.vgic_its = Some(false);
    });
}

#[test]
fn a_name_where_crosvm_takes_one() {
    let words = format!("{EVERYTHING} --name");
    golden_of("name", linux_x86(), &words, |_, plan| {
        plan.name = "my vm".into();
    });
}

#[test]
fn a_compositor() {
    let mut files = Files::new();
    let mut plan = files.plan();
    let (client, _compositor) = UnixStream::pair().unwrap();
    plan.machine.gpu = Some(Gpu::default());
    plan.machine.wayland = Some(client.into());
    let crosvm = files.crosvm(linux_x86(), EVERYTHING);
    let launch = crosvm.prepare(plan).unwrap().launch;
    let arguments = launch.arguments();
    let at = arguments.iter().position(|a| a == "--wayland-sock");
    let path = arguments[at.unwrap() + 1].to_str().unwrap();
    let number = path.strip_prefix("/proc/self/fd/").unwrap();
    // The socket is connected, so that the path alone would not do.
    assert_eq!(
        launch.variables(),
        [("WAYLAND_SOCKET", number.to_owned().into())]
    );
}

#[test]
fn what_this_crosvm_would_leave_out_is_refused() {
    refused(linux_arm(), EVERYTHING, "smbiosOptions", |_, plan| {
        plan.machine.smbios = Some(some_smbios());
    });
    refused(linux_arm(), EVERYTHING, "pflash", |files, plan| {
        plan.machine.pflash = vec![flash(files, "pflash", true)];
    });
    refused(linux_x86(), EVERYTHING, "pflash: ", |files, plan| {
        plan.machine.pflash = vec![flash(files, "a", true), flash(files, "b", true)];
    });
    let bootloader = |files: &mut Files, plan: &mut Plan| {
        plan.machine.boot = Boot::Bootloader {
            image: files.file("bootloader"),
            initrd: None,
            params: String::new(),
        };
    };
    refused(linux_x86(), EVERYTHING, "dumpDtFd", |files, plan| {
        bootloader(files, plan);
        plan.machine.device_tree_dump = Some(files.fd("dump"));
    });
    refused(
        linux_x86(),
        EVERYTHING,
        "deviceTreeOverlay",
        |files, plan| {
            bootloader(files, plan);
            plan.machine.overlays = vec![overlay(files, "overlay", false)];
        },
    );
    refused(
        android_arm(),
        EVERYTHING,
        "usbConfig.devices",
        |files, plan| {
            plan.machine.protection = protected(Firmware::Host(PvmFirmware::Own), 0);
            plan.machine.usb_devices = vec![device(files)];
        },
    );
}

/// The error about a value.
fn invalid(change: impl FnOnce(&mut Files, &mut Plan)) -> String {
    let mut files = Files::new();
    let mut plan = files.plan();
    change(&mut files, &mut plan);
    let crosvm = files.crosvm(linux_x86(), EVERYTHING);
    let error = crosvm.prepare(plan).unwrap_err();
    assert!(error.is_invalid_input(), "{error}");
    error.to_string()
}

#[test]
fn what_no_guest_can_have_is_invalid() {
    let text = invalid(|_, plan| {
        plan.machine.cpus = Cpus::Count(NonZeroU32::new(256).unwrap());
    });
    assert_eq!(
        text,
        "cpuOptions.cpuTopology.cpuCount 256: crosvm gives a guest at most 255 CPUs; ask for fewer"
    );
    let text = invalid(|files, plan| plan.machine.pflash = vec![flash(files, "flash", false)]);
    assert!(text.starts_with("pflash[0]: "), "{text}");
}
