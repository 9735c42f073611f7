// SPDX-License-Identifier: Apache-2.0
//! The devices that most VMs do not have. Of those that crosvm has and QEMU has not, a plan is
//! refused by the field's name.

use crate::Error;
use crate::launch::Launch;
use crate::plan::{Boot, Input, InputKind, Plan, UsbDevice};

/// Refuses what QEMU cannot do.
pub(super) fn check(plan: &Plan) -> Result<(), Error> {
    let not_evdev = |input: &&Input| input.kind != InputKind::EvDev;
    let has_bootloader = matches!(plan.machine.boot, Boot::Bootloader { .. });
    let (initrd, params) = match &plan.machine.boot {
        Boot::Kernel { .. } => (false, false),
        Boot::Bootloader { initrd, params, .. } => (initrd.is_some(), !params.is_empty()),
    };
    let refused = [
        (
            initrd,
            "initrd with a bootloader: it hands one to kernels only; let the boot loader find it",
        ),
        (
            params,
            "params with a bootloader: it hands them to kernels only; let the boot loader find them",
        ),
        (
            plan.machine.protection.is_some(),
            "protectedVm: it has no protected VMs; use crosvm on a hypervisor that has them",
        ),
        (
            plan.machine.inputs.iter().find(not_evdev).is_some(),
            "inputDevices: it has no device that is fed by a socket; give an evDev, or use crosvm",
        ),
        (
            plan.machine.audio.is_some(),
            "audioConfig: sound needs a sound server of the host; use crosvm on Android",
        ),
        (
            plan.machine.device_tree_dump.is_some(),
            "dumpDtFd: it can write the device tree only instead of running the guest; use crosvm",
        ),
        (
            !plan.machine.overlays.is_empty(),
            "deviceTreeOverlay: it applies no overlays; use crosvm",
        ),
        (
            plan.machine.pvmfw.is_some(),
            "customPvmfw: it starts no firmware of protected VMs; use crosvm",
        ),
        (
            !plan.machine.memory_files.is_empty(),
            "customMemoryBackingFiles: the guest's memory is one file of its own; use crosvm",
        ),
        (
            plan.machine.wayland.is_some(),
            "gpuConfig.waylandSocketFd: it shows displays nowhere; use crosvm",
        ),
        (
            plan.machine.pflash.len() > 2,
            "pflash: its machines have two flash memories; give at most two",
        ),
        (
            plan.machine.pflash.len() > 1 && has_bootloader,
            "pflash with a bootloader: that is in the first of two flash memories; give one, or no bootloader",
        ),
        (
            plan.assigned.is_some(),
            "devices: platform devices of the host need a device tree; use crosvm on arm64",
        ),
    ];
    match refused.iter().find(|(asked, _)| *asked) {
        Some((_, what)) => Err(Error::Unsupported {
            vmm: "QEMU",
            what: (*what).into(),
        }),
        None => Ok(()),
    }
}

/// Adds display, network, input and USB. They come after the disks, so that they move none.
pub(super) fn add(launch: &mut Launch, plan: Rare) {
    if let Some(display) = plan.display {
        launch.args([
            "-device",
            &format!(
                "virtio-gpu-pci,xres={},yres={}",
                display.width, display.height
            ),
        ]);
    } else if plan.gpu {
        launch.args(["-device", "virtio-gpu-pci"]);
    }
    if let Some(tap) = plan.tap {
        let fd = launch.pass(tap);
        launch.args(["-netdev", &format!("tap,id=net,fd={fd}")]);
        launch.args(["-device", "virtio-net-pci,netdev=net"]);
    }
    for input in plan.inputs {
        let device = launch.pass_path(input.source);
        launch.args(["-device", &format!("virtio-input-host-pci,evdev={device}")]);
    }
    if plan.usb {
        launch.args(["-device", "qemu-xhci"]);
    }
    for device in plan.usb_devices {
        // By its numbers, so that it comes back when it is plugged in again.
        launch.args([
            "-device",
            &format!(
                "usb-host,vendorid={:#06x},productid={:#06x}",
                device.vendor, device.product
            ),
        ]);
    }
}

/// What [`add`] takes of a plan.
pub(super) struct Rare {
    pub(super) display: Option<crate::plan::Display>,
    pub(super) gpu: bool,
    pub(super) tap: Option<std::os::fd::OwnedFd>,
    pub(super) inputs: Vec<Input>,
    pub(super) usb: bool,
    pub(super) usb_devices: Vec<UsbDevice>,
}
