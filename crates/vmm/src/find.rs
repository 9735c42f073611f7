// SPDX-License-Identifier: Apache-2.0
//! Finds the VMM: `VIRTMGR_VMM`, else the platform's crosvm, else the search path.

use crate::accel::{self, Acceleration};
use crate::crosvm::{Crosvm, Dialect, Platform};
use crate::qemu::{self, Qemu};
use crate::{Arch, Error, Vmm};

pub use crate::program::Program;

use host::Host;
use std::env;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The environment variable that names the VMM's path, or a name to be found in `PATH`.
pub const VMM_VARIABLE: &str = "VIRTMGR_VMM";
/// The environment variable that overrules the choice of acceleration: `kvm` or `tcg`.
pub const ACCEL_VARIABLE: &str = "VIRTMGR_ACCEL";

/// The search path if `PATH` is not set, as may be the case early in the boot.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin:/system/bin";
/// The crosvm of Android's virtualization APEX.
pub const SHIPPED: &str = "/apex/com.android.virt/bin/crosvm";
/// crosvm's program.
const CROSVM: &str = "crosvm";
/// The names of QEMU's programs begin with one of these.
const QEMU_PREFIXES: [&str; 2] = ["qemu-system-", QEMU_KVM];
/// QEMU's program on Red Hat's systems.
const QEMU_KVM: &str = "qemu-kvm";
/// Where Red Hat's systems install it, outside the search path.
const LIBEXEC_QEMU_KVM: &str = "/usr/libexec/qemu-kvm";

/// The property that names another crosvm than the platform's.
const CROSVM_PROPERTY: &str = "hypervisor.virtualizationmanager.crosvm_path";

/// What the host says about its VMM.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The system, which tells what its crosvm knows.
    pub platform: Platform,
    /// Where the platform has its crosvm, in the order in which to look.
    pub shipped: Vec<PathBuf>,
}

impl Settings {
    /// What `host` says: its system, and the crosvm that its property names.
    #[must_use]
    pub fn of_host(host: &Host) -> Self {
        let named = host.property(CROSVM_PROPERTY).map(|path| host.path(&path));
        Self {
            platform: if host.is_android() {
                Platform::Android
            } else {
                Platform::Linux
            },
            shipped: named.into_iter().chain([host.path(SHIPPED)]).collect(),
        }
    }

    /// The defaults of a Linux host: a crosvm may be where Android has it.
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
    /// Its program.
    pub program: Program,
    /// How it runs guest code.
    pub accel: Acceleration,
}

impl std::fmt::Debug for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Found")
            .field("program", &self.program)
            .field("accel", &self.accel)
            .finish()
    }
}

impl Finder {
    /// A finder that has not looked yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            found: Mutex::new(None),
        }
    }

    /// The VMM for guests of this machine's own architecture. A failure is not kept: a VMM may be
    /// installed before the next call.
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

    /// Every VMM on this host, in the order of preference: the one that `VIRTMGR_VMM` names, the
    /// platform's crosvm, crosvm and QEMU in the search path.
    #[must_use]
    pub fn all(&self) -> Vec<Program> {
        let named = setting().and_then(|name| named(name).ok());
        let crosvm = std::iter::once(Path::new(CROSVM)).filter_map(search);
        let qemu = Arch::HOST.into_iter().flat_map(qemu_names);
        let mut all: Vec<Program> = Vec::new();
        for found in named
            .into_iter()
            .chain(self.shipped().map(Program::Crosvm))
            .chain(crosvm.map(Program::Crosvm))
            .chain(qemu.filter_map(search).map(Program::Qemu))
        {
            if !all.contains(&found) {
                all.push(found);
            }
        }
        all
    }

    fn find(&self) -> Result<Found, Error> {
        let arch = Arch::HOST.ok_or(Error::NoVmmForHost {
            arch: env::consts::ARCH,
        })?;
        let accel = acceleration()?;
        let program = match setting() {
            Some(name) => named(name)?,
            None => self.look(arch, accel)?,
        };
        let vmm: Arc<dyn Vmm> = match &program {
            Program::Crosvm(path) if accel == Acceleration::Emulation => {
                return Err(Error::NeedsKvm { path: path.clone() });
            }
            Program::Crosvm(path) => {
                let dialect = Dialect::of(self.settings.platform, arch);
                Arc::new(Crosvm::new(path.clone(), dialect))
            }
            Program::Qemu(path) => Arc::new(Qemu::new(path.clone(), arch, accel)),
        };
        log::debug!("VMM: {}, {accel}", program.path().display());
        Ok(Found {
            vmm,
            program,
            accel,
        })
    }

    /// The platform's crosvms.
    fn shipped(&self) -> impl Iterator<Item = PathBuf> {
        self.settings.shipped.iter().filter_map(|path| search(path))
    }

    /// crosvm cannot emulate, so without KVM only QEMU will do.
    fn look(&self, arch: Arch, accel: Acceleration) -> Result<Program, Error> {
        let qemu = || qemu_names(arch).into_iter().find_map(search);
        let crosvm = || self.shipped().next().or_else(|| search(Path::new(CROSVM)));
        let found = match accel {
            Acceleration::Kvm => crosvm()
                .map(Program::Crosvm)
                .or_else(|| qemu().map(Program::Qemu)),
            Acceleration::Emulation => qemu().map(Program::Qemu),
        };
        found.ok_or_else(|| {
            let qemu = qemu::program_name(arch);
            Error::NoVmm {
                looked: match accel {
                    Acceleration::Kvm => {
                        format!("no executable {CROSVM}, {qemu} or {QEMU_KVM} in PATH")
                    }
                    Acceleration::Emulation => format!(
                        "no executable {qemu} or {QEMU_KVM} in PATH, and crosvm needs KVM, which does not work here"
                    ),
                },
            }
        })
    }
}

/// Where QEMU may be: names for the search path, and a path.
fn qemu_names(arch: Arch) -> [&'static Path; 3] {
    [qemu::program_name(arch), QEMU_KVM, LIBEXEC_QEMU_KVM].map(Path::new)
}

/// The value of `VIRTMGR_VMM`, if it is set.
fn setting() -> Option<PathBuf> {
    env::var_os(VMM_VARIABLE)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

/// The program that the setting names. Nothing but its file name tells which kind it is.
fn named(wanted: PathBuf) -> Result<Program, Error> {
    let file = wanted.file_name().unwrap_or_default().to_string_lossy();
    let kind = if file.starts_with(CROSVM) {
        Program::Crosvm
    } else if QEMU_PREFIXES.iter().any(|prefix| file.starts_with(prefix)) {
        Program::Qemu
    } else {
        return Err(Error::UnknownVmm { path: wanted });
    };
    search(&wanted).map(kind).ok_or_else(|| Error::NoVmm {
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
            what: format!("{ACCEL_VARIABLE}={other}: it must be kvm or tcg"),
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
