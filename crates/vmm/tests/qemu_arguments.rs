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
use std::num::NonZeroU16;
use std::path::Path;
use vmm::accel::Acceleration;
use vmm::plan::*;
use vmm::qemu::{Qemu, program_name};
use vmm::{Arch, Vmm};

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
    plan.machine.disks = vec![
        Disk::Image {
            image: files.file("system"),
            writable: false,
        },
        Disk::Image {
            image: files.file("data"),
            writable: true,
        },
    ];
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
