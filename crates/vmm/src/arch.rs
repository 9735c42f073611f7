// SPDX-License-Identifier: Apache-2.0
//! Processors.

/// The architectures that guests can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arch {
    /// 64-bit x86.
    X86_64,
    /// 64-bit Arm.
    Aarch64,
}

impl Arch {
    /// The most CPUs that a guest can have: those that an interrupt controller without remapping
    /// can tell apart.
    pub(crate) fn max_cpus(self) -> u32 {
        match self {
            Self::X86_64 => 255,
            Self::Aarch64 => 512,
        }
    }

    /// This machine's, if guests can have it.
    pub const HOST: Option<Self> = if cfg!(target_arch = "x86_64") {
        Some(Self::X86_64)
    } else if cfg!(target_arch = "aarch64") {
        Some(Self::Aarch64)
    } else {
        None
    };
}
