// SPDX-License-Identifier: Apache-2.0
//! crosvm's command line, whole, for configurations that together use every field of a plan.
//!
//! The lists are in `crosvm_arguments/`, one argument a line. A descriptor is shown by what it is:
//! `{kernel}` stands for `/proc/self/fd/` and the number of the descriptor of the kernel. With
//! `UPDATE_GOLDEN=1` in the environment the lists are written instead of compared; then read them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test panics"
)]

mod files;

use files::Files;
use files::crosvm::{EVERYTHING, android_arm, android_x86, golden, linux_arm, linux_x86, refused};
use host::PvmFirmware;
use std::num::{NonZeroU16, NonZeroU32};
use vmm::plan::*;

fn two_cpus() -> NonZeroU32 {
    NonZeroU32::new(2).unwrap()
}

fn some_gpu() -> Gpu {
    Gpu {
        backend: Some("virglrenderer".into()),
        context_types: Some(vec!["virgl2".into(), "venus".into()]),
        pci_address: Some("00:02.0".into()),
        renderer_features: Some("VulkanBatchedDescriptorSetUpdate:enabled".into()),
        renderers: vec!["egl", "gles", "glx", "surfaceless", "vulkan"],
    }
}

fn some_display() -> Display {
    let number = |n| NonZeroU32::new(n).unwrap();
    Display {
        width: number(1280),
        height: number(800),
        horizontal_dpi: number(160),
        vertical_dpi: number(161),
        refresh_rate: number(60),
    }
}

fn all_inputs(files: &mut Files) -> Vec<Input> {
    let surface = |name: &str| Surface {
        width: 1080,
        height: 2400,
        name: name.into(),
    };
    [
        ("evdev", InputKind::EvDev),
        ("keyboard", InputKind::Keyboard),
        ("mouse", InputKind::Mouse),
        ("switches", InputKind::Switches),
        ("single-touch", InputKind::SingleTouch(surface(""))),
        ("multi-touch", InputKind::MultiTouch(surface("panel"))),
        ("trackpad", InputKind::Trackpad(surface("pad"))),
    ]
    .into_iter()
    .map(|(role, kind)| Input {
        kind,
        source: files.fd(role),
    })
    .collect()
}

fn partition(files: &mut Files, label: &str, bytes: u64, writable: bool) -> Partition {
    let image = files.file(label);
    image.set_len(bytes).unwrap();
    Partition {
        label: label.into(),
        image,
        writable,
        guid: None,
    }
}

fn disk_of(partitions: Vec<Partition>) -> Disk {
    DiskContent::Partitions(partitions).into()
}

/// A protected VM whose firmware the host's settings name.
fn protection(firmware: PvmFirmware) -> Protection {
    Protection {
        firmware: Firmware::Host(firmware),
        swiotlb_mib: None,
    }
}

fn some_devices(files: &mut Files) -> Assigned {
    let device = |n: u8| AssignedDevice {
        path: format!("/sys/bus/platform/devices/{n}.device").into(),
        label: format!("device{n}"),
    };
    Assigned {
        dtbo: files.file("dtbo"),
        devices: vec![device(1), device(2)],
    }
}

#[test]
fn the_least() {
    golden("least", linux_x86(), |_, _| {});
}

#[test]
fn a_vsock_device_in_a_process_of_its_own() {
    golden("user-vsock", linux_x86(), |files, plan| {
        plan.vsock = Vsock::User {
            socket: files.fd("vsock-device"),
        };
        plan.machine.balloon = Balloon::Absent;
    });
}

#[test]
fn a_kernel_with_everything() {
    golden("kernel", linux_x86(), |files, plan| {
        plan.machine.boot = Boot::Kernel {
            kernel: files.kernel(),
            initrd: Some(files.file("initrd")),
            params: "console=hvc0 panic=-1".into(),
        };
        plan.machine.memory_mib = NonZeroU32::new(1024).unwrap();
        plan.machine.cpus = Cpus::Count(two_cpus());
    });
}

#[test]
fn a_bootloader() {
    golden("bootloader", android_arm(), |files, plan| {
        plan.machine.boot = Boot::Bootloader {
            image: files.file("bootloader"),
            initrd: Some(files.file("initrd")),
            params: "a=b".into(),
        };
    });
}

#[test]
fn cpus_like_the_host_on_both_processors() {
    let change = |_: &mut Files, plan: &mut Plan| plan.machine.cpus = Cpus::MatchHost(two_cpus());
    golden("match-host-arm64", linux_arm(), change);
    golden("match-host-x86", linux_x86(), change);
}

#[test]
fn whole_images() {
    golden("images", linux_x86(), |files, plan| {
        plan.machine.disks = vec![files.disk("system", false), files.disk("data", true)];
    });
}

#[test]
fn disks_of_partitions() {
    golden("partitions", linux_x86(), |files, plan| {
        let first = vec![
            partition(files, "boot", 5000, false),
            partition(files, "misc", 8192, true),
        ];
        let second = vec![partition(files, "vendor", 4096, false)];
        let image = files.disk("between", false);
        plan.machine.disks = vec![disk_of(first), image, disk_of(second)];
    });
}

#[test]
fn console_input_and_memory_dump() {
    golden("console-hvc0", linux_x86(), |files, plan| {
        plan.consoles.console_in = Some(files.fd("input"));
        plan.consoles.ramdump = Some(files.fd("ramdump"));
    });
    golden("console-ttys0", linux_x86(), |files, plan| {
        plan.consoles.console_in = Some(files.fd("input"));
        plan.consoles.console_input = ConsoleInput::TtyS0;
    });
}

#[test]
fn protected_vms() {
    let image = |files: &mut Files| vec![files.disk("system", false)];
    golden("protected", android_arm(), |files, plan| {
        plan.machine.protection = Some(protection(PvmFirmware::Own));
        plan.machine.disks = image(files);
    });
    golden("protected-firmware", android_arm(), |files, plan| {
        plan.machine.protection = Some(protection(PvmFirmware::At("/vendor/pvmfw.bin".into())));
        plan.machine.disks = image(files);
        plan.consoles.ramdump = Some(files.fd("ramdump"));
    });
}

#[test]
fn a_debugger() {
    golden("gdb", linux_x86(), |_, plan| {
        plan.machine.gdb_port = NonZeroU16::new(1234);
    });
}

#[test]
fn graphics_on_both_systems() {
    let change = |_: &mut Files, plan: &mut Plan| {
        plan.machine.gpu = Some(some_gpu());
        plan.machine.display = Some(some_display());
    };
    golden("graphics-android", android_x86(), change);
    golden("graphics-linux", linux_x86(), change);
    golden("gpu-alone", linux_x86(), |_, plan| {
        plan.machine.gpu = Some(Gpu {
            backend: Some("2d".into()),
            ..Gpu::default()
        });
    });
    golden("display-alone", android_arm(), |_, plan| {
        plan.machine.display = Some(some_display());
    });
}

#[test]
fn input_devices() {
    golden("inputs", linux_x86(), |files, plan| {
        plan.machine.inputs = all_inputs(files);
    });
}

#[test]
fn sound() {
    golden("audio", android_arm(), |_, plan| {
        plan.machine.audio = Some(Audio {
            microphone: true,
            speaker: false,
        });
    });
}

#[test]
fn devices_of_the_host() {
    golden("devices", android_arm(), |files, plan| {
        plan.machine.device_tree_overlay = Some(files.file("overlay"));
        plan.assigned = Some(some_devices(files));
    });
}

#[test]
fn everything_at_once() {
    golden("everything", android_arm(), |files, plan| {
        plan.machine.boot = Boot::Kernel {
            kernel: files.kernel(),
            initrd: Some(files.file("initrd")),
            params: "androidboot.selinux=permissive".into(),
        };
        plan.machine.cpus = Cpus::MatchHost(two_cpus());
        plan.machine.disks = vec![
            files.disk("system", false),
            disk_of(vec![partition(files, "vm-instance", 8192, true)]),
        ];
        plan.consoles.console_in = Some(files.fd("input"));
        plan.consoles.ramdump = Some(files.fd("ramdump"));
        plan.machine.protection = Some(protection(PvmFirmware::Own));
        plan.machine.gdb_port = NonZeroU16::new(4321);
        plan.machine.huge_pages = true;
        plan.machine.boost_uclamp = true;
        plan.machine.device_tree_overlay = Some(files.file("overlay"));
        plan.machine.gpu = Some(some_gpu());
        plan.machine.display = Some(some_display());
        plan.tap = Some(files.fd("tap"));
        plan.machine.inputs = all_inputs(files);
        plan.assigned = Some(some_devices(files));
        plan.machine.audio = Some(Audio {
            microphone: true,
            speaker: true,
        });
        plan.machine.usb = true;
    });
}

#[test]
fn what_is_missing_is_named() {
    refused(linux_x86(), EVERYTHING, "protectedVm", |_, plan| {
        plan.machine.protection = Some(protection(PvmFirmware::Own));
    });
    refused(linux_x86(), EVERYTHING, "audioConfig", |_, plan| {
        plan.machine.audio = Some(Audio {
            microphone: false,
            speaker: true,
        });
    });
    refused(linux_x86(), "--gpu", "gdbPort: ", |_, plan| {
        plan.machine.gdb_port = NonZeroU16::new(1);
    });
    refused(linux_x86(), "--gdb", "--features gpu", |_, plan| {
        plan.machine.gpu = Some(Gpu::default());
    });
    refused(linux_x86(), "--gdb", "--features gpu", |_, plan| {
        plan.machine.display = Some(some_display());
    });
    refused(linux_x86(), "", "disks[0].partitions", |files, plan| {
        plan.machine.disks = vec![disk_of(vec![partition(files, "a", 4096, false)])];
    });
}
