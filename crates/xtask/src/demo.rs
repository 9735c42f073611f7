// SPDX-License-Identifier: Apache-2.0
//! `demo`: installs what is missing, builds, and runs an early VM.

use crate::dist;
use crate::guest::Guest;
use crate::kernel::KernelArgs;
use crate::packages::{APK, Installer, Need, packing};
use crate::steps::{heading, run as run_program};
use crate::workspace::{Arch, Workspace};
use anyhow::{Result, ensure};
use std::ffi::OsString;
use std::process::Command;

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run what is in target/dist, with no compiler and no network
    #[arg(long, conflicts_with_all = ["kernel_series", "kernel"])]
    no_build: bool,
    /// Run the payload out of a signed APK, by an app config
    #[arg(long)]
    app: bool,
    /// Compile quickly instead of small
    #[arg(long, conflicts_with = "no_build")]
    dev: bool,
    #[command(flatten)]
    kernel: KernelArgs,
    /// Arguments for the demo program; `-- --help` shows them
    #[arg(last = true)]
    arguments: Vec<OsString>,
}

/// `cargo xtask demo`.
pub(crate) fn run(args: &Args, installer: Installer) -> Result<()> {
    let arch = Arch::host()?;
    // All at once, before anything is built.
    let mut needs: Vec<Need> = vec![(arch.qemu, arch.qemu_package)];
    if !args.no_build {
        needs.extend(packing());
        needs.extend(APK.iter().filter(|_| args.app));
    }
    installer.provide(&needs)?;
    let workspace = Workspace::find()?;
    let dist = workspace.dist();
    if args.no_build {
        ensure!(
            dist.join("run-demo").is_file() && dist.join("guest/kernel").is_file(),
            "{} is not complete; run `cargo xtask dist`, or leave --no-build out",
            dist.display()
        );
    } else {
        let guest = Guest::prepare(&args.kernel, &workspace, installer)?;
        let made = dist::Args {
            kernel: args.kernel.clone(),
            dev: args.dev,
        };
        dist::make(&made, &guest, &workspace)?;
        if args.app {
            dist::demo_apk(&workspace)?;
        }
    }
    heading("demo");
    run_program(
        Command::new(dist.join("run-demo"))
            .args(args.app.then_some("--app"))
            .args(&args.arguments),
    )
}
