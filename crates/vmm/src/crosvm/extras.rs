// SPDX-License-Identifier: Apache-2.0
//! What few VMs have: memory that is a file, flash memory, words in the firmware's tables, the
//! interrupt translation service, a dump of the device tree.

use super::value::value;
use super::{Dialect, unsupported};
use crate::images::Images;
use crate::launch::Launch;
use crate::plan::{Boot, Machine, MemoryFile, Overlay, Pflash, Smbios};
use crate::{Arch, Error};
use std::os::fd::OwnedFd;

/// Refuses what this platform's crosvm does not know, or would silently leave out.
pub(super) fn check(dialect: &Dialect, machine: &Machine) -> Result<(), Error> {
    let is_x86 = dialect.arch == Arch::X86_64;
    // On this processor crosvm gives a device tree to kernels only.
    let has_no_tree = is_x86 && matches!(machine.boot, Boot::Bootloader { .. });
    let refused = [
        (
            machine.smbios.is_some() && !is_x86,
            "smbiosOptions: it makes such tables on x86-64 only; remove them",
        ),
        (
            !machine.pflash.is_empty() && !is_x86,
            "pflash: it has flash memory on x86-64 only; remove it",
        ),
        (
            machine.pflash.len() > 1,
            "pflash: it has one flash memory, below the bootloader; give one",
        ),
        (
            machine.device_tree_dump.is_some() && has_no_tree,
            "dumpDtFd: a bootloader on x86-64 gets no device tree; start a kernel",
        ),
        (
            !machine.overlays.is_empty() && has_no_tree,
            "deviceTreeOverlay: a bootloader on x86-64 gets no device tree; start a kernel",
        ),
        (
            !machine.usb_devices.is_empty() && machine.has_firmware(),
            "usbConfig.devices: a VM with firmware of protected VMs has no USB; remove them",
        ),
    ];
    match refused.iter().find(|(asked, _)| *asked) {
        Some((_, what)) => Err(unsupported((*what).into())),
        None => Ok(()),
    }
}

/// Adds the interrupt translation service, or refuses it to the guest.
pub(super) fn vgic_its(launch: &mut Launch, dialect: &Dialect, allowed: Option<bool>) {
    if let Some(allowed) = allowed
        && dialect.arch == Arch::Aarch64
    {
        launch.arg(format!("--irqchip=kernel[allow-vgic-its={allowed}]"));
    }
}

/// Adds the files that are parts of the guest's memory.
pub(super) fn memory(launch: &mut Launch, files: Vec<MemoryFile>) {
    for MemoryFile { file, start, size } in files {
        let path = launch.pass_path(file.into());
        launch.args([
            "--file-backed-mapping",
            &format!("{path},addr={start:#x},size={size:#x},rw,ram"),
        ]);
    }
}

/// Adds the flash memory.
pub(super) fn pflash(
    launch: &mut Launch,
    images: &mut Images,
    memories: Vec<Pflash>,
) -> Result<(), Error> {
    for (index, Pflash { image, writable }) in memories.into_iter().enumerate() {
        let field = format!("pflash[{index}]");
        if !writable {
            return Err(Error::Invalid {
                what: format!(
                    "{field}: the descriptor is open for reading only, and crosvm has no read-only flash memory; open it for reading and writing"
                ),
            });
        }
        let image = images.open(&image, writable, &field)?;
        if image.kind.is_sparse() {
            return Err(Error::Invalid {
                what: format!("{field}: it is an Android sparse image; give a raw one"),
            });
        }
        let path = launch.pass_path(image.file.into());
        launch.args(["--pflash", &format!("path={path}")]);
    }
    Ok(())
}

/// Adds the words of the firmware's tables.
pub(super) fn smbios(launch: &mut Launch, smbios: Option<&Smbios>) {
    let Some(smbios) = smbios else { return };
    let named = [
        ("bios-vendor", &smbios.bios_vendor),
        ("bios-version", &smbios.bios_version),
        ("manufacturer", &smbios.manufacturer),
        ("product-name", &smbios.product_name),
        ("serial-number", &smbios.serial_number),
    ];
    let mut values: Vec<String> = named
        .into_iter()
        .filter_map(|(name, text)| Some(format!("{name}={}", value(text.as_deref()?))))
        .collect();
    values.extend(smbios.uuid.map(|uuid| format!("uuid={uuid}")));
    if !smbios.oem_strings.is_empty() {
        let strings: Vec<String> = smbios.oem_strings.iter().map(|text| value(text)).collect();
        values.push(format!("oem-strings=[{}]", strings.join(",")));
    }
    if !values.is_empty() {
        launch.args(["--smbios", &values.join(",")]);
    }
}

/// Adds the client's own overlays of the device tree, and where the whole tree is written.
pub(super) fn device_tree(launch: &mut Launch, overlays: Vec<Overlay>, dump: Option<OwnedFd>) {
    for Overlay { file, filtered } in overlays {
        let path = launch.pass_path(file.into());
        let filter = if filtered { ",filter" } else { "" };
        launch.args(["--device-tree-overlay", &format!("{path}{filter}")]);
    }
    if let Some(dump) = dump {
        let path = launch.pass_path(dump);
        launch.args(["--dump-device-tree-blob", &path]);
    }
}
