// SPDX-License-Identifier: Apache-2.0
//! What a test must not leave behind.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags};
use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;

/// How long a process that is ending may take on a busy machine.
const PATIENCE: Timespec = Timespec {
    tv_sec: 60,
    tv_nsec: 0,
};

/// A process, held so that its number cannot come to mean another.
#[derive(Debug)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// The words of its command line.
    pub command: String,
    pidfd: OwnedFd,
}

impl Process {
    /// Whether it is a virtual machine monitor that runs a guest.
    #[must_use]
    pub fn is_vmm(&self) -> bool {
        let mut words = self.command.split(' ');
        let program = words.next().unwrap_or_default();
        program.contains("qemu-system-") || program.contains("crosvm") && words.any(|w| w == "run")
    }

    /// Blocks until it has ended.
    ///
    /// # Panics
    /// If it does not end.
    pub fn wait(&self) {
        let mut fds = [PollFd::new(&self.pidfd, PollFlags::IN)];
        assert_ne!(
            poll(&mut fds, Some(&PATIENCE)).unwrap(),
            0,
            "process {} still runs: {}",
            self.pid,
            self.command
        );
    }

    /// Sends SIGKILL.
    ///
    /// # Panics
    /// If it is not ours.
    pub fn kill(&self) {
        rustix::process::pidfd_send_signal(&self.pidfd, rustix::process::Signal::KILL).unwrap();
    }
}

/// The processes whose environment has `root` as their root directory: managers, VMMs, devices.
#[must_use]
pub fn processes(root: &Path) -> Vec<Process> {
    let wanted = format!("VIRTMGR_ROOT={}", root.display());
    let me = i32::try_from(std::process::id()).unwrap();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<i32>().ok())
        else {
            continue;
        };
        if pid == me {
            continue;
        }
        let Ok(pidfd) =
            rustix::process::pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty())
        else {
            continue;
        };
        // A process that is not dumpable, as the vsock device, hides its environment from all but
        // root; its parent is found all the same.
        let environ = fs::read(entry.path().join("environ")).unwrap_or_default();
        if environ
            .split(|byte| *byte == 0)
            .any(|word| word == wanted.as_bytes())
        {
            let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            found.push(Process {
                pid,
                command,
                pidfd,
            });
        }
    }
    found
}

/// Waits until no process of `root` is left, then looks at the directories.
///
/// # Panics
/// If anything is left.
pub fn expect_none(root: &Path, directories: &[&str]) {
    for process in processes(root) {
        process.wait();
    }
    for directory in directories {
        let path = root.join(directory);
        let left: Vec<_> = fs::read_dir(&path)
            .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
            .unwrap_or_default();
        assert!(left.is_empty(), "left in {}: {left:?}", path.display());
    }
}
