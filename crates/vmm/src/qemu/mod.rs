// SPDX-License-Identifier: Apache-2.0
//! QEMU as VMM: KVM where it can work, software emulation elsewhere.

mod args;
mod blocks;
mod bridge;
mod chardev;
mod devices;
mod firmware;
mod messages;
mod qmp;
mod uclamp;

use crate::accel::Acceleration;
use crate::plan::Plan;
use crate::{Arch, Error, Prepared, Vmm};
use std::path::{Path, PathBuf};

/// QEMU.
#[derive(Debug)]
pub struct Qemu {
    program: PathBuf,
    arch: Arch,
    accel: Acceleration,
}

impl Qemu {
    /// The QEMU at `program`, which emulates `arch`.
    #[must_use]
    pub fn new(program: PathBuf, arch: Arch, accel: Acceleration) -> Self {
        Self {
            program,
            arch,
            accel,
        }
    }
}

/// The name of QEMU's program for guests of `arch`.
#[must_use]
pub fn program_name(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "qemu-system-x86_64",
        Arch::Aarch64 => "qemu-system-aarch64",
    }
}

/// The VMM, as messages tell it.
const NAME: &str = "QEMU";

impl Vmm for Qemu {
    fn name(&self) -> &'static str {
        NAME
    }

    fn program(&self) -> &Path {
        &self.program
    }

    fn prepare(&self, plan: Plan) -> Result<Prepared, Error> {
        args::build(&self.program, self.arch, self.accel, plan)
    }
}
