// SPDX-License-Identifier: Apache-2.0
//! QEMU as VMM: KVM where it can work, software emulation elsewhere.

mod args;
mod blocks;
mod chardev;
mod kernel;
mod qmp;

pub use qmp::Qmp;

use crate::accel::Acceleration;
use crate::plan::{Boot, Plan};
use crate::{Error, Prepared, Vmm};
use std::path::{Path, PathBuf};

/// The architectures that guests can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arch {
    /// 64-bit x86.
    X86_64,
    /// 64-bit Arm.
    Aarch64,
}

impl Arch {
    /// This machine's, if guests can have it.
    pub const HOST: Option<Self> = if cfg!(target_arch = "x86_64") {
        Some(Self::X86_64)
    } else if cfg!(target_arch = "aarch64") {
        Some(Self::Aarch64)
    } else {
        None
    };

    /// The name of QEMU's program.
    #[must_use]
    pub fn program(self) -> &'static str {
        match self {
            Self::X86_64 => "qemu-system-x86_64",
            Self::Aarch64 => "qemu-system-aarch64",
        }
    }
}

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

impl Vmm for Qemu {
    fn name(&self) -> &'static str {
        "QEMU"
    }

    fn program(&self) -> &Path {
        &self.program
    }

    fn prepare(&self, plan: Plan) -> Result<Prepared, Error> {
        let Boot::Kernel { kernel, .. } = &plan.boot;
        kernel::check(kernel, self.arch)?;
        args::build(&self.program, self.arch, self.accel, plan)
    }
}
