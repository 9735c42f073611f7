// SPDX-License-Identifier: Apache-2.0
//! `pages`: manual pages and shell completions, which the program `manual` makes.

use crate::steps::{run as run_program, say};
use crate::workspace::{Workspace, cargo};
use anyhow::Result;
use std::path::{Path, PathBuf};

/// Arguments of `pages`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to put `man` and `completions` [default: target/dist]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// `cargo xtask pages`.
pub(crate) fn run(args: &Args) -> Result<()> {
    let workspace = Workspace::find()?;
    let out = args.out.clone().unwrap_or_else(|| workspace.dist());
    make(&workspace, &out)?;
    say!("in {}: man, completions", out.display());
    Ok(())
}

/// Replaces `man` and `completions` in `out`. They are made by a program of their own, so that
/// this one is built without the command lines of others.
pub(crate) fn make(workspace: &Workspace, out: &Path) -> Result<()> {
    // Cargo runs a program where it was called, but what builds are told is relative to the tree.
    let out = std::path::absolute(out)?;
    run_program(
        cargo()
            .args(["run", "--package", "manual", "--", "--out"])
            .arg(out)
            .current_dir(&workspace.root),
    )
}
