// SPDX-License-Identifier: Apache-2.0
//! Where things are: the workspace, Cargo's target directory, the host's target triple.

use crate::steps::output;
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::process::Command;

/// The directories that all commands share.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// The top of the source tree.
    pub(crate) root: PathBuf,
    /// Cargo's target directory, wherever the user has it.
    pub(crate) target: PathBuf,
}

impl Workspace {
    /// Asks Cargo.
    pub(crate) fn find() -> Result<Self> {
        let mut metadata = cargo();
        metadata.args(["metadata", "--no-deps", "--format-version=1"]);
        let json: serde_json::Value =
            serde_json::from_str(&output(&mut metadata)?).context("read `cargo metadata`")?;
        let path = |key: &str| {
            json.get(key)
                .and_then(serde_json::Value::as_str)
                .map(PathBuf::from)
                .with_context(|| format!("`cargo metadata` has no {key}"))
        };
        Ok(Self {
            root: path("workspace_root")?,
            target: path("target_directory")?,
        })
    }

    /// What `dist` makes.
    pub(crate) fn dist(&self) -> PathBuf {
        self.target.join("dist")
    }

    /// Fetched kernels.
    pub(crate) fn kernels(&self) -> PathBuf {
        self.target.join("guest")
    }
}

/// The Cargo that runs us.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// The triple of the machine itself, for builds that name it.
pub(crate) fn host_triple() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = output(Command::new(rustc).arg("-vV"))?;
    version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .context("`rustc -vV` names no host")
}

/// What differs between processors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arch {
    /// Debian's name.
    pub(crate) debian: &'static str,
    /// QEMU's program.
    pub(crate) qemu: &'static str,
    /// The package that it is in.
    pub(crate) qemu_package: &'static str,
}

impl Arch {
    /// That of this machine.
    pub(crate) fn host() -> Result<Self> {
        match std::env::consts::ARCH {
            "x86_64" => Ok(Self {
                debian: "amd64",
                qemu: "qemu-system-x86_64",
                qemu_package: "qemu-system-x86",
            }),
            "aarch64" => Ok(Self {
                debian: "arm64",
                qemu: "qemu-system-aarch64",
                qemu_package: "qemu-system-arm",
            }),
            other => bail!("guests are made for x86_64 and aarch64; this is {other}"),
        }
    }
}
