// SPDX-License-Identifier: Apache-2.0
//! A root directory with a client in it, and the programs under test.

use crate::leftovers;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use vmclient::{Manager, ManagerOptions, Stderr};

/// Where `cargo xtask dist` put the programs and the guest.
const DIST_VARIABLE: &str = "VIRTMGR_DIST";
/// How long a line of a manager's log may take to its client on a busy machine.
const LOG_PATIENCE: Duration = Duration::from_secs(60);
/// Tells the inner process of a test that it is the client.
const INNER_VARIABLE: &str = "SYSTEM_TEST_CLIENT";
/// The client's path in its root directory.
pub const CLIENT: &str = "/system/bin/client";
/// The early VM that the client may create.
pub const VM: &str = "vm_test";
/// Its CID.
pub const CID: u32 = 142;
/// Where the managers keep their VMs' directories.
pub const DIRECTORIES: [&str; 3] = [
    "mnt/vm/early",
    "run/virtmgr",
    "run/virtualizationservice/vms",
];

/// The programs under test.
#[derive(Debug)]
pub struct Dist {
    directory: PathBuf,
}

impl Dist {
    /// The distribution named by `VIRTMGR_DIST`.
    ///
    /// # Errors
    /// Why the tests that need it are skipped.
    pub fn find() -> Result<Self, String> {
        let directory = env::var_os(DIST_VARIABLE)
            .map(PathBuf::from)
            .ok_or_else(|| format!("{DIST_VARIABLE} is not set: run `cargo xtask test`"))?;
        assert!(
            directory.join("early_virtmgr").is_file(),
            "{DIST_VARIABLE}={} has no early_virtmgr",
            directory.display()
        );
        Ok(Self { directory })
    }

    /// The file `name` in it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

/// The inner side of a test: the client.
#[derive(Debug)]
pub struct Host {
    /// The programs under test.
    pub dist: Dist,
    /// The root directory.
    pub root: PathBuf,
}

impl Host {
    /// Starts `early_virtmgr`.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn early(&self) -> Manager {
        self.manager("early_virtmgr")
    }

    /// Starts the manager `name`, keeping its log.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn manager(&self, name: &str) -> Manager {
        let options = ManagerOptions::new(self.dist.path(name))
            .env("VIRTMGR_LOG", "debug")
            .stderr(Stderr::Keep);
        Manager::start(&options).unwrap()
    }

    /// The directory in which a client may leave files for its test.
    #[must_use]
    pub fn scratch(&self) -> PathBuf {
        self.root.join("scratch")
    }
}

/// Waits until the manager's log has `text`: what a manager does may be seen before the line about it
/// has come through the pipe.
///
/// # Panics
/// If it does not come.
pub fn expect_in_log(manager: &Manager, text: &str) {
    let end = Instant::now() + LOG_PATIENCE;
    while !manager.log().contains(text) {
        assert!(Instant::now() < end, "no {text:?} in\n{}", manager.log());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The list that declares [`VM`] for [`CLIENT`].
#[must_use]
pub fn list() -> String {
    format!(
        "<early_vms><early_vm><name>{VM}</name><cid>{CID}</cid><path>{CLIENT}</path></early_vm></early_vms>"
    )
}

/// The outer side of a test: what is around the client.
#[derive(Debug)]
pub struct Outside {
    root: TempDir,
    test: String,
}

impl Outside {
    /// A root directory with this program in it as the client.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn new(test: &str) -> Self {
        // On the file system of the program itself, so that a link does instead of a copy.
        let exe = env::current_exe().unwrap();
        let root = tempfile::Builder::new()
            .prefix("root")
            .tempdir_in(exe.parent().unwrap())
            .unwrap();
        for directory in ["system/bin", "system/etc/avf", "mnt/vm", "run", "scratch"] {
            fs::create_dir_all(root.path().join(directory)).unwrap();
        }
        fs::hard_link(&exe, root.path().join(&CLIENT[1..])).unwrap();
        let outside = Self {
            root,
            test: test.to_owned(),
        };
        outside.write_list("early_vms.xml", &list());
        outside
    }

    /// The root directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// Writes a list of the system partition.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write_list(&self, name: &str, text: &str) {
        fs::write(self.root().join("system/etc/avf").join(name), text).unwrap();
    }

    /// The client, with its environment.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(self.root().join(&CLIENT[1..]));
        command
            .env(INNER_VARIABLE, "1")
            .env("VIRTMGR_ROOT", self.root())
            .stdin(Stdio::null());
        command
    }

    /// The command that runs the client's side of the test.
    #[must_use]
    pub fn client(&self) -> Command {
        let mut command = self.command();
        command.args(["--exact", &self.test, "--nocapture", "--test-threads=1"]);
        command
    }

    /// Checks that nothing is left.
    ///
    /// # Panics
    /// If something is.
    pub fn expect_nothing_left(&self) {
        leftovers::expect_none(self.root(), &DIRECTORIES);
    }
}

/// The client's side, if this process is the client.
#[must_use]
pub fn inner() -> Option<Host> {
    env::var_os(INNER_VARIABLE)?;
    let root = PathBuf::from(env::var_os("VIRTMGR_ROOT").unwrap());
    Some(Host {
        dist: Dist::find().unwrap(),
        root,
    })
}

/// Runs `client` as the client of a fresh root directory, then checks that nothing is left.
///
/// `test` is the full name of the calling test.
///
/// # Panics
/// If the client fails or leaves something.
pub fn run(test: &str, client: impl FnOnce(&Host)) {
    if let Some(host) = inner() {
        client(&host);
        return;
    }
    if let Err(reason) = Dist::find() {
        skip::skip!("{reason}");
        return;
    }
    let outside = Outside::new(test);
    let status = outside.client().status().unwrap();
    outside.expect_nothing_left();
    assert!(status.success(), "the client's side failed: {status}");
}
