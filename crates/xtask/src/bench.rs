// SPDX-License-Identifier: Apache-2.0
//! `bench`: what the managers cost, as a table.

use crate::dist;
use crate::kernel::KernelArgs;
use crate::packages::provide;
use crate::place::{Arch, Place};
use crate::steps::{heading, run as run_program, step};
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
pub(crate) fn run(args: &Args) -> Result<()> {
    let arch = Arch::host()?;
    provide(&[(arch.qemu, arch.qemu_package)])?;
    provide(&apk_builder::PROGRAMS)?;
    let place = Place::find()?;
    if !args.no_dist {
        dist::run(&dist::Args {
            kernel: KernelArgs::default(),
        })?;
    }
    // Static, as the managers are, so that the bare program differs in nothing but its work.
    let built = step("build the benchmarks", || {
        dist::cargo_build(&["-p", "manager-benches"], &place)
    })?;
    heading("benchmarks");
    run_program(
        Command::new(built.join("manager-benches"))
            .env("VIRTMGR_DIST", place.dist())
            .env("BENCH_BARE", built.join("bare")),
    )
}
