// SPDX-License-Identifier: Apache-2.0
//! What the guest starts with and what its firmware finds: kernel or boot loader, flash memories,
//! the firmware's tables.

use super::args::escape;
use super::blocks;
use crate::images::{Images, OpenImage};
use crate::launch::Launch;
use crate::plan::{Boot, Pflash, Smbios};
use crate::{Arch, Error};
use std::fs::File;

/// Adds the flash memories and what the guest boots from.
///
/// The boards have two flash memories. The first is where the CPU starts, and the second is right
/// below it, as the one of crosvm is right below its boot loader. So where there is a boot loader,
/// it is the first memory and the client's is the second.
pub(super) fn boot(
    launch: &mut Launch,
    images: &mut Images,
    arch: Arch,
    boot: Boot,
    host_params: String,
    pflash: Vec<Pflash>,
) -> Result<(), Error> {
    match boot {
        Boot::Kernel {
            kernel,
            initrd,
            params,
        } => {
            add_memories(launch, images, 0, pflash)?;
            add_kernel(launch, kernel, initrd, [host_params, params]);
        }
        // It gets no parameters: QEMU hands them to kernels only.
        Boot::Bootloader { image, .. } => {
            if arch == Arch::X86_64 && !pflash.is_empty() {
                // The second memory needs a first here, and then `-bios` has no effect.
                let image = open(images, &image, false, "bootloader")?;
                add_memory(launch, 0, image, false);
            } else {
                let image = launch.pass_path(image.into());
                launch.args(["-bios", &image]);
            }
            add_memories(launch, images, 1, pflash)?;
        }
    }
    Ok(())
}

fn add_kernel(launch: &mut Launch, kernel: File, initrd: Option<File>, params: [String; 2]) {
    let kernel = launch.pass_path(kernel.into());
    launch.args(["-kernel", &kernel]);
    if let Some(initrd) = initrd {
        let initrd = launch.pass_path(initrd.into());
        launch.args(["-initrd", &initrd]);
    }
    let mut params = Vec::from(params);
    params.retain(|params| !params.is_empty());
    if !params.is_empty() {
        launch.args(["-append", &params.join(" ")]);
    }
}

fn add_memories(
    launch: &mut Launch,
    images: &mut Images,
    first: usize,
    memories: Vec<Pflash>,
) -> Result<(), Error> {
    for (index, Pflash { image, writable }) in memories.into_iter().enumerate() {
        let image = open(images, &image, writable, &format!("pflash[{index}]"))?;
        add_memory(launch, first + index, image, writable);
    }
    Ok(())
}

fn open(
    images: &mut Images,
    image: &File,
    writable: bool,
    field: &str,
) -> Result<OpenImage, Error> {
    let image = images.open(image, writable, field)?;
    if image.kind.is_sparse() {
        return Err(Error::Invalid {
            what: format!("{field}: it is an Android sparse image; give a raw one"),
        });
    }
    Ok(image)
}

fn add_memory(launch: &mut Launch, number: usize, image: OpenImage, writable: bool) {
    let name = format!("pflash{number}");
    blocks::add_file(launch, &name, image, writable);
    launch.args(["-machine", &format!("{name}={name}")]);
}

/// Adds the words of the firmware's tables.
pub(super) fn smbios(launch: &mut Launch, smbios: Option<&Smbios>) {
    let Some(smbios) = smbios else { return };
    let uuid = smbios.uuid.map(|uuid| uuid.to_string());
    add_table(
        launch,
        0,
        &[
            ("vendor", smbios.bios_vendor.as_deref()),
            ("version", smbios.bios_version.as_deref()),
        ],
    );
    add_table(
        launch,
        1,
        &[
            ("manufacturer", smbios.manufacturer.as_deref()),
            ("product", smbios.product_name.as_deref()),
            ("serial", smbios.serial_number.as_deref()),
            ("uuid", uuid.as_deref()),
        ],
    );
    let strings = smbios.oem_strings.iter();
    let strings: Vec<_> = strings.map(|text| ("value", Some(text.as_str()))).collect();
    add_table(launch, 11, &strings);
}

/// Adds the table of this type, unless nothing is said in it.
fn add_table(launch: &mut Launch, kind: u8, fields: &[(&str, Option<&str>)]) {
    let given: Vec<String> = fields
        .iter()
        .filter_map(|(name, text)| Some(format!("{name}={}", escape((*text)?))))
        .collect();
    if !given.is_empty() {
        launch.args(["-smbios", &format!("type={kind},{}", given.join(","))]);
    }
}
