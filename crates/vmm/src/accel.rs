// SPDX-License-Identifier: Apache-2.0
//! Whether this host can run guests on its own CPU.

use std::fs::{self, File, OpenOptions};

/// How guest code is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceleration {
    /// On the host's CPU, by KVM.
    Kvm,
    /// By software emulation.
    Emulation,
}

impl std::fmt::Display for Acceleration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Kvm => "KVM",
            Self::Emulation => "emulation",
        })
    }
}

/// KVM if it can really run an ordinary kernel here.
///
/// An open `/dev/kvm` does not prove it: some x86 hosts have a device that creates VMs and a CPU
/// without the virtualization extension. So the CPU's flags are checked first, then a VM is created.
#[must_use]
pub fn detect() -> Acceleration {
    if cpu_can() && kvm().is_some_and(|kvm| can_create_vm(&kvm)) {
        Acceleration::Kvm
    } else {
        Acceleration::Emulation
    }
}

fn kvm() -> Option<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .ok()
}

#[cfg(target_arch = "x86_64")]
fn cpu_can() -> bool {
    fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| {
        text.lines()
            .find(|line| line.starts_with("flags"))
            .is_some_and(|line| {
                line.split_whitespace()
                    .any(|flag| flag == "vmx" || flag == "svm")
            })
    })
}

#[cfg(not(target_arch = "x86_64"))]
fn cpu_can() -> bool {
    // Other processors have no such flag; creating a VM is the check.
    fs::exists("/dev/kvm").unwrap_or(false)
}

#[expect(unsafe_code, reason = "the KVM_CREATE_VM ioctl has no safe wrapper")]
fn can_create_vm(kvm: &File) -> bool {
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
    /// `_IO(KVMIO, 0x01)` of linux/kvm.h.
    const KVM_CREATE_VM: libc::Ioctl = 0xAE01;
    // SAFETY: KVM_CREATE_VM takes an integer (the machine type, 0 is the default) and touches no
    // memory of ours.
    let fd = unsafe { libc::ioctl(kvm.as_raw_fd(), KVM_CREATE_VM, 0) };
    if fd < 0 {
        return false;
    }
    // SAFETY: the ioctl has just made this descriptor, and nothing else owns it.
    drop(unsafe { OwnedFd::from_raw_fd(fd) });
    true
}
