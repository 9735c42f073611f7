// SPDX-License-Identifier: Apache-2.0
//! Finds the VMM: the setting `VIRTMGR_VMM`, else what the platform ships, else the search path.

use crate::accel::{self, Acceleration};
use crate::crosvm::{Crosvm, Dialect, Platform};
use crate::qemu::{self, Qemu};
use crate::{Arch, Error, Vmm};
use std::env;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The environment variable that names the VMM's path, or a name to be found in `PATH`.
pub const VMM_VARIABLE: &str = "VIRTMGR_VMM";
/// The environment variable that overrules the choice of acceleration: `kvm` or `tcg`.
pub const ACCEL_VARIABLE: &str = "VIRTMGR_ACCEL";

/// Where programs are if `PATH` is not set, as it may be not this early.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin:/system/bin";
/// The crosvm of Android's virtualization APEX.
pub const SHIPPED: &str = "/apex/com.android.virt/bin/crosvm";
/// crosvm's program.
const CROSVM: &str = "crosvm";
/// How the names of QEMU's programs begin.
const QEMU_PREFIX: &str = "qemu-system-";

/// What the host says about its VMM.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The system, which tells what its crosvm knows.
    pub platform: Platform,
    /// Where the platform has its crosvm, in the order in which to look.
    pub shipped: Vec<PathBuf>,
}

impl Settings {
    /// Those of a Linux that says nothing: there may be a crosvm where Android has it.
    #[must_use]
    pub fn linux() -> Self {
        Self {
            platform: Platform::Linux,
            shipped: vec![SHIPPED.into()],
        }
    }
}

/// Finds the VMM once and keeps it, with what was asked of it.
#[derive(Debug)]
pub struct Finder {
    settings: Settings,
    found: Mutex<Option<Found>>,
}

/// A VMM and how it will run guests.
#[derive(Clone)]
pub struct Found {
    /// The VMM.
    pub vmm: Arc<dyn Vmm>,
    /// How it runs guest code.
    pub accel: Acceleration,
}

impl std::fmt::Debug for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Found")
            .field("program", &self.vmm.program())
            .field("accel", &self.accel)
            .finish()
    }
}

impl Finder {
    /// One that has found nothing yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            found: Mutex::new(None),
        }
    }

    /// The VMM for guests of this machine's own architecture. A failure is not kept: the VMM may be
    /// installed meanwhile.
    ///
    /// # Errors
    /// [`Error::NoVmm`] or [`Error::UnknownVmm`], with what to do.
    pub fn vmm(&self) -> Result<Found, Error> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = &*found {
            return Ok(found.clone());
        }
        Ok(found.insert(self.find()?).clone())
    }

    /// Every VMM that there is, whether it would be taken or not: the one that the setting names,
    /// what the platform ships, crosvm and QEMU in `PATH`.
    #[must_use]
    pub fn all(&self) -> Vec<PathBuf> {
        let setting = env::var_os(VMM_VARIABLE).filter(|v| !v.is_empty());
        let named = setting.and_then(|name| named(PathBuf::from(name)).ok());
        let qemu = Arch::HOST.map(qemu::program_name);
        let names = std::iter::once(CROSVM).chain(qemu);
        let mut all: Vec<PathBuf> = Vec::new();
        for found in named
            .into_iter()
            .chain(self.settings.shipped.iter().filter_map(|path| search(path)))
            .chain(names.filter_map(|name| search(Path::new(name))))
        {
            if !all.contains(&found) {
                all.push(found);
            }
        }
        all
    }

    fn find(&self) -> Result<Found, Error> {
        let arch = Arch::HOST.ok_or_else(|| Error::NoVmm {
            looked: format!("no VMM is known for {} hosts", env::consts::ARCH),
        })?;
        let accel = acceleration()?;
        let program = match env::var_os(VMM_VARIABLE).filter(|v| !v.is_empty()) {
            Some(name) => named(PathBuf::from(name))?,
            None => self.look(arch, accel)?,
        };
        let vmm: Arc<dyn Vmm> = if is_crosvm(&program) {
            if accel == Acceleration::Emulation {
                return Err(Error::NeedsKvm { path: program });
            }
            let dialect = Dialect::of(self.settings.platform, arch);
            Arc::new(Crosvm::new(program, dialect))
        } else {
            Arc::new(Qemu::new(program, arch, accel))
        };
        log::debug!("VMM: {}, {accel:?}", vmm.program().display());
        Ok(Found { vmm, accel })
    }

    /// crosvm has no emulation, so without KVM only QEMU will do.
    fn look(&self, arch: Arch, accel: Acceleration) -> Result<PathBuf, Error> {
        let qemu = qemu::program_name(arch);
        let crosvm = || {
            let shipped = self.settings.shipped.iter().find_map(|path| search(path));
            shipped.or_else(|| search(Path::new(CROSVM)))
        };
        let found = match accel {
            Acceleration::Kvm => crosvm().or_else(|| search(Path::new(qemu))),
            Acceleration::Emulation => search(Path::new(qemu)),
        };
        found.ok_or_else(|| Error::NoVmm {
            looked: match accel {
                Acceleration::Kvm => format!("no executable {CROSVM} or {qemu} in PATH"),
                Acceleration::Emulation => {
                    format!("no executable {qemu} in PATH, and without KVM crosvm runs no guests")
                }
            },
        })
    }
}

/// Whether a VMM is crosvm, by its name.
#[must_use]
pub fn is_crosvm(program: &Path) -> bool {
    program
        .file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with(CROSVM))
}

/// The program that the setting names.
fn named(wanted: PathBuf) -> Result<PathBuf, Error> {
    let file = wanted.file_name().unwrap_or_default().to_string_lossy();
    if !file.starts_with(QEMU_PREFIX) && !file.starts_with(CROSVM) {
        return Err(Error::UnknownVmm { path: wanted });
    }
    search(&wanted).ok_or_else(|| Error::NoVmm {
        looked: format!(
            "{VMM_VARIABLE}={} is not an executable file",
            wanted.display()
        ),
    })
}

fn acceleration() -> Result<Acceleration, Error> {
    match env::var(ACCEL_VARIABLE).as_deref() {
        Ok("kvm") => Ok(Acceleration::Kvm),
        Ok("tcg") => Ok(Acceleration::Emulation),
        Ok(other) if !other.is_empty() => Err(Error::Invalid {
            what: format!("{ACCEL_VARIABLE}={other}: it must be \"kvm\" or \"tcg\""),
        }),
        _ => Ok(accel::detect()),
    }
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
