// SPDX-License-Identifier: Apache-2.0
//! The plan of a virtual machine: what a VMM needs to know, checked, with every descriptor owned.

use std::fs::File;
use std::num::NonZeroU32;
use std::os::fd::OwnedFd;

/// Everything a VMM needs to start one VM.
#[derive(Debug)]
pub struct Plan {
    /// The VM's name, for process lists and logs.
    pub name: String,
    /// What the VM starts with.
    pub boot: Boot,
    /// Memory of the guest in MiB.
    pub memory_mib: NonZeroU32,
    /// Virtual CPUs.
    pub cpus: NonZeroU32,
    /// Block devices in the order in which the guest numbers them.
    pub disks: Vec<Disk>,
    /// Where the guest's serial lines and consoles go.
    pub consoles: Consoles,
    /// How the guest reaches the host.
    pub vsock: Vsock,
    /// Whether the guest gets a memory balloon.
    pub balloon: bool,
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
    /// `hvc2`: the log of the guest's system.
    pub log: OwnedFd,
}

/// How the guest reaches the host over vsock.
#[derive(Debug)]
pub enum Vsock {
    /// The kernel's device: `/dev/vhost-vsock`, opened, with the CID to set.
    Kernel {
        /// The opened device.
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
