// SPDX-License-Identifier: Apache-2.0
//! The plan of a virtual machine: what a VMM needs to know, checked, with every descriptor owned.

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
    /// The guest's graphics processor.
    pub gpu: Option<Gpu>,
    /// The guest's display.
    pub display: Option<Display>,
    /// Where the guest's input comes from, in order.
    pub inputs: Vec<Input>,
    /// The guest's sound card.
    pub audio: Option<Audio>,
    /// Whether the guest gets a USB controller.
    pub usb: bool,
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protection {
    /// Firmware instead of the hypervisor's own.
    pub firmware: Option<PathBuf>,
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

/// A graphics processor, as crosvm names its properties. Absent ones are the VMM's own choice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gpu {
    /// What renders.
    pub backend: Option<String>,
    /// The kinds of contexts that the guest may open.
    pub context_types: Option<Vec<String>>,
    /// The place on the PCI bus.
    pub pci_address: Option<String>,
    /// Features of the renderer.
    pub renderer_features: Option<String>,
    /// The interfaces that the renderer uses: of `egl`, `gles`, `glx`, `surfaceless`, `vulkan`.
    pub renderers: Vec<&'static str>,
}

/// A display.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Display {
    /// Pixels across.
    pub width: NonZeroU32,
    /// Pixels down.
    pub height: NonZeroU32,
    /// Pixels per inch across.
    pub horizontal_dpi: NonZeroU32,
    /// Pixels per inch down.
    pub vertical_dpi: NonZeroU32,
    /// Pictures per second.
    pub refresh_rate: NonZeroU32,
}

/// A source of input events: a socket on which they arrive, or an event device of the host.
#[derive(Debug)]
pub struct Input {
    /// What it looks like to the guest.
    pub kind: InputKind,
    /// The socket or the device.
    pub source: OwnedFd,
}

/// What an input device looks like to the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputKind {
    /// An event device of the host, as it is.
    EvDev,
    /// A keyboard.
    Keyboard,
    /// A mouse.
    Mouse,
    /// Switches, such as that of a lid.
    Switches,
    /// A touch screen for one finger.
    SingleTouch(Surface),
    /// A touch screen for many.
    MultiTouch(Surface),
    /// A touch pad.
    Trackpad(Surface),
}

/// The surface of a touch device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surface {
    /// Positions across.
    pub width: u32,
    /// Positions down.
    pub height: u32,
    /// The device's name; the VMM's own if empty.
    pub name: String,
}

/// Devices of the host that the guest gets.
#[derive(Debug)]
pub struct Assigned {
    /// The device-tree overlay that describes them to the guest.
    pub dtbo: File,
    /// The devices, in order.
    pub devices: Vec<AssignedDevice>,
}

/// A device of the host that is bound to its VFIO driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssignedDevice {
    /// Its directory in sysfs.
    pub path: PathBuf,
    /// Its label in the overlay.
    pub label: String,
}

/// A sound card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Audio {
    /// Whether it records.
    pub microphone: bool,
    /// Whether it plays.
    pub speaker: bool,
}

/// One block device.
#[derive(Debug)]
pub enum Disk {
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

/// A partition of a [`Disk::Partitions`].
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
