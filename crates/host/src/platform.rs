// SPDX-License-Identifier: Apache-2.0
//! Where the host's files are, its properties, its hypervisor.

use std::path::{Path, PathBuf};
use std::sync::Once;
use sysprop::{Properties, RootError};

/// There if the kernel enforces SELinux rules, or could.
const SELINUX: &str = "/sys/fs/selinux/enforce";
/// The version of Android's interfaces.
const SDK: &str = "ro.build.version.sdk";
const SDK_FULL: &str = "ro.build.version.sdk_full";
/// The version of a host that is not Android: newer than all that an APK may name.
const NEWEST_SDK: u32 = 10_000;
/// Whether guests may give memory back to this host.
const MEMORY_RECLAIM: &str = "hypervisor.memory_reclaim.supported";
/// Whether the hypervisor has protected VMs.
const PROTECTED_VM: &str = "ro.boot.hypervisor.protected_vm.supported";
/// Firmware for protected VMs instead of the hypervisor's own.
const PROTECTED_FIRMWARE: &str = "hypervisor.pvmfw.path";
/// The value of that property for protected VMs without firmware.
const NO_FIRMWARE: &str = "none";

/// The host's file system, or a directory that stands for it.
#[derive(Debug, Clone)]
pub struct Host {
    properties: Properties,
}

/// The firmware of protected VMs, as the host's settings name it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum PvmFirmware {
    /// The hypervisor's own.
    #[default]
    Own,
    /// None: the guest's own kernel starts at once.
    Absent,
    /// The file of this path.
    At(PathBuf),
}

/// What the host's hypervisor can do for VMs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hypervisor {
    /// Whether guests may give memory back.
    pub memory_reclaim: bool,
    /// Whether there are protected VMs.
    pub protected_vms: bool,
    /// Their firmware.
    pub firmware: PvmFirmware,
}

impl Host {
    /// The host as this process sees it: `VIRTMGR_ROOT`, or `/`.
    ///
    /// # Errors
    /// If `VIRTMGR_ROOT` names something other than a directory.
    pub fn of_process() -> Result<Self, &'static RootError> {
        sysprop::root().map(Self::at)
    }

    /// A host whose files are below `root`.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self {
            properties: Properties::below(root),
        }
    }

    /// The directory that stands for `/`.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.properties.root()
    }

    /// Where the absolute `path` of the platform is.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        self.root().join(path.trim_start_matches('/'))
    }

    /// Whether this is Android: whether it has a property area.
    #[must_use]
    pub fn is_android(&self) -> bool {
        self.properties.has_area()
    }

    /// The host's system properties.
    #[must_use]
    pub fn properties(&self) -> &Properties {
        &self.properties
    }

    /// The value of a system property; none if it is not set, is empty, or cannot be read, which is
    /// logged.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<String> {
        let value = self.properties.read(name);
        or_logged(value)?.filter(|value| !value.is_empty())
    }

    /// Whether a system property is true; `default` if it is not set, says neither, or cannot be read,
    /// which is logged.
    #[must_use]
    pub fn property_bool(&self, name: &str, default: bool) -> bool {
        or_logged(self.properties.read_bool(name, default)).unwrap_or(default)
    }

    /// The version of Android's interfaces, by which a signature of an APK is chosen.
    #[must_use]
    pub fn sdk(&self) -> u32 {
        self.property(SDK)
            .and_then(|value| value.parse().ok())
            .unwrap_or(NEWEST_SDK)
    }

    /// The system's API level, with its minor number if it says that: `36.1`, or `36`. None outside
    /// Android, unless the file of properties gives one.
    #[must_use]
    pub fn api_level(&self) -> Option<String> {
        self.property(SDK_FULL).or_else(|| self.property(SDK))
    }

    /// What the hypervisor can do, as the properties say. Without them it is an ordinary KVM, or none:
    /// guests may give memory back, and none is protected.
    #[must_use]
    pub fn hypervisor(&self) -> Hypervisor {
        Hypervisor {
            memory_reclaim: self.property_bool(MEMORY_RECLAIM, !self.is_android()),
            protected_vms: self.has_protected_vms(),
            firmware: match self.property(PROTECTED_FIRMWARE).as_deref() {
                None => PvmFirmware::Own,
                Some(NO_FIRMWARE) => PvmFirmware::Absent,
                Some(path) => PvmFirmware::At(self.path(path)),
            },
        }
    }

    /// Whether the hypervisor has protected VMs.
    #[must_use]
    pub fn has_protected_vms(&self) -> bool {
        self.property_bool(PROTECTED_VM, false)
    }

    /// Logs, once, if files have no SELinux labels here. Without them no file is known to come from a
    /// trusted place, so that there can be no protected VM; other VMs need none.
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
}

fn or_logged<T>(result: sysprop::Result<T>) -> Option<T> {
    result
        .inspect_err(|e| log::error!("{}", crate::chain(e)))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(properties: &str) -> (tempfile::TempDir, Host) {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("etc/avf")).unwrap();
        std::fs::write(root.path().join("etc/avf/build.prop"), properties).unwrap();
        let host = Host::at(root.path());
        (root, host)
    }

    #[test]
    fn a_linux_host_has_properties_by_file() {
        let (root, host) = host(
            "hypervisor.memory_reclaim.supported=n\n\
             ro.boot.hypervisor.protected_vm.supported=yes\n\
             hypervisor.pvmfw.path=/vendor/pvmfw\nro.build.version.sdk=34\nempty=\n",
        );
        assert!(!host.is_android());
        assert_eq!(host.sdk(), 34);
        assert_eq!(host.property("empty"), None);
        assert_eq!(
            host.hypervisor(),
            Hypervisor {
                memory_reclaim: false,
                protected_vms: true,
                firmware: PvmFirmware::At(root.path().join("vendor/pvmfw")),
            }
        );
    }

    #[test]
    fn protected_vms_can_do_without_firmware() {
        let (_root, host) = host("hypervisor.pvmfw.path=none\n");
        assert_eq!(host.hypervisor().firmware, PvmFirmware::Absent);
    }

    #[test]
    fn a_host_without_properties_is_an_ordinary_one() {
        let (_root, host) = host("");
        assert_eq!(host.sdk(), NEWEST_SDK);
        assert_eq!(
            host.hypervisor(),
            Hypervisor {
                memory_reclaim: true,
                protected_vms: false,
                firmware: PvmFirmware::Own,
            }
        );
    }
}
