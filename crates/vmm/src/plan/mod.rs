// SPDX-License-Identifier: Apache-2.0
//! The plan of a virtual machine: what a VMM needs to know, checked, with every descriptor owned.

mod devices;
mod smbios;

pub use devices::{
    Assigned, AssignedDevice, Audio, Display, Gpu, Input, InputKind, Surface, UsbDevice,
};
pub use smbios::{MAX_OEM_STRINGS, MAX_SMBIOS_BYTES, Smbios};

use crate::{Arch, Error};
use host::PvmFirmware;
use std::fs::File;
use std::num::{NonZeroU16, NonZeroU32};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// Everything a VMM needs to start one VM.
#[derive(Debug)]
pub struct Plan {
    /// The VM's name, for process lists and logs.
    pub name: String,
    /// The VM's own directory, removed with it, for files that the VMM needs by name.
    pub directory: PathBuf,
    /// The machine that the guest gets.
    pub machine: Machine,
    /// Where the guest's serial lines and consoles go.
    pub consoles: Consoles,
    /// How the guest reaches the host.
    pub vsock: Vsock,
    /// An opened TAP device for the guest's network.
    pub tap: Option<OwnedFd>,
    /// Devices of the host that the guest gets.
    pub assigned: Option<Assigned>,
}

/// What a client says of its VM, checked: everything that does not depend on where the VM runs.
#[derive(Debug)]
pub struct Machine {
    /// What the VM starts with.
    pub boot: Boot,
    /// Memory of the guest in MiB.
    pub memory_mib: NonZeroU32,
    /// Virtual CPUs.
    pub cpus: Cpus,
    /// Block devices in the order in which the guest numbers them.
    pub disks: Vec<Disk>,
    /// The guest's memory balloon.
    pub balloon: Balloon,
    /// Whether the guest's memory is protected from the host, and how it is started then.
    pub protection: Option<Protection>,
    /// The TCP port on which the VMM waits for a debugger before the guest runs.
    pub gdb_port: Option<NonZeroU16>,
    /// Whether the guest's memory should be in huge pages.
    pub huge_pages: bool,
    /// Whether virtual CPUs ask the host's scheduler for its fastest.
    pub boost_uclamp: bool,
    /// Properties for the guest, as a device-tree overlay.
    pub device_tree_overlay: Option<File>,
    /// The client's own device-tree overlays, applied after that.
    pub overlays: Vec<Overlay>,
    /// Where the device tree that the guest gets is written.
    pub device_tree_dump: Option<OwnedFd>,
    /// Firmware of protected VMs, run in a VM that is not protected.
    pub pvmfw: Option<File>,
    /// Whether the guest gets an interrupt translation service (arm64); the VMM's own choice if
    /// absent.
    pub vgic_its: Option<bool>,
    /// Files that are parts of the guest's memory.
    pub memory_files: Vec<MemoryFile>,
    /// Flash memories, in order.
    pub pflash: Vec<Pflash>,
    /// What the firmware's tables say about the machine, where it differs from the VMM's own words.
    pub smbios: Option<Smbios>,
    /// The guest's graphics processor.
    pub gpu: Option<Gpu>,
    /// A socket of a Wayland compositor, on which the guest's displays are shown.
    pub wayland: Option<OwnedFd>,
    /// The guest's display.
    pub display: Option<Display>,
    /// Where the guest's input comes from, in order.
    pub inputs: Vec<Input>,
    /// The guest's sound card.
    pub audio: Option<Audio>,
    /// Whether the guest gets a USB controller.
    pub usb: bool,
    /// USB devices of the host that the guest gets.
    pub usb_devices: Vec<UsbDevice>,
}

impl Machine {
    /// Refuses more CPUs than a guest can have.
    pub(crate) fn check_cpus(&self, vmm: &str, arch: Arch) -> Result<(), Error> {
        let most = arch.max_cpus();
        match self.cpus {
            Cpus::Count(count) if count.get() > most => Err(Error::Invalid {
                what: format!(
                    "cpuOptions.cpuTopology.cpuCount {count}: {vmm} gives a guest at most {most} CPUs; ask for fewer"
                ),
            }),
            _ => Ok(()),
        }
    }

    /// Whether firmware of protected VMs runs in it.
    #[must_use]
    pub fn has_firmware(&self) -> bool {
        self.protection.is_some() || self.pvmfw.is_some()
    }
}

/// What a VM starts with.
#[derive(Debug)]
pub enum Boot {
    /// A Linux kernel, started directly.
    Kernel {
        /// bzImage, `Image` or ELF `vmlinux`.
        kernel: File,
        /// Initial RAM disk.
        initrd: Option<File>,
        /// Kernel command line.
        params: String,
    },
    /// A boot loader or firmware, which finds the rest by itself.
    Bootloader {
        /// The image.
        image: File,
        /// Initial RAM disk, for boot loaders that take one from the VMM.
        initrd: Option<File>,
        /// Kernel command line, likewise.
        params: String,
    },
}

/// Virtual CPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cpus {
    /// This many.
    Count(NonZeroU32),
    /// As many as the host has, in the host's arrangement where the VMM can show it.
    MatchHost(NonZeroU32),
}

impl Cpus {
    /// How many there are.
    #[must_use]
    pub fn count(self) -> NonZeroU32 {
        match self {
            Self::Count(count) | Self::MatchHost(count) => count,
        }
    }
}

/// The guest's memory balloon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balloon {
    /// None.
    Absent,
    /// One whose size the host sets, and with which the guest reports free pages.
    PageReporting,
}

/// How a protected VM is started.
#[derive(Debug)]
pub struct Protection {
    /// Its firmware.
    pub firmware: Firmware,
    /// MiB of the buffer through which its devices reach its memory; [`swiotlb_mib`] if absent.
    pub swiotlb_mib: Option<NonZeroU32>,
}

/// The firmware of a protected VM.
#[derive(Debug)]
pub enum Firmware {
    /// What the host's settings say.
    Host(PvmFirmware),
    /// The client's own.
    File(File),
}

/// MiB of the buffer through which the devices of a protected VM reach its memory: two for each of
/// the four devices that every VM has, and for each disk.
#[must_use]
pub fn swiotlb_mib(disks: usize) -> u32 {
    u32::try_from(disks)
        .unwrap_or(u32::MAX)
        .saturating_add(4)
        .saturating_mul(2)
}

/// A device-tree overlay.
#[derive(Debug)]
pub struct Overlay {
    /// The overlay.
    pub file: File,
    /// Whether the guest gets those of its nodes only that belong to devices of the host.
    pub filtered: bool,
}

/// A file that is a part of the guest's memory.
#[derive(Debug)]
pub struct MemoryFile {
    /// The file, used from its first byte on.
    pub file: File,
    /// Where the part begins, in the guest's addresses.
    pub start: u64,
    /// Bytes of the part.
    pub size: u64,
}

/// A flash memory.
#[derive(Debug)]
pub struct Pflash {
    /// Its content.
    pub image: File,
    /// Whether the guest may write.
    pub writable: bool,
}

/// Bytes of a disk's id: the limit of virtio.
pub const MAX_DISK_ID: usize = 20;

/// One block device.
#[derive(Debug)]
pub struct Disk {
    /// What is on it.
    pub content: DiskContent,
    /// How the guest knows it, at most [`MAX_DISK_ID`] bytes.
    pub id: Option<String>,
}

impl From<DiskContent> for Disk {
    fn from(content: DiskContent) -> Self {
        Self { content, id: None }
    }
}

/// What is on a block device.
#[derive(Debug)]
pub enum DiskContent {
    /// A whole raw image.
    Image {
        /// The image.
        image: File,
        /// Whether the guest may write.
        writable: bool,
    },
    /// A GPT disk made of partition files.
    Partitions(Vec<Partition>),
}

/// A partition of a [`DiskContent::Partitions`].
#[derive(Debug)]
pub struct Partition {
    /// The GPT name, at most 36 UTF-16 units.
    pub label: String,
    /// The partition's content.
    pub image: File,
    /// Whether the guest may write.
    pub writable: bool,
    /// The unique partition GUID; random if absent.
    pub guid: Option<uuid::Uuid>,
}

/// Which device the console input goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConsoleInput {
    /// The first virtio console.
    #[default]
    Hvc0,
    /// The first serial line.
    TtyS0,
}

/// Where the guest's serial lines and consoles go.
#[derive(Debug)]
pub struct Consoles {
    /// `ttyS0` and `hvc0`, output.
    pub console_out: OwnedFd,
    /// Input of `hvc0` or `ttyS0`.
    pub console_in: Option<OwnedFd>,
    /// Which of the two gets the input.
    pub console_input: ConsoleInput,
    /// `ttyS1`: why the guest gave up, as text.
    pub failure: OwnedFd,
    /// `hvc1`: the guest's memory, if its kernel crashes and writes a dump. Nothing if absent.
    pub ramdump: Option<OwnedFd>,
    /// `hvc2`: the log of the guest's system.
    pub log: OwnedFd,
}

/// How the guest reaches the host over vsock.
#[derive(Debug)]
pub enum Vsock {
    /// The kernel's device: `/dev/vhost-vsock`, opened, with the CID to set.
    Kernel {
        /// The opened device, which holds the CID already.
        vhost: OwnedFd,
        /// The guest's CID.
        cid: u32,
    },
    /// A user-space device at the other end of this connected vhost-user socket.
    User {
        /// The VMM's end.
        socket: OwnedFd,
    },
}
