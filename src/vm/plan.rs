// SPDX-License-Identifier: Apache-2.0
//! From a client's parcelable to a checked draft of a VM. Nothing here touches the system, but for
//! duplicating the descriptors that the client gave.

use crate::profile::Capabilities;
use crate::vm::Error;
use avf_aidl::service::{
    CpuTopology, DiskImage, Partition, VirtualMachineConfig, VirtualMachineRawConfig,
};
use rsbinder::ParcelFileDescriptor;
use std::collections::HashSet;
use std::fs::File;
use std::num::NonZeroU32;
use std::os::fd::OwnedFd;
use vmm::plan::{Boot, ConsoleInput, Disk};

/// Memory of a guest whose config names none, in MiB.
const DEFAULT_MEMORY_MIB: i32 = 256;
/// Longest VM name, in bytes: it appears in log lines, in files and on command lines.
const MAX_NAME: usize = 255;
/// Longest GPT partition name, in UTF-16 units.
const MAX_LABEL: usize = 36;

/// The descriptors that a client may give for the guest's consoles.
#[derive(Debug, Clone, Copy)]
pub struct ConsoleFiles<'a> {
    /// Console output; logged if absent.
    pub console_out: Option<&'a ParcelFileDescriptor>,
    /// Console input; none if absent.
    pub console_in: Option<&'a ParcelFileDescriptor>,
    /// The guest's log; logged if absent.
    pub os_log: Option<&'a ParcelFileDescriptor>,
}

/// A checked VM, before it has a CID.
#[derive(Debug)]
pub struct Draft {
    /// What it starts with.
    pub boot: Boot,
    /// Memory in MiB.
    pub memory_mib: NonZeroU32,
    /// Virtual CPUs.
    pub cpus: NonZeroU32,
    /// Disks in order.
    pub disks: Vec<Disk>,
    /// Whether there is a balloon.
    pub balloon: bool,
    /// Which device console input goes to.
    pub console_input: ConsoleInput,
    /// The client's descriptor for console output.
    pub console_out: Option<OwnedFd>,
    /// The client's descriptor for console input.
    pub console_in: Option<OwnedFd>,
    /// The client's descriptor for the guest's log.
    pub os_log: Option<OwnedFd>,
}

/// The VM's name in `config`, for messages.
#[must_use]
pub fn name(config: &VirtualMachineConfig) -> &str {
    match config {
        VirtualMachineConfig::RawConfig(raw) => &raw.name,
        VirtualMachineConfig::AppConfig(app) => &app.name,
    }
}

/// The raw config in `config`.
///
/// # Errors
/// [`Error::Unsupported`] for an app config.
pub fn raw_config(config: &VirtualMachineConfig) -> Result<&VirtualMachineRawConfig, Error> {
    match config {
        VirtualMachineConfig::RawConfig(raw) => Ok(raw),
        VirtualMachineConfig::AppConfig(_) => Err(Error::Unsupported {
            what: "appConfig is not supported yet: give a rawConfig".into(),
        }),
    }
}

/// Refuses what this profile, or this manager, cannot do, by the field's name.
///
/// # Errors
/// [`Error::Unsupported`].
pub fn check_features(config: &VirtualMachineRawConfig, can: Capabilities) -> Result<(), Error> {
    let program = crate::profile::NAME;
    let of_profile = [
        (config.networkSupported && !can.network, "networkSupported"),
        (
            !config.devices.is_empty() && !can.device_assignment,
            "devices",
        ),
    ];
    let not_built = [
        (config.protectedVm, "protectedVm"),
        (config.bootloader.is_some(), "bootloader"),
        (config.gdbPort != 0, "gdbPort"),
        (config.hugePages, "hugePages"),
        (config.displayConfig.is_some(), "displayConfig"),
        (!config.inputDevices.is_empty(), "inputDevices"),
        (config.boostUclamp, "boostUclamp"),
        (config.gpuConfig.is_some(), "gpuConfig"),
        (config.audioConfig.is_some(), "audioConfig"),
        (
            config.usbConfig.as_ref().is_some_and(|usb| usb.controller),
            "usbConfig.controller",
        ),
    ];
    if let Some((_, field)) = of_profile.iter().find(|(asked, _)| *asked) {
        return Err(Error::Unsupported {
            what: format!("{program} doesn't support {field}"),
        });
    }
    if let Some((_, field)) = not_built.iter().find(|(asked, _)| *asked) {
        return Err(Error::Unsupported {
            what: format!("{field} is not supported yet"),
        });
    }
    Ok(())
}

impl Draft {
    /// Checks `config` and takes duplicates of its descriptors.
    ///
    /// # Errors
    /// [`Error::Invalid`] or [`Error::BadParcelable`], naming the field.
    pub fn new(config: &VirtualMachineRawConfig, files: ConsoleFiles<'_>) -> Result<Self, Error> {
        check_name(&config.name)?;
        check_platform_version(&config.platformVersion)?;
        let memory = match config.memoryMib {
            0 => DEFAULT_MEMORY_MIB,
            given => given,
        };
        let memory_mib = u32::try_from(memory)
            .ok()
            .and_then(NonZeroU32::new)
            .ok_or_else(|| {
                invalid(format!(
                    "memoryMib {memory}: it must be positive, or 0 for {DEFAULT_MEMORY_MIB}"
                ))
            })?;
        let cpus = match config.cpuTopology {
            CpuTopology::ONE_CPU => NonZeroU32::MIN,
            CpuTopology::MATCH_HOST => std::thread::available_parallelism()
                .ok()
                .and_then(|n| NonZeroU32::try_from(n).ok())
                .unwrap_or(NonZeroU32::MIN),
            CpuTopology(other) => {
                return Err(invalid(format!(
                    "cpuTopology {other}: it must be ONE_CPU (0) or MATCH_HOST (1)"
                )));
            }
        };
        let console_input = match config.consoleInputDevice.as_deref() {
            None | Some("hvc0") => ConsoleInput::Hvc0,
            Some("ttyS0") => ConsoleInput::TtyS0,
            Some(other) => {
                return Err(invalid(format!(
                    "consoleInputDevice {other:?}: it must be \"hvc0\" or \"ttyS0\""
                )));
            }
        };
        let kernel = config
            .kernel
            .as_ref()
            .ok_or_else(|| invalid("kernel: it is missing".into()))?;
        let params = config.params.clone().unwrap_or_default();
        if params.contains('\0') {
            return Err(invalid("params: they contain a NUL byte".into()));
        }
        let boot = Boot::Kernel {
            kernel: file("kernel", kernel)?,
            initrd: config
                .initrd
                .as_ref()
                .map(|fd| file("initrd", fd))
                .transpose()?,
            params,
        };
        let disks = config
            .disks
            .iter()
            .enumerate()
            .map(|(index, image)| disk(index, image))
            .collect::<Result<_, _>>()?;
        let optional = |field, fd: Option<&ParcelFileDescriptor>| {
            fd.map(|fd| duplicate(field, fd)).transpose()
        };
        Ok(Self {
            boot,
            memory_mib,
            cpus,
            disks,
            balloon: !config.noBalloon,
            console_input,
            console_out: optional("consoleOutFd", files.console_out)?,
            console_in: optional("consoleInFd", files.console_in)?,
            os_log: optional("osLogFd", files.os_log)?,
        })
    }
}

fn invalid(what: String) -> Error {
    Error::Invalid { what }
}

fn check_name(name: &str) -> Result<(), Error> {
    if name.is_empty() {
        Err(invalid("name: it is empty".into()))
    } else if name.len() > MAX_NAME {
        Err(invalid(format!(
            "name: it has {} bytes, at most {MAX_NAME} are allowed",
            name.len()
        )))
    } else if name.chars().any(char::is_control) {
        Err(invalid(format!("name {name:?}: it has control characters")))
    } else {
        Ok(())
    }
}

fn check_platform_version(version: &str) -> Result<(), Error> {
    semver::VersionReq::parse(version)
        .map(drop)
        .map_err(|e| Error::BadParcelable {
            what: format!(
                "platformVersion {version:?}: it must be a SemVer requirement such as \"~1.0\": {e}"
            ),
        })
}

fn duplicate(field: &str, fd: &ParcelFileDescriptor) -> Result<OwnedFd, Error> {
    fd.as_ref().try_clone().map_err(|e| Error::BadParcelable {
        what: format!("{field}: its descriptor cannot be duplicated: {e}"),
    })
}

fn file(field: &str, fd: &ParcelFileDescriptor) -> Result<File, Error> {
    duplicate(field, fd).map(File::from)
}

fn disk(index: usize, disk: &DiskImage) -> Result<Disk, Error> {
    match (&disk.image, &disk.partitions[..]) {
        (Some(image), []) => Ok(Disk::Image {
            image: file(&format!("disks[{index}].image"), image)?,
            writable: disk.writable,
        }),
        (None, [_, ..]) => partitions(index, &disk.partitions).map(Disk::Partitions),
        (Some(_), _) => Err(invalid(format!(
            "disks[{index}]: it has both an image and partitions; give one of them"
        ))),
        (None, []) => Err(invalid(format!(
            "disks[{index}]: it has neither an image nor partitions; give one of them"
        ))),
    }
}

fn partitions(disk: usize, list: &[Partition]) -> Result<Vec<vmm::plan::Partition>, Error> {
    let mut labels = HashSet::new();
    list.iter()
        .enumerate()
        .map(|(index, partition)| {
            let field = format!("disks[{disk}].partitions[{index}]");
            let label = &partition.label;
            if label.is_empty() || label.encode_utf16().count() > MAX_LABEL {
                return Err(invalid(format!(
                    "{field}.label {label:?}: it must have 1 to {MAX_LABEL} UTF-16 units"
                )));
            }
            if !labels.insert(label) {
                return Err(invalid(format!(
                    "{field}.label {label:?}: another partition of this disk has it"
                )));
            }
            let image = partition
                .image
                .as_ref()
                .ok_or_else(|| invalid(format!("{field}.image: it is missing")))?;
            let guid = partition
                .guid
                .as_deref()
                .map(|text| {
                    text.parse::<uuid::Uuid>().map_err(|e| {
                        invalid(format!("{field}.guid {text:?}: it is not a GUID: {e}"))
                    })
                })
                .transpose()?;
            Ok(vmm::plan::Partition {
                label: label.clone(),
                image: file(&format!("{field}.image"), image)?,
                writable: partition.writable,
                guid,
            })
        })
        .collect()
}
