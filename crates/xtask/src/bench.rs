// SPDX-License-Identifier: Apache-2.0
//! `bench`: what the managers cost, as a table.

use crate::dist;
use crate::guest::Guest;
use crate::kernel::KernelArgs;
use crate::packages::{APK, Installer, Need, packing};
use crate::programs::{self, Profile};
use crate::steps::{heading, run as run_program, step};
use crate::workspace::{Arch, Workspace};
use anyhow::Result;
use std::process::Command;

/// Arguments of `bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Use the programs and the guest that are in target/dist already
    #[arg(long)]
    no_dist: bool,
}

/// `cargo xtask bench`.
pub(crate) fn run(args: &Args, installer: Installer) -> Result<()> {
    let arch = Arch::host()?;
    let mut needs: Vec<Need> = vec![(arch.qemu, arch.qemu_package)];
    needs.extend(packing());
    needs.extend(APK);
    installer.provide(&needs)?;
    let workspace = Workspace::find()?;
    if !args.no_dist {
        let guest = Guest::prepare(&KernelArgs::default(), &workspace, installer)?;
        dist::make(&dist::Args::default(), &guest, &workspace)?;
    }
    // Static, as the managers are, so that the bare program differs in nothing but its work.
    let built = step("build the benchmarks", || {
        programs::build(&["-p", "manager-benches"], &workspace, Profile::Release)
    })?;
    heading("benchmarks");
    run_program(
        Command::new(built.join("manager-benches"))
            .env("VIRTMGR_DIST", workspace.dist())
            .env("BENCH_BARE", built.join("bare")),
    )
}
