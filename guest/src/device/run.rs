// SPDX-License-Identifier: Apache-2.0
//! The drivers that make it a device, and the command.

use super::{Failure, Orders, failed};
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, wait};
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a device has: virtualization of either maker, vsock for guests, Android's binder, what
/// disks and networks of guests are made of. What this kernel or CPU lacks is left out; the tests
/// that need it say so.
const DRIVERS: [&[&str]; 10] = [
    &["kvm_amd"],
    &["kvm_intel"],
    &["vhost_vsock"],
    &["vsock_loopback"],
    &["binder_linux", "devices=binder,hwbinder,vndbinder"],
    &["loop"],
    &["tun"],
    &["erofs"],
    &["squashfs"],
    &["ext4"],
];

/// Where the host listens, by the names of its ports: the command's output, its errors, its end.
const OUTPUT: &str = "output";
const ERRORS: &str = "errors";
const STATUS: &str = "status";
/// Where the kernel says which port is which device.
const PORTS: &str = "/sys/class/virtio-ports";
/// How long a port may take to appear, at most; its driver has been there for long.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Loads the drivers.
pub(super) fn drivers() -> Result<(), Failure> {
    for arguments in DRIVERS {
        Command::new("modprobe")
            .arg("-q")
            .args(arguments)
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null())
            .status()
            .map_err(|e| failed("start modprobe", &e))?;
    }
    Ok(())
}

/// The port called `name`.
fn port(name: &str) -> Result<File, Failure> {
    let end = Instant::now() + TIMEOUT;
    loop {
        let ports = std::fs::read_dir(PORTS).map_err(|e| failed(format!("list {PORTS}"), &e))?;
        let found = ports.flatten().find(|port| {
            let said = std::fs::read_to_string(port.path().join("name"));
            said.is_ok_and(|said| said.trim() == name)
        });
        if let Some(port) = found {
            let path = Path::new("/dev").join(port.file_name());
            return OpenOptions::new()
                .write(true)
                .open(&path)
                .map_err(|e| failed(format!("open {}", path.display()), &e));
        }
        if Instant::now() > end {
            return Err(failed("find the host's port", &name));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Runs the command to its end and tells the host.
pub(super) fn command(orders: &Orders) -> Result<(), Failure> {
    let mut status = port(STATUS)?;
    // The host counts from its start until here.
    let mut tell = |line: String| {
        status
            .write_all(line.as_bytes())
            .map_err(|e| failed("tell the host", &e))
    };
    tell("up\n".into())?;
    let environment = orders
        .environment
        .split(|byte| *byte == 0)
        .filter_map(|entry| {
            let at = entry.iter().position(|byte| *byte == b'=')?;
            Some((
                OsStr::from_bytes(&entry[..at]),
                OsStr::from_bytes(&entry[at + 1..]),
            ))
        });
    let child = Command::new("/bin/sh")
        .args(["-c", &orders.command])
        .env_clear()
        .envs(environment)
        .current_dir(&orders.directory)
        .stdin(Stdio::null())
        .stdout(port(OUTPUT)?)
        .stderr(port(ERRORS)?)
        .process_group(0)
        .spawn()
        .map_err(|e| failed("start /bin/sh", &e))?;
    let pid = Pid::from_child(&child);
    let line = loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((ended, status))) if ended == pid => {
                break match status.terminating_signal() {
                    Some(signal) => format!("signal {signal}\n"),
                    None => format!("exit {}\n", status.exit_status().unwrap_or(1)),
                };
            }
            // An orphan.
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(failed("wait for the command", &e)),
        }
    };
    tell(line)
}
