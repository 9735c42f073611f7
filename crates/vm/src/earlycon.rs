// SPDX-License-Identifier: Apache-2.0
//! The kernel parameter that lets a guest speak before it has its drivers.

use crate::manager;
use anyhow::{Result, bail};
use vmm::Arch;

/// The parameter `earlycon` for the first serial port of the VMM that the manager will take; see the
/// kernel's list of parameters.
///
/// # Errors
/// If none is known for this architecture.
pub(crate) fn parameter() -> Result<&'static str> {
    let is_crosvm = manager::vmm_finder()
        .vmm()
        .is_ok_and(|found| found.program.is_crosvm());
    match Arch::HOST {
        Some(arch) => Ok(of(arch, is_crosvm)),
        None => bail!(
            "cannot use --enable-earlycon: the address of the serial port on {} is not known",
            std::env::consts::ARCH
        ),
    }
}

fn of(arch: Arch, is_crosvm: bool) -> &'static str {
    match arch {
        Arch::X86_64 => "earlycon=uart8250,io,0x3f8",
        Arch::Aarch64 if is_crosvm => "earlycon=uart8250,mmio,0x3f8",
        // QEMU's device tree names the port.
        Arch::Aarch64 => "earlycon",
    }
}
