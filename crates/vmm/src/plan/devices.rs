// SPDX-License-Identifier: Apache-2.0
//! Graphics, input, sound, and devices of the host.

use std::fs::File;
use std::num::NonZeroU32;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

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

/// A USB device of the host.
#[derive(Debug)]
pub struct UsbDevice {
    /// Who made it.
    pub vendor: u16,
    /// What it is.
    pub product: u16,
    /// The device, opened.
    pub node: OwnedFd,
}
