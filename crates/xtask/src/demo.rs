// SPDX-License-Identifier: Apache-2.0
//! `demo`: installs what is missing, builds, and runs an early VM.

use crate::dist;
use crate::kernel::KernelArgs;
use crate::packages::provide;
use crate::place::{Arch, Place};
use crate::steps::{heading, run as run_program};
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
    #[command(flatten)]
    kernel: KernelArgs,
    /// Arguments for the demo program; `-- --help` shows them
    #[arg(last = true)]
    arguments: Vec<OsString>,
}

/// `cargo xtask demo`.
pub(crate) fn run(args: &Args) -> Result<()> {
    let arch = Arch::host()?;
    provide(&[(arch.qemu, arch.qemu_package)])?;
    let place = Place::find()?;
    let dist = place.dist();
    if args.no_build {
        ensure!(
            dist.join("run-demo").is_file() && dist.join("guest/kernel").is_file(),
            "{} is not complete; run `cargo xtask dist`, or leave --no-build out",
            dist.display()
        );
    } else {
        dist::run(&dist::Args {
            kernel: args.kernel.clone(),
        })?;
        if args.app {
            dist::demo_apk(&place)?;
        }
    }
    heading("demo");
    run_program(
        Command::new(dist.join("run-demo"))
            .args(args.app.then_some("--app"))
            .args(&args.arguments),
    )
}
