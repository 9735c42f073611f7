// SPDX-License-Identifier: Apache-2.0
//! The global service, started for a test, on kernel binder or on its Unix socket.

use crate::host::Host;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};
use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

/// Names the service manager for kernel binder, `rsb_hub`.
const HUB_VARIABLE: &str = "VIRTMGR_TEST_HUB";
/// The binder driver of a device without binderfs, and where the service manager looks for it.
const BINDER: &str = "/dev/binder";
const BINDER_OF_HUB: &str = "/dev/binderfs/binder";
/// How long a service may take to be ready on a slow machine.
const PATIENCE: Timespec = Timespec {
    tv_sec: 120,
    tv_nsec: 0,
};
/// An ordinary user of the tests, and the group of those who may have VMs.
pub const USER: u32 = 12_345;
/// The number of the group `kvm` in the tests' root directories.
pub const GROUP: u32 = 23_456;

/// How managers reach the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Its Unix socket.
    Socket,
    /// The kernel's binder driver, with `rsb_hub` as service manager.
    Binder,
}

impl Way {
    /// The ways that this machine has; reports those that are missing.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut ways = vec![Self::Socket];
        let lacking = if !Path::new(BINDER).exists() {
            Some(format!("no {BINDER}"))
        } else if env::var_os(HUB_VARIABLE).is_none() {
            Some(format!("{HUB_VARIABLE} names no service manager"))
        } else {
            None
        };
        match lacking {
            None => ways.push(Self::Binder),
            Some(reason) => skip::skip!(
                "{reason}; kernel binder is tested in the device of `cargo xtask test --device`"
            ),
        }
        ways
    }
}

/// A process that is killed and reaped with this.
#[derive(Debug)]
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A running service.
#[derive(Debug)]
pub struct Daemon {
    process: Process,
    /// Where it tells how it is.
    told: UnixDatagram,
    _hub: Option<Process>,
}

impl Daemon {
    /// Makes the root directory one of a machine with users, and starts the service in it.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(host: &Host, way: Way) -> Self {
        fs::set_permissions(&host.root, fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir_all(host.root.join("etc")).unwrap();
        fs::write(
            host.root.join("etc/group"),
            format!("root:x:0:\nkvm:x:{GROUP}:\n"),
        )
        .unwrap();
        let hub = (way == Way::Binder).then(|| start_hub(host));
        let (process, told) = start(host, way);
        Self {
            process,
            told,
            _hub: hub,
        }
    }

    /// Kills the service as a crash would, and starts it again.
    ///
    /// # Panics
    /// If it does not start.
    pub fn crash_and_restart(&mut self, host: &Host, way: Way) {
        self.process.0.kill().unwrap();
        self.process.0.wait().unwrap();
        (self.process, self.told) = start(host, way);
    }

    /// Sends a signal to the service.
    ///
    /// # Panics
    /// If it has ended.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process.0), signal).unwrap();
    }

    /// Asks the service to end, and waits for that.
    ///
    /// # Panics
    /// If it cannot be asked.
    #[must_use]
    pub fn stop(mut self) -> ExitStatus {
        let pid = Pid::from_child(&self.process.0);
        kill_process(pid, Signal::TERM).unwrap();
        assert_eq!(word(&self.told), "STOPPING=1");
        self.process.0.wait().unwrap()
    }
}

fn start(host: &Host, way: Way) -> (Process, UnixDatagram) {
    let ready = host.scratch().join("ready");
    let _ = fs::remove_file(&ready);
    let told = UnixDatagram::bind(&ready).unwrap();
    let mut command = Command::new(host.dist.path("virtualizationservice"));
    match way {
        Way::Socket => command.args(["--binder", "none"]),
        Way::Binder => command.args(["--binder", BINDER, "--no-socket"]),
    };
    let child = command
        .env("NOTIFY_SOCKET", &ready)
        .env("VIRTMGR_LOG", "info")
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let process = Process(child);
    assert_eq!(word(&told), "READY=1");
    (process, told)
}

/// What the service tells systemd next.
fn word(told: &UnixDatagram) -> String {
    let mut fds = [PollFd::new(told, PollFlags::IN)];
    let count = poll(&mut fds, Some(&PATIENCE)).unwrap();
    assert_eq!(count, 1, "the service does not say how it is");
    let mut word = [0; 64];
    let length = told.recv(&mut word).unwrap();
    String::from_utf8_lossy(&word[..length])
        .trim_end()
        .to_owned()
}

/// Starts the service manager, which is there when it says so.
fn start_hub(host: &Host) -> Process {
    let link = Path::new(BINDER_OF_HUB);
    if !link.exists() {
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(BINDER, link).unwrap();
    }
    // All users may, as on Android.
    fs::set_permissions(BINDER, fs::Permissions::from_mode(0o666)).unwrap();
    fs::create_dir_all(host.root.join("dev")).unwrap();
    let device = host.root.join("dev/binder");
    if !device.exists() {
        symlink(BINDER, device).unwrap();
    }
    let mut child = Command::new(env::var_os(HUB_VARIABLE).unwrap())
        .arg("--insecure-allow-all")
        .env("RUST_LOG", "info")
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let said = child.stderr.take().unwrap();
    let hub = Process(child);
    // Its log is read to the end, so that it never waits for a reader.
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(said).lines().map_while(Result::ok) {
            if line.contains("serving on") {
                let _ = tell.send(());
            }
        }
    });
    told.recv_timeout(std::time::Duration::from_secs(60))
        .expect("the service manager does not serve");
    hub
}

/// A command that runs a manager as an ordinary user, who is in the group that may have VMs or not.
#[must_use]
pub fn as_user(is_member: bool) -> Vec<String> {
    let group = if is_member { GROUP } else { USER };
    vec![
        "setpriv".into(),
        format!("--reuid={USER}"),
        format!("--regid={group}"),
        "--clear-groups".into(),
    ]
}
