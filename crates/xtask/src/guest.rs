// SPDX-License-Identifier: Apache-2.0
//! The guest: a kernel and an initial RAM disk. What does not depend on our own programs is prepared
//! before these are built, so that what is missing shows at once.

use crate::files::{copy, make_dir, write};
use crate::initrd::{self, Drivers};
use crate::kernel::{self, KernelArgs};
use crate::packages::{Installer, packing};
use crate::programs::{Profile, build};
use crate::steps::{say, step};
use crate::vmlinux;
use crate::workspace::Workspace;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// The guest's programs.
pub(crate) const BUILD: &[&str] = &[
    "-p", "avf-init", "-p", "vm-demo", "--bin", "avf-init", "--bin", PAYLOAD,
];
/// The demo's payload.
pub(crate) const PAYLOAD: &str = "vm_demo_payload";

/// Arguments of `guest-image`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    kernel: KernelArgs,
    /// Where to put `kernel` and `initrd.img` [default: target/dist/guest]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// `cargo xtask guest-image`.
pub(crate) fn run(args: &Args, installer: Installer) -> Result<()> {
    let workspace = Workspace::find()?;
    installer.provide(packing())?;
    let guest = Guest::prepare(&args.kernel, &workspace, installer)?;
    let built = step("build the guest's programs", || {
        build(BUILD, &workspace, Profile::Release)
    })?;
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| workspace.dist().join("guest"));
    step("pack the guest", || guest.pack(&built, &out))?;
    say!("\nin {}: kernel, initrd.img", out.display());
    Ok(())
}

/// A kernel and its drivers, ready to be packed.
pub(crate) struct Guest {
    /// The kernel, unpacked where that is possible.
    kernel: Vec<u8>,
    /// None if the kernel has all built in.
    drivers: Option<Drivers>,
}

impl Guest {
    /// Gets the kernel and what the guest needs of its modules.
    pub(crate) fn prepare(
        args: &KernelArgs,
        workspace: &Workspace,
        installer: Installer,
    ) -> Result<Self> {
        step("get the guest's kernel", || {
            let kernel = kernel::get(args, &workspace.kernels(), installer)?;
            say!("kernel: {}", kernel.image.display());
            let image = fs::read(&kernel.image)
                .with_context(|| format!("read {}", kernel.image.display()))?;
            let unpacked = vmlinux::unpack(&image)
                .with_context(|| format!("unpack {}", kernel.image.display()))?;
            Ok(Self {
                kernel: unpacked.unwrap_or(image),
                drivers: kernel.modules.as_deref().map(Drivers::read).transpose()?,
            })
        })
    }

    /// Makes `kernel` and `initrd.img` in `out`, with the programs in `built`.
    pub(crate) fn pack(&self, built: &Path, out: &Path) -> Result<()> {
        let payload = built.join(PAYLOAD);
        let initrd = initrd::pack(&built.join("avf-init"), &payload, self.drivers.as_ref())?;
        make_dir(out)?;
        write(&out.join("kernel"), &self.kernel)?;
        write(&out.join("initrd.img"), &initrd)?;
        copy(&payload, &out.join(PAYLOAD))
    }
}
