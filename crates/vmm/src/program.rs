// SPDX-License-Identifier: Apache-2.0
//! Which VMM a program is.

use std::path::{Path, PathBuf};

/// A VMM's program. Where it was found decides which kind it is: the platform's crosvm may have
/// any file name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// crosvm.
    Crosvm(PathBuf),
    /// QEMU.
    Qemu(PathBuf),
}

impl Program {
    /// The program's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Crosvm(path) | Self::Qemu(path) => path,
        }
    }

    /// Whether it is crosvm.
    #[must_use]
    pub fn is_crosvm(&self) -> bool {
        matches!(self, Self::Crosvm(_))
    }
}
