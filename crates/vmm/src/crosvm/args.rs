// SPDX-License-Identifier: Apache-2.0
//! The command line, in the order that guests count on.

use super::abilities::Abilities;
use super::control::{Frontend, Guest};
use super::{Dialect, NAME, devices, disks, extras, serials, unsupported};
use crate::images::Images;
use crate::launch::Launch;
use crate::plan::{self, Balloon, Boot, Cpus, Firmware, Plan, Protection, Vsock};
use crate::{Error, Prepared, kernel};
use host::PvmFirmware;
use std::num::NonZeroU32;
use std::path::Path;

/// MiB that the guest's kernel sets aside for writing a dump of its memory.
const RAMDUMP_MIB: u32 = 17;

pub(super) fn build(
    program: &Path,
    dialect: &Dialect,
    abilities: &Abilities,
    plan: Plan,
) -> Result<Prepared, Error> {
    extras::check(dialect, &plan.machine)?;
    plan.machine.check_cpus(NAME, dialect.arch)?;
    let mut launch = Launch::new(program.to_owned());
    let disk_count = plan.machine.disks.len();
    let waits = plan.machine.gdb_port.is_some();
    // At its default level the log has a line for each read error of a guest.
    launch.args(["--extended-status", "--log-level", "info,disk=warn"]);
    if !dialect.syslog {
        launch.arg("--no-syslog");
    }
    launch.args(["run", "--disable-sandbox"]);
    let name = format!("{NAME}_{}", plan.name);
    if abilities.knows("--name") {
        launch.args(["--name", &name]);
    }
    launch.name(name);
    vsock(&mut launch, plan.vsock);
    match plan.machine.balloon {
        Balloon::PageReporting => launch.arg("--balloon-page-reporting"),
        Balloon::Absent => launch.arg("--no-balloon"),
    };
    if !plan.machine.usb {
        launch.arg("--no-usb");
    }
    let swiotlb = protection(&mut launch, dialect, plan.machine.protection, disk_count)?;
    if let Some(firmware) = plan.machine.pvmfw {
        let firmware = launch.pass_path(firmware.into());
        launch.args(["--unprotected-vm-with-firmware", &firmware]);
    }
    extras::vgic_its(&mut launch, dialect, plan.machine.vgic_its);
    let host_params = match plan.consoles.ramdump {
        Some(_) => format!("crashkernel={}M", RAMDUMP_MIB.saturating_add(swiotlb)),
        None => String::new(),
    };
    kernel::check(&plan.machine.boot, dialect.arch, &host_params)?;
    if !host_params.is_empty() {
        launch.args(["--params", &host_params]);
    }
    // The buffer comes on top, so that a guest has the same memory with and without protection.
    let memory = plan.machine.memory_mib.get().saturating_add(swiotlb);
    launch.args(["--mem", &memory.to_string()]);
    extras::memory(&mut launch, plan.machine.memory_files);
    match plan.machine.cpus {
        Cpus::Count(count) => {
            launch.args(["--cpus", &count.to_string()]);
        }
        Cpus::MatchHost(_) => {
            launch.arg("--host-cpu-topology");
            if dialect.virt_cpufreq {
                launch.arg("--virt-cpufreq");
            }
        }
    }
    if let Some(port) = plan.machine.gdb_port {
        abilities.option("--gdb", "gdb", "gdbPort")?;
        log::warn!(
            "gdbPort {port}: crosvm listens for the debugger on all addresses of this host, so \
             anyone who can reach it controls the guest; use it on a closed network only"
        );
        launch.args(["--gdb", &port.to_string()]);
    }
    serials::add(&mut launch, plan.consoles)?;
    let kernel = boot(&mut launch, plan.machine.boot);
    let mut images = Images::default();
    disks::add(
        &mut launch,
        &mut images,
        abilities,
        &plan.directory,
        plan.machine.disks,
    )?;
    extras::pflash(&mut launch, &mut images, plan.machine.pflash)?;
    extras::smbios(&mut launch, plan.machine.smbios.as_ref());
    launch.args(kernel);
    let control = Frontend::attach(
        &mut launch,
        program,
        &plan.directory,
        Guest {
            balloon: plan.machine.balloon,
            waits,
            has_graphics: plan.machine.gpu.is_some() || plan.machine.display.is_some(),
            usb_devices: plan.machine.usb_devices,
        },
    )?;
    if let Some(overlay) = plan.machine.device_tree_overlay {
        let overlay = launch.pass_path(overlay.into());
        launch.args(["--device-tree-overlay", &overlay]);
    }
    extras::device_tree(
        &mut launch,
        plan.machine.overlays,
        plan.machine.device_tree_dump,
    );
    devices::graphics(
        &mut launch,
        dialect,
        abilities,
        &plan.name,
        plan.machine.gpu.as_ref(),
        plan.machine.display.as_ref(),
    )?;
    devices::wayland(&mut launch, plan.machine.wayland)?;
    devices::network(&mut launch, plan.tap);
    devices::inputs(&mut launch, plan.machine.inputs);
    if plan.machine.huge_pages {
        launch.arg("--hugepages");
    }
    if plan.machine.boost_uclamp {
        launch.arg("--boost-uclamp");
    }
    devices::assigned(&mut launch, plan.assigned);
    devices::audio(&mut launch, dialect, plan.machine.audio)?;
    Ok(Prepared {
        name: NAME,
        launch,
        control: Box::new(control),
        helpers: images.into_helper().into_iter().collect(),
    })
}

/// `--cid` would make crosvm open the kernel's device again and fail: this process holds the CID.
fn vsock(launch: &mut Launch, vsock: Vsock) {
    match vsock {
        Vsock::Kernel { vhost, cid } => {
            let device = launch.pass_path(vhost);
            launch.args(["--vsock", &format!("cid={cid},device={device}")]);
        }
        Vsock::User { socket } => {
            let socket = launch.pass_path(socket);
            launch.args(["--vhost-user", &format!("type=vsock,socket={socket}")]);
        }
    }
}

/// Returns the size of the buffer for a protected VM's devices in MiB, 0 for other VMs.
fn protection(
    launch: &mut Launch,
    dialect: &Dialect,
    protection: Option<Protection>,
    disks: usize,
) -> Result<u32, Error> {
    let Some(protection) = protection else {
        return Ok(0);
    };
    if !dialect.swiotlb {
        return Err(unsupported(
            "protectedVm: crosvm has no protected VMs on this processor".into(),
        ));
    }
    match protection.firmware {
        Firmware::Host(PvmFirmware::Own) => launch.arg("--protected-vm"),
        Firmware::Host(PvmFirmware::Absent) => launch.arg("--protected-vm-without-firmware"),
        Firmware::Host(PvmFirmware::At(path)) => {
            launch.arg("--protected-vm-with-firmware").arg(path)
        }
        Firmware::File(file) => {
            let path = launch.pass_path(file.into());
            launch.args(["--protected-vm-with-firmware", &path])
        }
    };
    let mib = protection
        .swiotlb_mib
        .map_or_else(|| plan::swiotlb_mib(disks), NonZeroU32::get);
    launch.args(["--swiotlb", &mib.to_string()]);
    // A reader of a crashed process's memory would fault on the guest's.
    launch.arg("--unmap-guest-memory-on-fork");
    Ok(mib)
}

/// Adds what the guest boots from, except the kernel, whose place is after the disks.
fn boot(launch: &mut Launch, boot: Boot) -> Option<String> {
    let (kernel, initrd, params) = match boot {
        Boot::Kernel {
            kernel,
            initrd,
            params,
        } => (Some(launch.pass_path(kernel.into())), initrd, params),
        Boot::Bootloader {
            image,
            initrd,
            params,
        } => {
            let image = launch.pass_path(image.into());
            launch.args(["--bios", &image]);
            (None, initrd, params)
        }
    };
    if let Some(initrd) = initrd {
        let initrd = launch.pass_path(initrd.into());
        launch.args(["--initrd", &initrd]);
    }
    if !params.is_empty() {
        launch.args(["--params", &params]);
    }
    kernel
}
