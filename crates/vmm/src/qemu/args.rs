// SPDX-License-Identifier: Apache-2.0
//! The command line.

use super::blocks;
use super::chardev;
use super::devices::{self, Rare};
use super::firmware;
use super::qmp::Qmp;
use crate::accel::Acceleration;
use crate::images::Images;
use crate::launch::Launch;
use crate::plan::{Balloon, ConsoleInput, Consoles, Plan, Vsock};
use crate::{Arch, Error, Prepared, kernel};
use std::path::Path;

/// QEMU's own seccomp filter, with everything denied that a running VM does not need.
const SANDBOX: &str = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny";

/// MiB that the guest's kernel sets aside for writing a dump of its memory.
const RAMDUMP_MIB: u32 = 17;

/// The item of the firmware configuration device that has the guest's device-tree overlay.
const OVERLAY: &str = "opt/avf/device-tree-overlay";

pub(super) fn build(
    program: &Path,
    arch: Arch,
    accel: Acceleration,
    plan: Plan,
) -> Result<Prepared, Error> {
    devices::check(&plan)?;
    plan.machine.check_cpus(super::NAME, arch)?;
    let mut launch = Launch::new(program.to_owned());
    let mut helpers = Vec::new();
    launch.args(["-name", &escape(&plan.name)]);
    launch.args([
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-no-reboot",
    ]);
    launch.args(["-sandbox", SANDBOX]);
    machine(&mut launch, arch, accel, &plan);
    let control = Qmp::attach(&mut launch, &plan)?;
    if let Some(port) = plan.machine.gdb_port {
        // The guest waits for the debugger, which must be on this machine.
        launch.args(["-gdb", &format!("tcp:127.0.0.1:{port}"), "-S"]);
    }
    let host_params = match plan.consoles.ramdump {
        Some(_) => format!("crashkernel={RAMDUMP_MIB}M"),
        None => String::new(),
    };
    kernel::check(&plan.machine.boot, arch, &host_params)?;
    let mut images = Images::default();
    firmware::boot(
        &mut launch,
        &mut images,
        arch,
        plan.machine.boot,
        host_params,
        plan.machine.pflash,
    )?;
    firmware::smbios(&mut launch, plan.machine.smbios.as_ref());
    if let Some(overlay) = plan.machine.device_tree_overlay {
        // Most of QEMU's guests have no device tree, and none of them applies an overlay.
        let overlay = launch.pass_path(overlay.into());
        let item = format!("name={OVERLAY},file={overlay}");
        launch.args(["-fw_cfg", &item]);
    }
    // The order of devices is the order of their PCI slots: console and vsock first, so that the
    // number of disks does not move them.
    helpers.extend(consoles(&mut launch, arch, plan.consoles)?);
    vsock(&mut launch, plan.vsock);
    launch.args(["-device", "virtio-rng-pci"]);
    if plan.machine.balloon == Balloon::PageReporting {
        launch.args([
            "-device",
            "virtio-balloon-pci,id=balloon,free-page-reporting=on",
        ]);
    }
    launch.args(["-device", "pvpanic-pci"]);
    for (index, disk) in plan.machine.disks.into_iter().enumerate() {
        helpers.extend(blocks::add(&mut launch, &mut images, index, disk)?);
    }
    helpers.extend(images.into_helper());
    devices::add(
        &mut launch,
        Rare {
            display: plan.machine.display,
            gpu: plan.machine.gpu.is_some(),
            tap: plan.tap,
            inputs: plan.machine.inputs,
            usb: plan.machine.usb,
            usb_devices: plan.machine.usb_devices,
        },
    );
    Ok(Prepared {
        name: super::NAME,
        launch,
        control: Box::new(control),
        helpers,
    })
}

/// A comma separates options; two are one in a value.
pub(super) fn escape(value: &str) -> String {
    value.replace(',', ",,")
}

fn machine(launch: &mut Launch, arch: Arch, accel: Acceleration, plan: &Plan) {
    let (board, cpu) = match (arch, accel) {
        (Arch::X86_64, Acceleration::Kvm) => ("q35,accel=kvm", Some("host")),
        // The default model: `max` makes the emulated kernel's start slower.
        (Arch::X86_64, Acceleration::Emulation) => ("q35,accel=tcg", None),
        (Arch::Aarch64, Acceleration::Kvm) => ("virt,accel=kvm,gic-version=host", Some("host")),
        (Arch::Aarch64, Acceleration::Emulation) => ("virt,accel=tcg", Some("max,pauth-impdef=on")),
    };
    launch.args([
        "-machine",
        &format!("{board},memory-backend=ram,dump-guest-core=off"),
    ]);
    if let Some(cpu) = cpu {
        launch.args(["-cpu", cpu]);
    }
    // Shared, for devices in processes of their own.
    launch.args([
        "-object",
        &format!(
            "memory-backend-memfd,id=ram,size={}M,share=on",
            plan.machine.memory_mib
        ),
    ]);
    launch.args(["-m", &format!("{}M", plan.machine.memory_mib)]);
    launch.args(["-smp", &plan.machine.cpus.count().to_string()]);
}

/// ttyS0 and hvc0: console; ttyS1: failure reason; hvc1: memory dump; hvc2: log.
fn consoles(
    launch: &mut Launch,
    arch: Arch,
    consoles: Consoles,
) -> Result<Vec<Box<dyn Send>>, Error> {
    let second = consoles
        .console_out
        .try_clone()
        .map_err(|e| Error::io("cannot duplicate the console's descriptor", e))?;
    let (serial_in, virtio_in) = match consoles.console_input {
        ConsoleInput::TtyS0 => (consoles.console_in, None),
        ConsoleInput::Hvc0 => (None, consoles.console_in),
    };
    let mut helpers = Vec::new();
    for (id, out, input) in [
        ("ttyS0", Some(consoles.console_out), serial_in),
        ("ttyS1", Some(consoles.failure), None),
        ("hvc0", Some(second), virtio_in),
        ("hvc1", consoles.ramdump, None),
        ("hvc2", Some(consoles.log), None),
    ] {
        match out {
            Some(out) => helpers.extend(chardev::add(launch, id, out, input)?),
            None => chardev::add_null(launch, id),
        }
    }
    match arch {
        Arch::X86_64 => {
            launch.args(["-serial", "chardev:ttyS0", "-serial", "chardev:ttyS1"]);
        }
        // The board's own line is a ttyAMA; those of the contract are 16550s.
        Arch::Aarch64 => {
            launch.args([
                "-device",
                "pci-serial,chardev=ttyS0",
                "-device",
                "pci-serial,chardev=ttyS1",
            ]);
        }
    }
    launch.args(["-device", "virtio-serial-pci"]);
    for (port, id) in ["hvc0", "hvc1", "hvc2"].into_iter().enumerate() {
        launch.args(["-device", &format!("virtconsole,nr={port},chardev={id}")]);
    }
    Ok(helpers)
}

fn vsock(launch: &mut Launch, vsock: Vsock) {
    match vsock {
        Vsock::Kernel { vhost, cid } => {
            let fd = launch.pass(vhost);
            launch.args([
                "-device",
                &format!("vhost-vsock-pci,guest-cid={cid},vhostfd={fd}"),
            ]);
        }
        Vsock::User { socket } => {
            let fd = launch.pass(socket);
            launch.args(["-chardev", &format!("socket,id=vsock,fd={fd}")]);
            launch.args(["-device", "vhost-user-vsock-pci,chardev=vsock"]);
        }
    }
}
