// SPDX-License-Identifier: Apache-2.0
//! The client library for C, as it is installed: `lib` and `include`.

use crate::files::{copy, make_dir, remove};
use crate::steps::run;
use crate::workspace::{Workspace, cargo, host_triple};
use anyhow::{Context, Result};
use std::os::unix::fs::symlink;
use std::path::Path;

const PACKAGE: &str = "vmclient-c";
const HEADER: &str = "crates/vmclient-c/include/vmclient.h";
const STATIC: &str = "libvmclient_c.a";
/// The name by which the linker finds the library.
const SHARED: &str = "libvmclient_c.so";
/// The one by which programs find it, which its build script gives it.
const SONAME: &str = "libvmclient_c.so.0";

/// What [`build`] leaves, for those who list it.
pub(crate) const FILES: [&str; 3] = [
    "lib/libvmclient_c.so.0",
    "lib/libvmclient_c.a",
    "include/vmclient.h",
];

/// Builds the library into `dist`.
pub(crate) fn build(workspace: &Workspace, dist: &Path) -> Result<()> {
    let triple = host_triple()?;
    // Not with the flags of the programs: a shared library cannot contain the C library. And
    // without Rust's own kind of library, beside which link-time optimization is not done.
    run(cargo()
        .args(["rustc", "--release", "--target", &triple])
        .args(["-p", PACKAGE, "--lib", "--crate-type", "cdylib,staticlib"])
        .current_dir(&workspace.root))?;
    let built = workspace.target.join(triple).join("release");
    let (lib, include) = (dist.join("lib"), dist.join("include"));
    make_dir(&lib)?;
    make_dir(&include)?;
    copy(&built.join(STATIC), &lib.join(STATIC))?;
    copy(&built.join(SHARED), &lib.join(SONAME))?;
    let link = lib.join(SHARED);
    remove(&link)?;
    symlink(SONAME, &link).with_context(|| format!("link {}", link.display()))?;
    copy(&workspace.root.join(HEADER), &include.join("vmclient.h"))
}
