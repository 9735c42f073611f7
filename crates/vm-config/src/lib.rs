// SPDX-License-Identifier: Apache-2.0
//! Reads the JSON description of a virtual machine and converts it to the
//! [`VirtualMachineRawConfig`] that a client passes to `IVirtualizationService.createVm`.
//!
//! # The format
//!
//! An object with these keys. Only one of `kernel` and `bootloader` is required. A key that is not
//! listed is an error. A byte order mark in front of the object is ignored.
//!
//! | key | value | if absent |
//! | --- | --- | --- |
//! | `name` | the name by which tools and logs refer to the VM | empty |
//! | `kernel` | path of a kernel | `bootloader` is used |
//! | `initrd` | path of an initial RAM disk | none |
//! | `params` | the kernel's command line | none |
//! | `bootloader` | path of firmware | `kernel` is used |
//! | `disks` | array of disks | none |
//! | `protected` | whether the host must not see the guest's memory | `false` |
//! | `memory_mib` | memory in MiB, more than 0 | the VMM's default |
//! | `cpu_topology` | `"one_cpu"`, `"match_host"`, or `"cpu_count=N"` for N CPUs | `"one_cpu"` |
//! | `platform_version` | a SemVer requirement | `"~1.0"` |
//! | `devices` | array of the sysfs paths of devices to assign | none |
//! | `console_input_device` | `"hvc0"` or `"ttyS0"` | the manager's default, `hvc0` |
//! | `usb_config` | an object with the key `controller`, a boolean | the manager's default |
//!
//! A disk is an object with either `image` (a path) or `partitions` (an array that is not empty),
//! and `writable` (`false` if absent). A partition is an object with `label` (at most 36 UTF-16
//! units, once on a disk), `path`, `writable` (`false` if absent) and `guid` (a UUID; random if
//! absent).
//!
//! Paths of files are relative to the directory of the JSON file. If that is reached by a symbolic link,
//! the directory of the link's target counts.
//!
//! # Example
//!
//! ```
//! use std::path::Path;
//! use vm_config::{Boot, VmConfig};
//!
//! let text = r#"{ "kernel": "vmlinux", "memory_mib": 512, "platform_version": "~1.0" }"#;
//! let config = VmConfig::parse(text, Path::new("/opt/guest"))?;
//! assert_eq!(config.boot, Boot::Kernel("/opt/guest/vmlinux".into()));
//!
//! let error = VmConfig::parse("{ \"kernal\": \"vmlinux\" }", Path::new("/")).unwrap_err();
//! assert!(error.to_string().contains("`kernel`"));
//! # Ok::<(), vm_config::Error>(())
//! ```
#![forbid(unsafe_code)]

mod disk;
mod document;
mod error;
mod parcel;
mod setting;
mod topology;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Serialize;

pub use disk::{Contents, Disk, Partition, PartitionGuid, PartitionLabel};
pub use error::{Error, Location, ValueError};
pub use parcel::MAX_FILES;
pub use setting::{ConsoleInputDevice, MemoryMib, PlatformVersion, UsbConfig};
pub use topology::{CpuTopology, CpuTopologyError};

/// Compiles the example of the read-me.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadMe;

#[cfg(doc)]
use avf_aidl::service::VirtualMachineRawConfig;

/// The largest configuration file that [`VmConfig::load`] reads, in bytes.
pub const MAX_FILE_SIZE: u64 = 1024 * 1024;

/// What the VM's first instructions come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Boot {
    /// The VMM loads this kernel.
    Kernel(PathBuf),
    /// The VMM starts this firmware.
    Bootloader(PathBuf),
}

/// The description of one VM. Paths in it are as [`VmConfig::parse`] resolved them.
///
/// It serializes to the JSON format that [`VmConfig::parse`] reads, except that paths which are
/// not UTF-8 cannot be serialized.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(into = "document::Document")]
pub struct VmConfig {
    /// The VM's name in tools and logs.
    pub name: Option<String>,
    /// What the VM boots.
    pub boot: Boot,
    /// The initial RAM disk.
    pub initrd: Option<PathBuf>,
    /// The kernel's command line.
    pub params: Option<String>,
    /// The disks, in the order in which the guest sees them.
    pub disks: Vec<Disk>,
    /// Whether the host must not be able to read the guest's memory.
    pub protected: bool,
    /// The size of the guest's memory; the VMM's default if `None`.
    pub memory: Option<MemoryMib>,
    /// How many virtual CPUs there are.
    pub cpu_topology: CpuTopology,
    /// Which versions of the virtual platform the guest can run on.
    pub platform_version: PlatformVersion,
    /// Sysfs paths of host devices to assign to the VM.
    pub devices: Vec<String>,
    /// Where console input arrives in the guest; the manager's default if `None`.
    pub console_input_device: Option<ConsoleInputDevice>,
    /// USB; the manager's default if `None`.
    pub usb: Option<UsbConfig>,
}

impl VmConfig {
    /// Reads the configuration in the file `path`.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be read, is larger than [`MAX_FILE_SIZE`], or for the reasons that
    /// [`VmConfig::parse`] has.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let read_error = |source| Error::Read {
            file: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(read_error)?;
        let mut bytes = Vec::new();
        // One byte more than the limit reveals a file that is too large.
        file.take(MAX_FILE_SIZE + 1)
            .read_to_end(&mut bytes)
            .map_err(read_error)?;
        if u64::try_from(bytes.len()).is_ok_and(|size| size > MAX_FILE_SIZE) {
            return Err(Error::TooLarge {
                file: path.to_owned(),
            });
        }
        let text = String::from_utf8(bytes).map_err(|error| Error::NotUtf8 {
            file: path.to_owned(),
            offset: error.utf8_error().valid_up_to(),
        })?;
        // The files are beside the real file, not beside a link to it.
        let link = std::fs::read_link(path).and_then(|_| path.canonicalize());
        let real = link.as_deref().unwrap_or(path);
        // A bare file name has the parent "", which keeps relative paths relative.
        let base = real.parent().unwrap_or(Path::new(""));
        Self::parse(&text, base).map_err(|error| error.in_file(path))
    }

    /// Reads the configuration `text`, in which file paths are relative to `base`.
    ///
    /// # Errors
    ///
    /// Fails if the text is not JSON, or a key or value does not fit the
    /// [format](crate#the-format). No file is opened.
    pub fn parse(text: &str, base: &Path) -> Result<Self, Error> {
        // Editors on Windows put a byte order mark in front.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let document: document::Document =
            serde_json::from_str(text).map_err(|error| Error::from_json(&error))?;
        let mut config = Self::try_from(document).map_err(|source| Error::Value {
            at: Location::default(),
            problem: source.to_string(),
        })?;
        for path in config.paths_mut() {
            *path = base.join(&*path);
        }
        Ok(config)
    }

    /// Moves absolute paths below `root`, the directory that stands for `/`.
    pub fn reroot(&mut self, root: &Path) {
        for path in self.paths_mut() {
            if let Ok(below) = path.strip_prefix("/") {
                *path = root.join(below);
            }
        }
    }

    fn paths_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let (Boot::Kernel(boot) | Boot::Bootloader(boot)) = &mut self.boot;
        let on_disks = self
            .disks
            .iter_mut()
            .flat_map(|disk| match &mut disk.contents {
                Contents::Image(path) => vec![path],
                Contents::Partitions(partitions) => {
                    partitions.iter_mut().map(|part| &mut part.path).collect()
                }
            });
        std::iter::once(boot)
            .chain(&mut self.initrd)
            .chain(on_disks)
    }
}
