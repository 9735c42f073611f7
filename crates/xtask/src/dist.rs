// SPDX-License-Identifier: Apache-2.0
//! `dist`: the programs as they are shipped, static and small, with their manual pages, the client
//! library for C, a guest, and the demo's root.

use crate::files::{copy, make_dir, remove, set_mode, write, write_program};
use crate::guest::{self, Guest};
use crate::kernel::KernelArgs;
use crate::packages::{Installer, packing};
use crate::programs::{self, Profile};
use crate::steps::{say, step};
use crate::workspace::Workspace;
use crate::{apk, library, pages};
use anyhow::Result;
use std::fs;
use std::path::Path;

/// Arguments of `dist`.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Compile quickly instead of small, for the edit loop; without the C library and the manual
    #[arg(long)]
    pub(crate) dev: bool,
    #[command(flatten)]
    pub(crate) kernel: KernelArgs,
}

impl Args {
    /// How the programs are compiled.
    fn profile(&self) -> Profile {
        if self.dev {
            Profile::Dev
        } else {
            Profile::Release
        }
    }
}

/// The builds, each with the arguments that choose it. Features are the same for all packages of
/// one call, so what must not have those of `virtmgr` is built in another.
const BUILDS: [&[&str]; 3] = [
    &["-p", "virtmgr", "-p", "virtualizationservice"],
    &[
        "-p",
        "virtmgr",
        "--no-default-features",
        "--features",
        "early,wire-15,wire-16,wire-17",
        "--bin",
        "early_virtmgr",
    ],
    &["-p", "vm", "-p", "vm-demo"],
];

/// What goes to the top of the distribution.
const PROGRAMS: [&str; 6] = [
    "virtmgr",
    "early_virtmgr",
    "virtualizationservice",
    "vm",
    DEMO,
    "vm_demo_init",
];
/// The demo's host program, which is also the name of its VM.
pub(crate) const DEMO: &str = "vm_demo_native_early";

/// Makes the demo's APK from the payload of the last build.
pub(crate) fn demo_apk(workspace: &Workspace) -> Result<()> {
    apk::build(
        workspace,
        &workspace.dist().join("guest").join(guest::PAYLOAD),
    )
}

/// The list of early VMs for the demo.
const EARLY_VMS: &str = "\
<early_vms>
    <early_vm>
        <name>vm_demo_native_early</name>
        <cid>123</cid>
        <path>/system/bin/vm_demo_native_early</path>
    </early_vm>
</early_vms>
";

/// Runs the demo where there is neither Cargo nor a source tree.
const RUN_DEMO: &str = "\
#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs the demo from this directory; needs QEMU and nothing else.
dist=$(cd \"$(dirname \"$0\")\" && pwd) || exit
VIRTMGR_ROOT=\"$dist/root\" exec \"$dist/root/system/bin/vm_demo_native_early\" --manager \"$dist/early_virtmgr\" \"$@\"
";

/// `cargo xtask dist`.
pub(crate) fn run(args: &Args, installer: Installer) -> Result<()> {
    let workspace = Workspace::find()?;
    installer.provide(packing())?;
    let guest = Guest::prepare(&args.kernel, &workspace, installer)?;
    make(args, &guest, &workspace)
}

/// Makes the distribution, with a guest that is ready to be packed.
pub(crate) fn make(args: &Args, guest: &Guest, workspace: &Workspace) -> Result<()> {
    let profile = args.profile();
    let built = step("build the programs", || {
        for build in BUILDS {
            programs::build(build, workspace, profile)?;
        }
        programs::build(guest::BUILD, workspace, profile)
    })?;
    let dist = workspace.dist();
    make_dir(&dist)?;
    for name in PROGRAMS {
        copy(&built.join(name), &dist.join(name))?;
    }
    write_program(&dist.join("run-demo"), RUN_DEMO)?;
    if profile == Profile::Release {
        step("build the library for C", || {
            library::build(workspace, &dist)
        })?;
        step("make the manual pages", || pages::make(workspace, &dist))?;
    }
    step("pack the guest", || guest.pack(&built, &dist.join("guest")))?;
    demo_root(&dist)?;
    say!("\nin {}:", dist.display());
    let library = library::FILES
        .iter()
        .filter(|_| profile == Profile::Release);
    let others = ["guest/kernel", "guest/initrd.img"];
    for name in PROGRAMS.iter().chain(library).chain(&others) {
        let size = fs::metadata(dist.join(name))
            .map(|meta| meta.len())
            .unwrap_or_default();
        say!("{size:>12}  {name}");
    }
    if profile == Profile::Release {
        say!("and the directories man and completions");
    }
    Ok(())
}

/// Packs the guest with another kernel beside the first, as `guest-SERIES`.
pub(crate) fn pack_another(series: &str, guest: &Guest, workspace: &Workspace) -> Result<()> {
    let built = programs::directory(workspace, Profile::Release)?;
    let out = workspace.dist().join(format!("guest-{series}"));
    step(&format!("pack the guest with kernel {series}"), || {
        guest.pack(&built, &out)
    })
}

/// The description of the guest of app configs. Half of an emulated boot is self-tests and
/// unpatching for one CPU; the failure reason needs the second serial port.
const MICRODROID: &str = r#"{
  "kernel": "/apex/com.android.virt/etc/fs/microdroid_kernel",
  "params": "console=ttyS0 loglevel=6 cryptomgr.notests noreplace-smp panic=-1 8250.nr_uarts=4 avf.app",
  "memory_mib": 256,
  "platform_version": "~1.0"
}
"#;

/// The directory that stands for `/` in the demo.
fn demo_root(dist: &Path) -> Result<()> {
    let root = dist.join("root");
    let guest = root.join("system/etc/avf/vm_demo");
    let virt = root.join("apex/com.android.virt/etc");
    for dir in [
        root.join("system/bin"),
        root.join("mnt/vm"),
        guest.clone(),
        virt.join("fs"),
    ] {
        make_dir(&dir)?;
    }
    // Any user may run the demo, no matter who made the distribution.
    set_mode(&root.join("mnt/vm"), 0o1777)?;
    copy(&dist.join(DEMO), &root.join("system/bin").join(DEMO))?;
    write(
        &root.join("system/etc/avf/early_vms.xml"),
        EARLY_VMS.as_bytes(),
    )?;
    write(&virt.join("microdroid.json"), MICRODROID.as_bytes())?;
    for (name, to) in [
        ("kernel", guest.join("kernel")),
        ("kernel", virt.join("fs/microdroid_kernel")),
        ("initrd.img", guest.join("initrd.img")),
        ("initrd.img", virt.join("microdroid_initrd_normal.img")),
        ("initrd.img", virt.join("microdroid_initrd_debuggable.img")),
    ] {
        let from = dist.join("guest").join(name);
        remove(&to)?;
        fs::hard_link(&from, &to).or_else(|_| copy(&from, &to))?;
    }
    Ok(())
}
