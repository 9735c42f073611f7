// SPDX-License-Identifier: Apache-2.0
//! QEMU's command line on both processors. The lists are in `qemu_arguments/`, one argument a line,
//! as those of crosvm are.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test panics"
)]

#[allow(dead_code, reason = "crosvm's lists use the rest")]
mod files;

use files::Files;
use std::fs;
use std::num::{NonZeroU16, NonZeroU32};
use std::path::Path;
use vmm::accel::Acceleration;
use vmm::plan::*;
use vmm::qemu::{Qemu, program_name};
use vmm::{Arch, Error, Vmm};

/// What stands before the number of a descriptor.
const MARKS: [&str; 6] = [
    "/proc/self/fd/",
    "/dev/fdset/",
    "vhostfd=",
    "fd=",
    "set=",
    "server.str=",
];

/// `argument` with its descriptors by their roles.
fn named(files: &Files, argument: &str) -> String {
    let mut shown = String::new();
    let mut rest = argument;
    while let Some((at, mark)) = MARKS
        .iter()
        .filter_map(|mark| rest.find(mark).map(|at| (at, *mark)))
        .min()
    {
        let (before, after) = rest.split_at(at + mark.len());
        let end = after
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(after.len());
        shown.push_str(before);
        if end > 0 {
            shown.push_str(&files.name(&after[..end]));
        }
        rest = &after[end..];
    }
    shown + rest
}

fn golden(list: &str, arch: Arch, change: impl FnOnce(&mut Files, &mut Plan)) {
    let mut files = Files::new();
    let mut plan = files.plan();
    change(&mut files, &mut plan);
    let qemu = Qemu::new(program_name(arch).into(), arch, Acceleration::Emulation);
    let prepared = qemu.prepare(plan).unwrap();
    let lines: Vec<String> = prepared
        .launch
        .arguments()
        .iter()
        .map(|argument| named(&files, argument.to_str().unwrap()))
        .collect();
    let text = lines.join("\n") + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/qemu_arguments")
        .join(list);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let wanted = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert_eq!(text, wanted, "{list} differs");
}

fn some(files: &mut Files, plan: &mut Plan) {
    plan.name = "a,b".into();
    plan.machine.boot = Boot::Kernel {
        kernel: files.kernel(),
        initrd: Some(files.file("initrd")),
        params: "console=hvc0 panic=-1".into(),
    };
    plan.machine.disks = vec![files.disk("system", false), files.disk("data", true)];
    plan.machine.gdb_port = NonZeroU16::new(1234);
    plan.machine.device_tree_overlay = Some(files.file("overlay"));
    plan.machine.usb = true;
    plan.consoles.ramdump = Some(files.fd("ramdump"));
    plan.vsock = Vsock::User {
        socket: files.fd("vsock-device"),
    };
    plan.tap = Some(files.fd("tap"));
}

#[test]
fn the_least_on_both_processors() {
    golden("least-x86", Arch::X86_64, |_, _| {});
    golden("least-arm64", Arch::Aarch64, |_, _| {});
}

#[test]
fn many_fields_on_both_processors() {
    golden("some-x86", Arch::X86_64, some);
    golden("some-arm64", Arch::Aarch64, some);
}

fn flash(files: &mut Files, role: &str, writable: bool) -> Pflash {
    Pflash {
        image: files.file(role),
        writable,
    }
}

fn extras(files: &mut Files, plan: &mut Plan) {
    let text = |text: &str| Some(text.to_owned());
    plan.machine.cpus = Cpus::Count(NonZeroU32::new(3).unwrap());
    plan.machine.disks = vec![Disk {
        id: Some("a,b".into()),
        ..files.disk("system", false)
    }];
    plan.machine.boot = Boot::Bootloader {
        image: files.file("bootloader"),
        initrd: None,
        params: String::new(),
    };
    plan.machine.pflash = vec![flash(files, "variables", true)];
    plan.machine.smbios = Some(Smbios {
        bios_vendor: text("Maker, \"Inc.\""),
        bios_version: None,
        manufacturer: text("M"),
        product_name: text("P"),
        serial_number: text("S=1"),
        uuid: "12e474af-2cc1-49d1-b0e5-d03a3e03ca03".parse().ok(),
        oem_strings: vec!["one".into(), "two,three".into()],
    });
    plan.machine.usb = true;
    plan.machine.usb_devices = vec![UsbDevice {
        vendor: 0x18d1,
        product: 2,
        node: files.fd("usb"),
    }];
}

#[test]
fn what_few_vms_have_on_both_processors() {
    golden("extras-x86", Arch::X86_64, extras);
    golden("extras-arm64", Arch::Aarch64, extras);
    golden("pflash-kernel", Arch::X86_64, |files, plan| {
        plan.machine.pflash = vec![flash(files, "code", false), flash(files, "variables", true)];
    });
}

fn prepare(change: impl FnOnce(&mut Files, &mut Plan)) -> Error {
    let mut files = Files::new();
    let mut plan = files.plan();
    change(&mut files, &mut plan);
    let qemu = Qemu::new("qemu".into(), Arch::X86_64, Acceleration::Emulation);
    qemu.prepare(plan).unwrap_err()
}

fn refused(field: &str, change: impl FnOnce(&mut Files, &mut Plan)) {
    let error = prepare(change);
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    assert!(error.to_string().contains(field), "{error}");
}

#[test]
fn what_qemu_cannot_do_is_refused() {
    refused("dumpDtFd: ", |files, plan| {
        plan.machine.device_tree_dump = Some(files.fd("dump"));
    });
    refused("deviceTreeOverlay: ", |files, plan| {
        plan.machine.overlays = vec![Overlay {
            file: files.file("overlay"),
            filtered: false,
        }];
    });
    refused("customPvmfw: ", |files, plan| {
        plan.machine.pvmfw = Some(files.file("pvmfw"));
    });
    refused("customMemoryBackingFiles: ", |files, plan| {
        plan.machine.memory_files = vec![MemoryFile {
            file: files.file("memory"),
            start: 0,
            size: 4096,
        }];
    });
    refused("gpuConfig.waylandSocketFd: ", |files, plan| {
        plan.machine.wayland = Some(files.fd("compositor"));
    });
    refused("pflash: ", |files, plan| {
        plan.machine.pflash = ["a", "b", "c"].map(|role| flash(files, role, true)).into();
    });
    refused("pflash with a bootloader: ", |files, plan| {
        extras(files, plan);
        plan.machine.pflash.push(flash(files, "second", true));
    });
}

#[test]
fn what_no_guest_can_have_is_invalid() {
    let error = prepare(|_, plan| {
        plan.machine.cpus = Cpus::Count(NonZeroU32::new(256).unwrap());
    });
    assert!(error.is_invalid_input(), "{error}");
    // The same file twice, and one of them writable.
    let error = prepare(|files, plan| {
        let image = files.file("flash");
        plan.machine.disks = vec![
            DiskContent::Image {
                image: image.try_clone().unwrap(),
                writable: false,
            }
            .into(),
        ];
        plan.machine.pflash = vec![Pflash {
            image,
            writable: true,
        }];
    });
    assert!(matches!(error, Error::SameImage { .. }), "{error}");
}
