// SPDX-License-Identifier: Apache-2.0
//! `dist`: the programs as they are shipped, static and small, with their manual pages, the client
//! library for C, a guest, and the demo's root.

use crate::kernel::{self, KernelArgs};
use crate::packages::{PACKING, provide};
use crate::place::{Place, cargo, host_triple};
use crate::steps::{run as run_program, step};
use crate::{apk, initrd, library, pages, vmlinux};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// Arguments of `dist`.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) kernel: KernelArgs,
}

/// Arguments of `guest-image`.
#[derive(Debug, clap::Args)]
pub(crate) struct GuestArgs {
    #[command(flatten)]
    kernel: KernelArgs,
    /// Where to put `kernel` and `initrd.img` [default: target/dist/guest]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
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
        "early",
        "--bin",
        "early_virtmgr",
    ],
    &["-p", "vm", "-p", "vm-demo"],
];
/// The guest's programs.
const GUEST_BUILD: &[&str] = &[
    "-p", "avf-init", "-p", "vm-demo", "--bin", "avf-init", "--bin", PAYLOAD,
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
const PAYLOAD: &str = "vm_demo_payload";

/// Makes the demo's APK from the payload of the last build.
pub(crate) fn demo_apk(place: &Place) -> Result<()> {
    let built = place.target.join(host_triple()?).join("release");
    apk::build(place, &built.join(PAYLOAD))
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
pub(crate) fn run(args: &Args) -> Result<()> {
    let place = Place::find()?;
    provide(&PACKING)?;
    let built = step("build the programs", || {
        for build in BUILDS {
            cargo_build(build, &place)?;
        }
        cargo_build(GUEST_BUILD, &place)
    })?;
    let dist = place.dist();
    make_dir(&dist)?;
    for name in PROGRAMS {
        copy(&built.join(name), &dist.join(name))?;
    }
    write_program(&dist.join("run-demo"), RUN_DEMO)?;
    step("build the library for C", || library::build(&place, &dist))?;
    step("make the manual pages", || pages::make(&place, &dist))?;
    step("pack the guest", || {
        pack(&args.kernel, &place, &built, &dist.join("guest"))
    })?;
    demo_root(&dist)?;
    println!("\nin {}:", dist.display());
    let others = ["guest/kernel", "guest/initrd.img"];
    for name in PROGRAMS.iter().chain(&library::FILES).chain(&others) {
        let size = fs::metadata(dist.join(name))
            .map(|meta| meta.len())
            .unwrap_or_default();
        println!("{size:>12}  {name}");
    }
    println!("and the directories man and completions");
    Ok(())
}

/// `cargo xtask guest-image`.
pub(crate) fn guest(args: &GuestArgs) -> Result<()> {
    let place = Place::find()?;
    provide(&PACKING)?;
    let built = step("build the guest's programs", || {
        cargo_build(GUEST_BUILD, &place)
    })?;
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| place.dist().join("guest"));
    step("pack the guest", || {
        pack(&args.kernel, &place, &built, &out)
    })?;
    println!("\nin {}: kernel, initrd.img", out.display());
    Ok(())
}

/// Packs the guest with another kernel beside the first, as `guest-SERIES`.
pub(crate) fn another_guest(series: &str, place: &Place) -> Result<()> {
    let args = KernelArgs {
        kernel_series: Some(series.to_owned()),
        ..KernelArgs::default()
    };
    let built = place.target.join(host_triple()?).join("release");
    let out = place.dist().join(format!("guest-{series}"));
    step(&format!("pack the guest with kernel {series}"), || {
        pack(&args, place, &built, &out)
    })
}

/// Builds static release programs and returns the directory they are in.
pub(crate) fn cargo_build(arguments: &[&str], place: &Place) -> Result<PathBuf> {
    let triple = host_triple()?;
    // With an explicit target these flags stay away from build scripts, and the results from
    // those of ordinary builds.
    let mut flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    flags.push_str(" -C target-feature=+crt-static");
    // A program that can be anywhere in memory has thousands of addresses to set at its start. Their
    // packed form takes 1 KB in place of 100; linkers that do not know it say so and go on.
    flags.push_str(" -C link-arg=-Wl,-z,pack-relative-relocs");
    run_program(
        cargo()
            .args(["build", "--release", "--target", &triple])
            .args(arguments)
            .env("RUSTFLAGS", flags.trim())
            .current_dir(&place.workspace),
    )?;
    Ok(place.target.join(triple).join("release"))
}

/// Makes `kernel` and `initrd.img` in `out` from the programs in `built`.
fn pack(args: &KernelArgs, place: &Place, built: &Path, out: &Path) -> Result<()> {
    let kernel = kernel::get(args, &place.kernels())?;
    println!("kernel: {}", kernel.image.display());
    let image =
        fs::read(&kernel.image).with_context(|| format!("read {}", kernel.image.display()))?;
    let unpacked =
        vmlinux::unpack(&image).with_context(|| format!("unpack {}", kernel.image.display()))?;
    let initrd = initrd::pack(
        &built.join("avf-init"),
        &built.join(PAYLOAD),
        kernel.modules.as_deref(),
    )?;
    make_dir(out)?;
    write(&out.join("kernel"), unpacked.as_ref().unwrap_or(&image))?;
    write(&out.join("initrd.img"), &initrd)?;
    copy(&built.join(PAYLOAD), &out.join(PAYLOAD))
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

pub(crate) fn make_dir(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))
}

/// Removes `file` so that it can be made anew, also while it runs or is linked elsewhere.
pub(crate) fn remove(file: &Path) -> Result<()> {
    match fs::remove_file(file) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(e).with_context(|| format!("remove {}", file.display()))
        }
        _ => Ok(()),
    }
}

pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    remove(to)?;
    fs::copy(from, to)
        .map(drop)
        .with_context(|| format!("copy {} to {}", from.display(), to.display()))
}

pub(crate) fn write(file: &Path, content: &[u8]) -> Result<()> {
    remove(file)?;
    fs::write(file, content).with_context(|| format!("write {}", file.display()))
}

fn write_program(file: &Path, text: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    write(file, text.as_bytes())?;
    fs::set_permissions(file, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("make {} executable", file.display()))
}
