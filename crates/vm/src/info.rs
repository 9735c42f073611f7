// SPDX-License-Identifier: Apache-2.0
//! `vm info`: what this host can do for VMs, and why not.

use crate::cli::InfoArgs;
use crate::paint::Paint;
use anyhow::Result;
use rustix::process::{Resource, getrlimit};
use rustix::thread::CapabilitySet;
use serde::Serialize;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use vmm::accel::{Acceleration, detect};
use vmm::find::{Finder, Settings};

/// One thing that matters for VMs.
#[derive(Debug, Serialize)]
struct Fact {
    /// The key in JSON.
    #[serde(skip)]
    key: &'static str,
    /// The name in the table.
    #[serde(skip)]
    title: &'static str,
    /// Whether it is there; none if it is merely a value.
    #[serde(skip_serializing_if = "Option::is_none")]
    available: Option<bool>,
    /// What was found.
    value: String,
    /// What follows if it is not there, or what can be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl Fact {
    fn value(key: &'static str, title: &'static str, value: impl Into<String>) -> Self {
        Self {
            key,
            title,
            available: None,
            value: value.into(),
            hint: None,
        }
    }

    fn there(key: &'static str, title: &'static str, value: impl Into<String>) -> Self {
        Self {
            available: Some(true),
            ..Self::value(key, title, value)
        }
    }

    fn lacking(
        key: &'static str,
        title: &'static str,
        value: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            available: Some(false),
            hint: Some(hint.into()),
            ..Self::value(key, title, value)
        }
    }
}

/// Shows the host's abilities.
pub(crate) fn info(args: &InfoArgs) -> Result<ExitCode> {
    let facts = facts();
    if args.json {
        let map: serde_json::Map<String, serde_json::Value> = facts
            .iter()
            .map(|fact| Ok((fact.key.to_owned(), serde_json::to_value(fact)?)))
            .collect::<Result<_>>()?;
        crate::out::print_json(&map)?;
    } else {
        crate::out::print(&table(&facts, Paint::stdout()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn facts() -> Vec<Fact> {
    let mut facts = vec![
        Fact::value("kernel", "host kernel", kernel()),
        Fact::value("cpus", "CPUs", cpus()),
        Fact::value("memory", "memory", memory()),
        kvm(),
        vhost_vsock(),
        vmm(),
    ];
    facts.extend(acceleration());
    facts.extend([
        manager("virtmgr", "manager"),
        manager("early_virtmgr", "early manager"),
        limit(
            "memory_lock_limit",
            "memory lock limit",
            Resource::Memlock,
            "bytes",
        ),
        limit(
            "open_files_limit",
            "open files limit",
            Resource::Nofile,
            "files",
        ),
        capabilities(),
    ]);
    facts
}

fn table(facts: &[Fact], paint: Paint) -> String {
    let mut text = String::new();
    let width = facts.iter().map(|fact| fact.title.len()).max().unwrap_or(0);
    for fact in facts {
        // Padded before it is coloured: the codes have a length, too.
        let mark = match fact.available {
            Some(true) => paint.good("yes"),
            Some(false) => paint.bad("no "),
            None => "   ".to_owned(),
        };
        text += &format!("{:width$}  {mark}  {}\n", fact.title, fact.value);
        if let Some(hint) = &fact.hint {
            text += &format!("{:width$}       {}\n", "", paint.dim(hint));
        }
    }
    text
}

fn kernel() -> String {
    let name = rustix::system::uname();
    format!(
        "{} {} ({})",
        name.sysname().to_string_lossy(),
        name.release().to_string_lossy(),
        name.machine().to_string_lossy()
    )
}

fn cpus() -> String {
    std::thread::available_parallelism().map_or_else(|e| e.to_string(), |n| n.to_string())
}

fn memory() -> String {
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

fn kvm() -> Fact {
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

fn vhost_vsock() -> Fact {
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
        Err(e) => Err(format!("{path}: {e}")),
    }
}

fn vmm() -> Fact {
    const HINT: &str =
        "install it (Debian: apt install qemu-system-x86), or name it in VIRTMGR_VMM";
    match Finder::new(Settings::linux()).vmm() {
        Err(e) => Fact::lacking("vmm", "VMM", e.to_string(), HINT),
        Ok(found) => {
            let program = found.vmm.program();
            match version(program) {
                Some(version) => {
                    Fact::there("vmm", "VMM", format!("{}: {version}", program.display()))
                }
                None => Fact::lacking(
                    "vmm",
                    "VMM",
                    format!("{} does not say its version", program.display()),
                    HINT,
                ),
            }
        }
    }
}

/// The first line that a program prints when asked for its version.
fn version(program: &Path) -> Option<String> {
    let output = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next().filter(|_| output.status.success())?;
    Some(line.trim().to_owned())
}

/// The acceleration that the manager would take, if a variable decides it.
fn acceleration() -> Option<Fact> {
    let set = std::env::var(vmm::find::ACCEL_VARIABLE)
        .ok()
        .filter(|v| !v.is_empty())?;
    Some(Fact::value(
        "acceleration",
        "acceleration",
        format!("{set}, by {}", vmm::find::ACCEL_VARIABLE),
    ))
}

fn manager(name: &'static str, title: &'static str) -> Fact {
    match vmclient::locate(name) {
        Some(path) => {
            let version = version(&path).map(|v| format!(": {v}")).unwrap_or_default();
            Fact::there(name, title, format!("{}{version}", path.display()))
        }
        None => Fact::lacking(
            name,
            title,
            format!("no {name} beside this program, in /apex/com.android.virt/bin or in PATH"),
            "build it with cargo xtask dist",
        ),
    }
}

fn limit(key: &'static str, title: &'static str, resource: Resource, unit: &str) -> Fact {
    let limit = getrlimit(resource);
    let show = |limit: Option<u64>| limit.map_or("unlimited".to_owned(), |n| format!("{n} {unit}"));
    Fact::value(
        key,
        title,
        format!(
            "{}, may be raised to: {}",
            show(limit.current),
            show(limit.maximum)
        ),
    )
}

/// The capabilities that clients of the early manager need.
fn capabilities() -> Fact {
    const NEEDED: [(CapabilitySet, &str); 3] = [
        (CapabilitySet::IPC_LOCK, "CAP_IPC_LOCK"),
        (CapabilitySet::NET_BIND_SERVICE, "CAP_NET_BIND_SERVICE"),
        (CapabilitySet::SYS_RESOURCE, "CAP_SYS_RESOURCE"),
    ];
    let (key, title) = ("early_capabilities", "early VM rights");
    let effective = match rustix::thread::capabilities(None) {
        Ok(sets) => sets.effective,
        Err(e) => return Fact::lacking(key, title, format!("capget: {e}"), "run it as root"),
    };
    let names = |there: bool| -> Vec<&str> {
        NEEDED
            .iter()
            .filter(|(c, _)| effective.contains(*c) == there)
            .map(|(_, n)| *n)
            .collect()
    };
    match &names(false)[..] {
        [] => Fact::there(key, title, names(true).join(" ")),
        missing => Fact::lacking(
            key,
            title,
            format!("lacking: {}", missing.join(" ")),
            "a client of early_virtmgr needs these where vsock and locked memory are real",
        ),
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
