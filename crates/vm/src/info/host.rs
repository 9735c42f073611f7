// SPDX-License-Identifier: Apache-2.0
//! The machine: kernel, CPUs, memory, what the kernel does for VMs.

use super::Fact;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use vmm::accel::{Acceleration, detect};

pub(super) fn kernel() -> String {
    let name = rustix::system::uname();
    format!(
        "{} {} ({})",
        name.sysname().to_string_lossy(),
        name.release().to_string_lossy(),
        name.machine().to_string_lossy()
    )
}

pub(super) fn cpus() -> String {
    std::thread::available_parallelism().map_or_else(|e| e.to_string(), |n| n.to_string())
}

pub(super) fn memory() -> String {
    let mib = |kib: u64| kib / 1024;
    match std::fs::read_to_string("/proc/meminfo") {
        Ok(text) => match (meminfo(&text, "MemAvailable"), meminfo(&text, "MemTotal")) {
            (Some(free), Some(all)) => format!("{} MiB available of {} MiB", mib(free), mib(all)),
            _ => "unknown".to_owned(),
        },
        Err(e) => format!("/proc/meminfo: {e}"),
    }
}

/// A value of /proc/meminfo, in KiB.
fn meminfo(text: &str, key: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

pub(super) fn kvm() -> Fact {
    const HINT: &str = "guests run by software emulation, some ten times slower";
    let lacking = |why: String| Fact::lacking("kvm", "KVM", why, HINT);
    match open("/dev/kvm") {
        Err(why) => lacking(why),
        Ok(()) if detect() == Acceleration::Kvm => Fact::there("kvm", "KVM", "/dev/kvm works"),
        Ok(()) => lacking(
            "/dev/kvm is there, but the CPU has no virtualization extension (vmx, svm), \
             or no VM can be made"
                .to_owned(),
        ),
    }
}

pub(super) fn vhost_vsock() -> Fact {
    match open("/dev/vhost-vsock") {
        Ok(()) => Fact::there("vhost_vsock", "vhost-vsock", "/dev/vhost-vsock"),
        Err(why) => Fact::lacking(
            "vhost_vsock",
            "vhost-vsock",
            why,
            "the manager runs a vsock device in a process of its own (modprobe vhost_vsock is faster)",
        ),
    }
}

/// Whether a device can be used, and if not, why.
fn open(path: &str) -> Result<(), String> {
    match OpenOptions::new().read(true).write(true).open(path) {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == ErrorKind::NotFound => Err(format!("no {path}")),
        Err(e) if e.kind() == ErrorKind::PermissionDenied => Err(format!(
            "{path}: permission denied; it takes membership of its group (ls -l {path}), mostly \
             kvm: usermod -aG kvm USER, and log in anew"
        )),
        Err(e) => Err(format!("{path}: {e}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_the_right_line() {
        let text = "MemTotal:       24576 kB\nMemFree:  1 kB\nMemAvailable:    2048 kB\n";
        assert_eq!(meminfo(text, "MemAvailable"), Some(2048));
        assert_eq!(meminfo(text, "Mem"), None);
    }
}
