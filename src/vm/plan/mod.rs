// SPDX-License-Identifier: Apache-2.0
//! From a client's parcelable to a checked draft of a VM. Nothing here touches the system, but for
//! duplicating the descriptors that the client gave.

mod devices;
mod disks;
#[cfg(test)]
mod draft_tests;
#[cfg(test)]
mod feature_tests;
mod features;
mod firmware;
mod labels;
mod memory;

pub(crate) use devices::display;
pub use devices::usb_devices;
pub use features::check_features;
pub(crate) use features::is_given;
pub use labels::LabelPolicy;

use crate::error::{Error, Kind};
use crate::fd::{regular, stream};
use avf_aidl::service::cpu_options::CpuTopology;
use avf_aidl::service::{CpuOptions, VirtualMachineRawConfig};
use host::Hypervisor;
use rsbinder::ParcelFileDescriptor;
use rustix::fs::OFlags;
use std::num::{NonZeroU16, NonZeroU32};
use std::os::fd::OwnedFd;
use vmm::plan::{Assigned, Balloon, Boot, ConsoleInput, Cpus, Disk, Machine};

/// Longest VM name, in bytes: it appears in log lines, in files and on command lines.
const MAX_NAME: usize = 255;
/// Longest name of a host that Linux keeps, in bytes.
const MAX_HOST_NAME: usize = 64;
/// Bytes of a command line of which a kernel takes all, with what a VMM may add.
const COMMAND_LINE: usize = 2000;
/// Longest kernel command line of a client, in bytes: more than any kernel takes.
const MAX_PARAMS: usize = 64 << 10;

/// The descriptors that a client may give beside the config.
#[derive(Debug, Clone, Copy)]
pub struct ClientFiles<'a> {
    /// Console output; logged if absent.
    pub console_out: Option<&'a ParcelFileDescriptor>,
    /// Console input; none if absent.
    pub console_in: Option<&'a ParcelFileDescriptor>,
    /// The guest's log; logged if absent.
    pub os_log: Option<&'a ParcelFileDescriptor>,
    /// Where the guest's device tree is written.
    pub device_tree: Option<&'a ParcelFileDescriptor>,
}

/// Network and devices for one VM.
#[derive(Debug, Default)]
pub struct Equipment {
    /// An opened TAP device.
    pub tap: Option<OwnedFd>,
    /// Devices of the host.
    pub assigned: Option<Assigned>,
}

/// A checked VM, before it has a CID.
#[derive(Debug)]
pub struct Draft {
    /// The machine that the guest gets.
    pub machine: Machine,
    /// The client's ends of its consoles.
    pub consoles: ClientConsoles,
}

/// The client's ends of a guest's consoles.
#[derive(Debug)]
pub struct ClientConsoles {
    /// Console output; logged if absent.
    pub out: Option<OwnedFd>,
    /// Console input; none if absent.
    pub input: Option<OwnedFd>,
    /// Which device console input goes to.
    pub input_device: ConsoleInput,
    /// The guest's log; logged if absent.
    pub log: Option<OwnedFd>,
}

impl Draft {
    /// Checks `config` and takes duplicates of its descriptors. `policy` says which partitions may
    /// come from anywhere.
    ///
    /// # Errors
    /// [`Kind::Invalid`], [`Kind::BadParcelable`], [`Kind::Security`] or [`Kind::Failure`],
    /// naming the field.
    pub fn new(
        config: &VirtualMachineRawConfig,
        files: ClientFiles<'_>,
        hypervisor: &Hypervisor,
        policy: LabelPolicy,
    ) -> Result<Self, Error> {
        check_name(&config.name)?;
        check_platform_version(&config.platformVersion)?;
        let gdb_port = gdb_port(config)?;
        let console = |field, fd: Option<&ParcelFileDescriptor>, access| {
            fd.map(|fd| stream(field, fd, access)).transpose()
        };
        let boot = boot(config)?;
        let disks: Vec<Disk> = config
            .disks
            .iter()
            .enumerate()
            .map(|(index, image)| disks::disk(index, image))
            .collect::<Result<_, _>>()?;
        let (protection, pvmfw) = firmware::protection(config, hypervisor)?;
        if let Some(protection) = &protection {
            labels::check(&boot, protection, &disks, policy)?;
        }
        let has_balloon = hypervisor.memory_reclaim && config.balloon;
        let machine = Machine {
            boot,
            memory_mib: memory::size(config.memoryMib)?,
            cpus: cpus(&config.cpuOptions)?,
            disks,
            balloon: if has_balloon {
                Balloon::PageReporting
            } else {
                Balloon::Absent
            },
            // Another VM has what the VMM gives to any.
            vgic_its: (config.protectedVm && config.allowVgicItsInPvm).then_some(true),
            protection,
            pvmfw,
            gdb_port,
            huge_pages: config.hugePages,
            boost_uclamp: config.boostUclamp,
            device_tree_overlay: None,
            overlays: firmware::overlays(config.deviceTreeOverlay.as_ref())?,
            device_tree_dump: console("dumpDtFd", files.device_tree, OFlags::WRONLY)?,
            memory_files: memory::files(&config.customMemoryBackingFiles)?,
            pflash: firmware::pflash(&config.pflash)?,
            smbios: match &config.smbiosOptions {
                Some(options) => firmware::smbios(options)?,
                None => None,
            },
            wayland: match &config.gpuConfig {
                Some(gpu) => devices::compositor(gpu)?,
                None => None,
            },
            gpu: config.gpuConfig.as_ref().map(devices::gpu).transpose()?,
            display: config.displayConfig.as_ref().map(display).transpose()?,
            inputs: devices::inputs(&config.inputDevices)?,
            audio: config.audioConfig.as_ref().and_then(devices::audio),
            usb: config.usbConfig.as_ref().is_some_and(|usb| usb.controller),
            usb_devices: Vec::new(),
        };
        let consoles = ClientConsoles {
            out: console("consoleOutFd", files.console_out, OFlags::WRONLY)?,
            input: console("consoleInFd", files.console_in, OFlags::RDONLY)?,
            input_device: console_input(config.consoleInputDevice.as_deref())?,
            log: console("osLogFd", files.os_log, OFlags::WRONLY)?,
        };
        Ok(Self { machine, consoles })
    }
}

fn invalid(what: String) -> Error {
    Error::invalid(what)
}

/// The virtual CPUs that a client asks for.
///
/// # Errors
/// [`Kind::Failure`], as the interface's contract has it, if their number is not positive.
pub(crate) fn cpus(options: &CpuOptions) -> Result<Cpus, Error> {
    match options.cpuTopology {
        CpuTopology::CpuCount(count) => u32::try_from(count)
            .ok()
            .and_then(NonZeroU32::new)
            .map(Cpus::Count)
            .ok_or_else(|| {
                let what = format!("cpuOptions.cpuCount {count}: it must be 1 or more");
                Error::new(Kind::Failure, what)
            }),
        // The client's value says nothing: it is the choice that counts.
        CpuTopology::MatchHost(_) => Ok(Cpus::MatchHost(
            std::thread::available_parallelism()
                .ok()
                .and_then(|n| NonZeroU32::try_from(n).ok())
                .unwrap_or(NonZeroU32::MIN),
        )),
    }
}

fn console_input(device: Option<&str>) -> Result<ConsoleInput, Error> {
    match device {
        None | Some("hvc0") => Ok(ConsoleInput::Hvc0),
        Some("ttyS0") => Ok(ConsoleInput::TtyS0),
        Some(other) => Err(invalid(format!(
            "consoleInputDevice {other:?}: it must be \"hvc0\" or \"ttyS0\""
        ))),
    }
}

/// A debugger sees all of the guest's memory, which a protected VM hides even from its host.
fn gdb_port(config: &VirtualMachineRawConfig) -> Result<Option<NonZeroU16>, Error> {
    let port = u16::try_from(config.gdbPort).map_err(|_| {
        invalid(format!(
            "gdbPort {}: it must be a TCP port, 1 to 65535, or 0 for none",
            config.gdbPort
        ))
    })?;
    let port = NonZeroU16::new(port);
    if port.is_some() && config.protectedVm {
        return Err(Error::new(
            Kind::Security,
            "gdbPort: a protected VM cannot be debugged",
        ));
    }
    Ok(port)
}

fn boot(config: &VirtualMachineRawConfig) -> Result<Boot, Error> {
    let mut params = config.params.clone().unwrap_or_default();
    if params.contains('\0') {
        return Err(invalid("params: they contain a NUL byte".into()));
    }
    if params.len() > MAX_PARAMS {
        return Err(invalid(format!(
            "params: they have {} bytes, at most {MAX_PARAMS} are allowed",
            params.len()
        )));
    }
    let initrd = config
        .initrd
        .as_ref()
        .map(|fd| regular("initrd", fd, OFlags::RDONLY))
        .transpose()?;
    match (&config.kernel, &config.bootloader) {
        (Some(kernel), None) => {
            add_host_name(&mut params, &config.name);
            Ok(Boot::Kernel {
                kernel: regular("kernel", kernel, OFlags::RDONLY)?,
                initrd,
                params,
            })
        }
        (None, Some(image)) => Ok(Boot::Bootloader {
            image: regular("bootloader", image, OFlags::RDONLY)?,
            initrd,
            params,
        }),
        (Some(_), Some(_)) => Err(invalid(
            "kernel and bootloader: both are given; give one of them".into(),
        )),
        (None, None) => Err(invalid(
            "kernel: it is missing, and so is bootloader; give one of them".into(),
        )),
    }
}

/// Has the kernel name the guest after the VM, if the name can be a host's and there is room for it.
/// What the client says of it comes later and so wins.
fn add_host_name(params: &mut String, name: &str) {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if name.is_empty() || name.len() > MAX_HOST_NAME || !name.chars().all(fits) {
        return;
    }
    let own = format!("hostname={name}");
    let both = if params.is_empty() {
        own
    } else {
        format!("{own} {params}")
    };
    if both.len() <= COMMAND_LINE {
        *params = both;
    }
}

fn check_name(name: &str) -> Result<(), Error> {
    if name.is_empty() {
        Err(invalid("name: it is empty".into()))
    } else if name.len() > MAX_NAME {
        Err(invalid(format!(
            "name: it has {} bytes, at most {MAX_NAME} are allowed",
            name.len()
        )))
    } else if host::printable(name) != name {
        Err(invalid(format!(
            "name \"{}\": it has characters that control a terminal or change the direction of writing; \
             use others",
            host::printable(name)
        )))
    } else {
        Ok(())
    }
}

fn check_platform_version(version: &str) -> Result<(), Error> {
    semver::VersionReq::parse(version).map(drop).map_err(|e| {
        Error::new(
            Kind::BadParcelable,
            format!(
                "platformVersion {version:?}: it must be a SemVer requirement such as \"~1.0\": {e}"
            ),
        )
    })
}
