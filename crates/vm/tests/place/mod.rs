// SPDX-License-Identifier: Apache-2.0
//! A place with the tool and VMs that have no guest: directories whose manager is the test.
#![allow(dead_code, reason = "each test program uses its part")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A directory with the tool, without any other program, and with a root directory.
pub(crate) struct Place {
    directory: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let exe = env!("CARGO_BIN_EXE_vm");
        let parent = PathBuf::from(exe).parent().unwrap().to_owned();
        // Beside the tool itself there may be managers. A link costs nothing.
        let directory = tempfile::Builder::new().tempdir_in(parent).unwrap();
        fs::hard_link(exe, directory.path().join("vm")).unwrap();
        fs::create_dir_all(directory.path().join("root/mnt/vm/early")).unwrap();
        Self { directory }
    }

    /// A place that has a manager for early VMs only, which is never started.
    pub(crate) fn early() -> Self {
        let place = Self::new();
        let manager = place.directory.path().join("early_virtmgr");
        fs::write(&manager, "#!/bin/false\n").unwrap();
        make_executable(&manager);
        place
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.directory.path().join("root")
    }

    pub(crate) fn program(&self) -> PathBuf {
        self.directory.path().join("vm")
    }

    /// A description of a VM.
    pub(crate) fn config(&self) -> PathBuf {
        fs::write(self.root().join("kernel"), "").unwrap();
        let config = self.root().join("guest.json");
        let text = r#"{ "kernel": "kernel", "platform_version": "~1.0" }"#;
        fs::write(&config, text).unwrap();
        config
    }

    /// A VM that was created and not started.
    pub(crate) fn vm(&self, cid: u32, name: &str, more: &str) -> PathBuf {
        self.vm_in("mnt/vm/early", cid, name, more)
    }

    /// The same below another directory of the root.
    pub(crate) fn vm_in(&self, base: &str, cid: u32, name: &str, more: &str) -> PathBuf {
        let directory = self.root().join(base).join(cid.to_string());
        fs::create_dir_all(&directory).unwrap();
        let me = std::process::id();
        let note = format!(
            "name {name}\nclient {me}\nmanager {me} {}\n{more}",
            start_of(me)
        );
        fs::write(directory.join("owner"), note).unwrap();
        directory
    }

    /// The tool with these arguments.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.program());
        command
            .args(args)
            .env("VIRTMGR_ROOT", self.root())
            .env("PATH", "/nonexistent")
            .env_remove("XDG_RUNTIME_DIR");
        command
    }

    /// Runs the tool: exit status, standard output, standard error.
    pub(crate) fn run(&self, args: &[&str]) -> (i32, String, String) {
        let output = self.command(args).output().unwrap();
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    }

    pub(crate) fn error(&self, args: &[&str]) -> String {
        let (code, _, error) = self.run(args);
        assert_eq!(code, 1, "{args:?}: {error}");
        error
    }
}

/// When a process started, as the kernel counts it.
pub(crate) fn start_of(pid: u32) -> String {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    fields.split_whitespace().nth(19).unwrap().to_owned()
}

pub(crate) fn make_executable(file: &Path) {
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
}
