// SPDX-License-Identifier: Apache-2.0
//! Our own programs, static, so that they run on any Linux of the same processor.

use crate::steps::run;
use crate::workspace::{Workspace, cargo, host_triple};
use anyhow::Result;
use std::path::PathBuf;

/// How programs are compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// As they are shipped: small, with link-time optimization.
    Release,
    /// For the edit loop: quickly compiled.
    Dev,
}

impl Profile {
    /// Cargo's name for it; see `Cargo.toml`. Its directory has the same.
    fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Dev => "dist-dev",
        }
    }
}

/// Builds what `arguments` choose and returns the directory that it is in.
pub(crate) fn build(
    arguments: &[&str],
    workspace: &Workspace,
    profile: Profile,
) -> Result<PathBuf> {
    let triple = host_triple()?;
    // With an explicit target these flags stay away from build scripts, and the results from
    // those of ordinary builds.
    let mut flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    flags.push_str(" -C target-feature=+crt-static");
    // A position-independent program has thousands of pointers to relocate; packed, their list takes
    // a few percent of its space. Linkers that cannot do it warn, and do without.
    flags.push_str(" -C link-arg=-Wl,-z,pack-relative-relocs");
    // Functions with the same code are linked once: nothing here compares their addresses.
    flags.push_str(" -C link-arg=-Wl,--icf=all");
    run(cargo()
        .args(["build", "--profile", profile.name(), "--target", &triple])
        .args(arguments)
        .env("RUSTFLAGS", flags.trim())
        .current_dir(&workspace.root))?;
    directory(workspace, profile)
}

/// Where the programs are that [`build`] has built.
pub(crate) fn directory(workspace: &Workspace, profile: Profile) -> Result<PathBuf> {
    Ok(workspace.target.join(host_triple()?).join(profile.name()))
}
