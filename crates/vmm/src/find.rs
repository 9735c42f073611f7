// SPDX-License-Identifier: Apache-2.0
//! Finds the VMM: the setting `VIRTMGR_VMM`, else the search path.

use crate::accel::{self, Acceleration};
use crate::qemu::{Arch, Qemu};
use crate::{Error, Vmm};
use std::env;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The environment variable that names the VMM's path, or a name to be found in `PATH`.
pub const VMM_VARIABLE: &str = "VIRTMGR_VMM";
/// The environment variable that overrules the choice of acceleration: `kvm` or `tcg`.
pub const ACCEL_VARIABLE: &str = "VIRTMGR_ACCEL";

/// Where programs are if `PATH` is not set, as it may be not this early.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin:/system/bin";

/// The VMM for guests of this machine's own architecture.
///
/// # Errors
/// [`Error::NoVmm`] or [`Error::UnknownVmm`], with what to do.
pub fn vmm() -> Result<Box<dyn Vmm>, Error> {
    let arch = Arch::HOST.ok_or_else(|| Error::NoVmm {
        looked: format!("no VMM is known for {} hosts", env::consts::ARCH),
    })?;
    let program = match env::var_os(VMM_VARIABLE).filter(|v| !v.is_empty()) {
        Some(name) => {
            let wanted = PathBuf::from(name);
            let file = wanted.file_name().unwrap_or_default().to_string_lossy();
            if !file.starts_with("qemu-system-") {
                return Err(Error::UnknownVmm { path: wanted });
            }
            search(&wanted).ok_or_else(|| Error::NoVmm {
                looked: format!(
                    "{VMM_VARIABLE}={} is not an executable file",
                    wanted.display()
                ),
            })?
        }
        None => {
            let name = Path::new(arch.program());
            search(name).ok_or_else(|| Error::NoVmm {
                looked: format!("no executable {} in PATH", name.display()),
            })?
        }
    };
    let accel = match env::var(ACCEL_VARIABLE).as_deref() {
        Ok("kvm") => Acceleration::Kvm,
        Ok("tcg") => Acceleration::Emulation,
        Ok(other) if !other.is_empty() => {
            return Err(Error::Invalid {
                what: format!("{ACCEL_VARIABLE}={other}: it must be \"kvm\" or \"tcg\""),
            });
        }
        _ => accel::detect(),
    };
    Ok(Box::new(Qemu::new(program, arch, accel)))
}

/// The executable file `name`: itself if it has a slash, else the first in `PATH`.
fn search(name: &Path) -> Option<PathBuf> {
    let executable = |path: &Path| {
        path.metadata()
            .is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    };
    if name.components().count() > 1 {
        return executable(name).then(|| name.to_owned());
    }
    let path = env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
    env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|candidate| executable(candidate))
}
