// SPDX-License-Identifier: Apache-2.0
//! What the platform gives: where its files are, its properties, its hypervisor.

use rsproperties::{PropertyConfig, SystemProperties};
use std::path::{Path, PathBuf};
use std::sync::Once;

/// The environment variable that names another root for files.
pub const ROOT_VARIABLE: &str = "VIRTMGR_ROOT";

/// Where Android keeps its properties.
const PROPERTIES: &str = "/dev/__properties__";
/// There if the kernel enforces SELinux rules, or could.
const SELINUX: &str = "/sys/fs/selinux/enforce";
/// The version of Android's interfaces.
const SDK: &str = "ro.build.version.sdk";
/// The version of a host that is no Android: newer than all that an APK may name.
const NEWEST_SDK: u32 = 10_000;
/// Whether guests may give memory back to this host.
const MEMORY_RECLAIM: &str = "hypervisor.memory_reclaim.supported";
/// Whether the hypervisor has protected VMs.
const PROTECTED_VM: &str = "ro.boot.hypervisor.protected_vm.supported";
/// Firmware for protected VMs instead of the hypervisor's own.
const PROTECTED_FIRMWARE: &str = "hypervisor.pvmfw.path";

/// The host's file system, or a directory that stands for it.
#[derive(Debug, Clone)]
pub struct Host {
    root: PathBuf,
}

/// What the host's hypervisor can do for VMs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hypervisor {
    /// Whether guests may give memory back.
    pub memory_reclaim: bool,
    /// Whether there are protected VMs.
    pub protected_vms: bool,
    /// Firmware for them instead of the hypervisor's own.
    pub firmware: Option<PathBuf>,
}

impl Host {
    /// The host as this process sees it.
    ///
    /// `VIRTMGR_ROOT` is honoured only if the process runs with the privileges of its caller: a
    /// program with raised privileges must not read its configuration from where the caller says.
    #[must_use]
    pub fn of_process() -> Self {
        match std::env::var_os(ROOT_VARIABLE).filter(|root| !root.is_empty()) {
            Some(_) if has_raised_privileges() => {
                log::warn!("{ROOT_VARIABLE} is ignored: this program runs with raised privileges");
                Self::at("/")
            }
            Some(root) => match std::fs::canonicalize(&root) {
                Ok(root) => Self::at(root),
                Err(e) => {
                    log::error!("{ROOT_VARIABLE}={}: {e}", root.display());
                    Self::at(root)
                }
            },
            None => Self::at("/"),
        }
    }

    /// A host whose files are under `root`.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The property system, mapped when it is first asked for: there is one for each process.
    fn properties(&self) -> Option<&'static SystemProperties> {
        let place = self.path(PROPERTIES);
        if !place.is_dir() {
            return None;
        }
        // Refused if it was done before, with the same directory.
        let _ = rsproperties::try_init(PropertyConfig::with_properties_dir(place));
        rsproperties::try_system_properties().ok()
    }

    /// Whether this is Android: whether it has a property system.
    #[must_use]
    pub fn is_android(&self) -> bool {
        self.properties().is_some()
    }

    /// The value of a system property; none if it is not set or empty, or there are no properties.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<String> {
        let value = self.properties()?.get_with_result(name).ok()?;
        Some(value).filter(|value| !value.is_empty())
    }

    fn is_set(&self, name: &str) -> bool {
        matches!(
            self.property(name).as_deref(),
            Some("1" | "true" | "y" | "yes" | "on")
        )
    }

    /// The version of Android's interfaces, by which a signature of an APK is chosen.
    #[must_use]
    pub fn sdk(&self) -> u32 {
        self.property(SDK)
            .and_then(|value| value.parse().ok())
            .unwrap_or(NEWEST_SDK)
    }

    /// What the hypervisor can do, as the properties say. Without properties it is an ordinary
    /// KVM, or none: guests may give memory back, and none is protected.
    #[must_use]
    pub fn hypervisor(&self) -> Hypervisor {
        Hypervisor {
            memory_reclaim: !self.is_android() || self.is_set(MEMORY_RECLAIM),
            protected_vms: self.is_set(PROTECTED_VM),
            firmware: self
                .property(PROTECTED_FIRMWARE)
                .map(|path| self.path(&path)),
        }
    }

    /// Whether files have SELinux labels here. Without them no file is known to come from a trusted
    /// place, so that there can be no protected VM; others need none. Said once.
    pub fn say_whether_files_have_labels(&self) {
        static SAID: Once = Once::new();
        SAID.call_once(|| {
            if !self.path(SELINUX).exists() {
                log::info!(
                    "this host has no SELinux: a protected VM would need files with labels, others do not"
                );
            }
        });
    }

    /// The directory that stands for `/`.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the absolute `path` of the platform is.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }
}

/// Whether the kernel gave this process more privileges than its caller has.
#[expect(unsafe_code, reason = "the auxiliary vector has no safe reader")]
pub(crate) fn has_raised_privileges() -> bool {
    // SAFETY: getauxval takes an integer, returns one, and reads only what the kernel gave.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}
