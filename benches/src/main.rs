// SPDX-License-Identifier: Apache-2.0
//! Prints a table of what the managers cost, each next to a bare equivalent of the same run.
//!
//! `cargo xtask bench` builds everything and runs it.
#![forbid(unsafe_code)]

mod disks;
mod goal;
mod idsig;
mod measure;
mod table;

use anyhow::{Context, Result};
use std::env;
use std::path::Path;
use system_tests::host::{Dist, Outside, inner};

fn main() -> Result<()> {
    // This program is also the VMM of one measurement and, under a root directory, the client.
    if env::args_os().next().is_some_and(|name| {
        Path::new(&name)
            .file_name()
            .is_some_and(|n| n.to_string_lossy().starts_with("qemu-system-"))
    }) {
        return measure::be_the_vmm();
    }
    if let Some(host) = inner() {
        return table::print(&host);
    }
    Dist::find().map_err(anyhow::Error::msg)?;
    let outside = Outside::new("");
    let status = outside
        .command()
        .args(env::args_os().skip(1))
        .status()
        .context("run the client")?;
    outside.expect_nothing_left();
    anyhow::ensure!(status.success(), "the client failed: {status}");
    Ok(())
}
