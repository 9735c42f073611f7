// SPDX-License-Identifier: Apache-2.0
//! The command line.

use anyhow::{Context, Result, anyhow, ensure};
use clap::Parser;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the demo's guest is, under the root directory.
const GUEST: &str = "system/etc/avf/vm_demo";
/// The variable that names the root directory, as the manager understands it.
const ROOT_VARIABLE: &str = "VIRTMGR_ROOT";

/// Runs an early VM, asks its payload for 10 + 20, and shows when what happened.
///
/// The VM is the one that early_vms.xml declares as vm_demo_native_early for this very executable.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Environment:\n  \
        VIRTMGR_ROOT   a directory that stands for /, for this program and the manager\n  \
        VIRTMGR_LOG    what the manager logs on standard error: error, warn (default here), info, debug\n\n\
        Example, in a source tree after `cargo xtask dist`:\n  \
        VIRTMGR_ROOT=target/dist/root target/dist/root/system/bin/vm_demo_native_early \\\n      \
        --manager target/dist/early_virtmgr"
)]
pub(crate) struct Args {
    /// The manager [default: early_virtmgr beside this program, in the APEX com.android.virt or in PATH]
    #[arg(long, value_name = "FILE")]
    manager: Option<PathBuf>,
    /// The guest's kernel [default: /system/etc/avf/vm_demo/kernel]
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// The guest's initial RAM disk [default: /system/etc/avf/vm_demo/initrd.img]
    #[arg(long, value_name = "FILE")]
    initrd: Option<PathBuf>,
    /// Run the payload out of an APK, by an app config
    ///
    /// The guest is then the one of /apex/com.android.virt/etc/microdroid.json. The APK's idsig and
    /// the VM's instance image are made by the manager, in a directory that this program removes.
    #[arg(long, conflicts_with_all = ["kernel", "initrd"])]
    app: bool,
    /// The APK for --app [default: /system/etc/avf/vm_demo/vm_demo.apk]
    #[arg(long, value_name = "FILE", requires = "app")]
    apk: Option<PathBuf>,
    /// The guest's memory
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(i32).range(1..))]
    pub(crate) memory_mib: i32,
    /// Arguments for the payload, separated by commas
    #[arg(long, value_name = "A,B,C", default_value = "")]
    payload_args: String,
    /// How long everything together may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
    /// Print answer and timeline as one line of JSON, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

impl Args {
    pub(crate) fn manager(&self) -> Result<PathBuf> {
        self.manager.clone().or_else(|| vmclient::locate("early_virtmgr")).ok_or_else(|| {
            anyhow!(
                "cannot find early_virtmgr beside this program, in /apex/com.android.virt/bin or in \
                 PATH; name it with --manager FILE"
            )
        })
    }

    pub(crate) fn kernel(&self) -> PathBuf {
        self.kernel.clone().unwrap_or_else(|| guest_file("kernel"))
    }

    pub(crate) fn initrd(&self) -> PathBuf {
        self.initrd
            .clone()
            .unwrap_or_else(|| guest_file("initrd.img"))
    }

    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }

    /// The APK whose payload is run, if that is wanted.
    pub(crate) fn app(&self) -> Option<PathBuf> {
        let apk = || {
            self.apk
                .clone()
                .unwrap_or_else(|| guest_file("vm_demo.apk"))
        };
        self.app.then(apk)
    }

    /// The kernel's command line.
    pub(crate) fn kernel_params(&self) -> Result<String> {
        // Fewer self-tests and no unpatching for one CPU: half of an emulated boot is that. Four
        // serial ports, for the failure reason on the second; without the last word of `panic` the
        // guest would stay after one.
        let mut params = "console=ttyS0 loglevel=6 cryptomgr.notests noreplace-smp panic=-1 \
                          8250.nr_uarts=4 avf.payload=/payload/vm_demo_payload"
            .to_owned();
        for param in self.payload_params()? {
            params = params + " " + &param;
        }
        let longest = 2047;
        ensure!(
            params.len() <= longest,
            "the kernel command line has {} bytes, and the kernel takes {longest}; shorten --payload-args",
            params.len()
        );
        Ok(params)
    }

    /// The kernel parameter with the payload's arguments, if there are any.
    pub(crate) fn payload_params(&self) -> Result<Vec<String>> {
        let args = &self.payload_args;
        ensure!(
            args.chars().all(|c| c.is_ascii_graphic() && c != '"'),
            "cannot use --payload-args '{}': a kernel command line cannot carry blanks, quotes or \
             non-ASCII characters",
            args.escape_debug()
        );
        Ok(match &args[..] {
            "" => Vec::new(),
            args => vec![format!("avf.args={args}")],
        })
    }
}

fn guest_file(name: &str) -> PathBuf {
    let root = std::env::var_os(ROOT_VARIABLE).filter(|root| !root.is_empty());
    root.map_or_else(|| PathBuf::from("/"), PathBuf::from)
        .join(GUEST)
        .join(name)
}

/// Opens a guest's file, with an error that says which option names it.
pub(crate) fn open(option: &str, path: &Path) -> Result<File> {
    File::open(path)
        .with_context(|| format!("cannot open {}; name another with {option}", path.display()))
}
