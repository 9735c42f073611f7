// SPDX-License-Identifier: Apache-2.0
//! The devices that most VMs do not have. Of those that crosvm has and QEMU has not, a plan is
//! refused by the field's name.

use crate::Error;
use crate::launch::Launch;
use crate::plan::{Boot, Input, InputKind, Plan};

/// Refuses what QEMU cannot do.
pub(super) fn check(plan: &Plan) -> Result<(), Error> {
    let not_evdev = |input: &&Input| input.kind != InputKind::EvDev;
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
}

/// What [`add`] takes of a plan.
pub(super) struct Rare {
    pub(super) display: Option<crate::plan::Display>,
    pub(super) gpu: bool,
    pub(super) tap: Option<std::os::fd::OwnedFd>,
    pub(super) inputs: Vec<Input>,
    pub(super) usb: bool,
}
