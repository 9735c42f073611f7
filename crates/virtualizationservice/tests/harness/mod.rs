// SPDX-License-Identifier: Apache-2.0
//! A service of its own for each test, below a root directory of its own; and clients in processes of
//! their own.

use avf_aidl::r15_qpr1::global::IVirtualizationServiceInternal;
use rsbinder::{FromIBinder, Strong};
use service_client::{Service, Way, connect_by};
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// The service as a manager of Android 15 QPR1 calls it, with generated code.
pub trait OfAndroid15 {
    fn binder(&self) -> Strong<dyn IVirtualizationServiceInternal>;
}

impl OfAndroid15 for Service {
    fn binder(&self) -> Strong<dyn IVirtualizationServiceInternal> {
        FromIBinder::try_from(self.object()).unwrap()
    }
}

/// How long anything may take that is waited for.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// Set for a process of the test program that is a client: the root directory.
pub const CLIENT: &str = "VIRTUALIZATIONSERVICE_TEST_CLIENT";

/// A root directory, and the service that runs below it.
pub struct Daemon {
    pub root: TempDir,
    pub child: Child,
    /// Its standard error.
    pub log: PathBuf,
}

pub fn new_root() -> TempDir {
    // Not below a directory that is closed to others.
    let root = tempfile::Builder::new().tempdir_in("/tmp").unwrap();
    fs::set_permissions(root.path(), Permissions::from_mode(0o755)).unwrap();
    // Root has every permission; another user needs them by a group of its own.
    if !rustix::process::geteuid().is_root() {
        let group = rustix::process::getegid();
        let text = format!(
            r#"{{"manage": [{group}], "custom": [{group}], "dump": [{group}], "internet": [{group}]}}"#
        );
        fs::create_dir_all(root.path().join("etc/avf")).unwrap();
        fs::write(root.path().join("etc/avf/permissions.json"), text).unwrap();
    }
    root
}

/// The service's command line; its log goes to a file.
pub fn command(root: &Path, args: &[&str]) -> Command {
    let log = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(root.join("log"))
        .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_virtualizationservice"));
    command
        .args(["--binder", "none"])
        .args(args)
        .env("VIRTMGR_ROOT", root)
        .env_remove("VIRTMGR_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    command
}

fn spawn(root: &Path, args: &[&str]) -> Child {
    let notify = root.join("notify");
    let _ = fs::remove_file(&notify);
    let socket = UnixDatagram::bind(&notify).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut child = command(root, args)
        .env("NOTIFY_SOCKET", &notify)
        .spawn()
        .unwrap();
    let mut message = [0; 256];
    match socket.recv(&mut message) {
        Ok(length) if message[..length].trim_ascii_end() == b"READY=1" => {}
        other => {
            let _ = child.kill();
            let _ = child.wait();
            let log = fs::read_to_string(root.join("log")).unwrap();
            panic!("the service did not say that it is ready: {other:?}\n{log}")
        }
    }
    child
}

impl Daemon {
    pub fn start(args: &[&str]) -> Self {
        Self::start_in(new_root(), args)
    }

    pub fn start_in(root: TempDir, args: &[&str]) -> Self {
        let child = spawn(root.path(), args);
        let log = root.path().join("log");
        Self { root, child, log }
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    pub fn connect(&self) -> Service {
        connect_by(self.root.path(), &[Way::Socket])
            .unwrap()
            .expect("a service")
    }

    /// Kills it and starts it again.
    pub fn kill_and_restart(&mut self) {
        self.kill_and_restart_with(&[]);
    }

    /// Kills it and starts it again with these arguments.
    pub fn kill_and_restart_with(&mut self, args: &[&str]) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = spawn(self.root.path(), args);
    }

    /// Stops it and starts it again with other arguments.
    pub fn restart(mut self, args: &[&str]) -> Self {
        assert!(self.terminate().success(), "{}", self.log_text());
        self.child = spawn(self.root.path(), args);
        self
    }

    pub fn terminate(&mut self) -> ExitStatus {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap()
    }

    pub fn log_text(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// What it has read and written so far: system calls and bytes.
    pub fn io(&self) -> Vec<u64> {
        let text = fs::read_to_string(format!("/proc/{}/io", self.child.id())).unwrap();
        ["rchar: ", "wchar: ", "syscr: ", "syscw: "]
            .iter()
            .map(|key| {
                let line = text.lines().find_map(|line| line.strip_prefix(key));
                line.unwrap().parse().unwrap()
            })
            .collect()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of the service\n{}", self.log_text());
        }
    }
}

/// A client in a process of its own: does one order after another, which come as lines, and answers
/// each with a line.
pub struct Client {
    pub child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Client {
    /// A client of this user and group, and no other groups.
    pub fn start(root: &Path, uid: u32, gid: u32) -> Self {
        let mut command = Command::new("/proc/self/exe");
        command
            .args(["--exact", "client", "--nocapture"])
            .env(CLIENT, root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if uid != 0 {
            command.uid(uid).gid(gid);
        }
        let mut child = command.spawn().unwrap();
        let orders = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self {
            child,
            orders,
            answers,
        }
    }

    pub fn order(&mut self, order: &str) {
        writeln!(self.orders, "{order}").unwrap();
    }

    pub fn answer(&mut self) -> String {
        for line in (&mut self.answers).lines() {
            // The test harness of the child prints lines as well.
            if let Some((_, answer)) = line.unwrap().split_once("answer: ") {
                return answer.to_owned();
            }
        }
        panic!("the client ended without an answer");
    }

    pub fn ask(&mut self, order: &str) -> String {
        self.order(order);
        self.answer()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until `done`, which happens in another process without telling.
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + PATIENCE;
    while !done() {
        assert!(std::time::Instant::now() < end, "waited for: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The CIDs that the service lists.
pub fn listed(service: &Strong<dyn IVirtualizationServiceInternal>) -> Vec<i32> {
    let vms = service.debugListVms().unwrap();
    vms.iter().map(|vm| vm.cid).collect()
}
