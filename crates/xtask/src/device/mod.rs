// SPDX-License-Identifier: Apache-2.0
//! `device`: a machine, emulated, with what this one may lack (KVM, the kernel's vsock for guests,
//! binder), in which a command runs on the files of this one. `docs/device.md` describes it.

mod early_boot;
mod machine;
pub(crate) mod on_device;
mod orders;

use crate::files::{make_dir, write};
use crate::initrd::Archive;
use crate::kernel::{self, Kernel};
use crate::modules::Tree;
use crate::packages::{DEVICE, Installer, Need, packing};
use crate::programs::{self, Profile};
use crate::steps::{say, step};
use crate::vmlinux;
use crate::workspace::{Arch, Workspace};
use anyhow::{Context, Result, bail, ensure};
use machine::{Cpus, End, Machine};
use orders::Orders;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Arguments of `device`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The command runs as root in a machine of its own, on this machine's files: it reads all of \
                  them, and what it writes is gone with the machine. Its output and its exit status are those \
                  of this program. `cargo xtask dist` comes before a command that needs the programs.\n\n\
                  Examples:\n  cargo xtask device 'ls -l /dev/kvm /dev/vhost-vsock /dev/binder'\n  \
                  cargo xtask device target/dist/run-demo"
)]
pub(crate) struct Args {
    /// What to run, as one line for /bin/sh
    #[arg(required = true)]
    command: String,
    /// Show the machine's own console too
    #[arg(short, long)]
    verbose: bool,
    /// End the machine after this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 1200)]
    timeout: u64,
}

/// The series of the device's kernel.
const SERIES: &str = "6.12";
/// What it takes to see the host's files and to hear the host. The rest is loaded from there.
const MODULES: [&str; 5] = [
    "virtio_pci",
    "virtio_console",
    "9p",
    "9pnet_virtio",
    "overlay",
];

/// A device that can be started, many times.
pub(crate) struct Device {
    workspace: Workspace,
    kernel: PathBuf,
    modules: PathBuf,
    init: PathBuf,
    /// Where its files are.
    directory: PathBuf,
}

/// How often a device is started for a test, if it crashes.
const ATTEMPTS: u32 = 3;

/// `cargo xtask device`.
pub(crate) fn run(args: &Args, installer: Installer) -> Result<ExitCode> {
    installer.provide(&needs()?)?;
    let device = Device::prepare(Workspace::find()?, installer)?;
    let machine = device.machine(&args.command, Cpus::Two)?;
    let (end, _) = machine.run(Duration::from_secs(args.timeout), args.verbose)?;
    // As shells have it.
    let code = match end {
        End::Exit(code) => code,
        End::Signal(signal) => 128 + signal,
        End::Crash => bail!("the device crashed"),
    };
    Ok(u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// What a device needs.
pub(crate) fn needs() -> Result<Vec<Need>> {
    let arch = Arch::host()?;
    let mut needs = vec![(arch.qemu, arch.qemu_package)];
    needs.extend(packing());
    needs.extend(DEVICE);
    Ok(needs)
}

/// Whether a device can be emulated here.
///
/// # Errors
/// Why not.
pub(crate) fn is_possible() -> Result<()> {
    ensure!(
        std::env::consts::ARCH == "x86_64",
        "only x86-64 machines emulate virtualization"
    );
    Ok(())
}

impl Device {
    /// Gets its kernel and builds its init.
    pub(crate) fn prepare(workspace: Workspace, installer: Installer) -> Result<Self> {
        is_possible()?;
        let kernel = kernel::with_all_drivers(SERIES, &workspace.kernels(), installer)?;
        let init = ["-q", "-p", "avf-init", "--bin", "device-init"];
        let built = programs::build(&init, &workspace, Profile::Release)?;
        let directory = workspace.target.join("device");
        make_dir(&directory)?;
        let modules = kernel.modules.clone().context("the kernel has modules")?;
        Ok(Self {
            kernel: unpacked_kernel(&kernel, &directory)?,
            modules,
            init: built.join("device-init"),
            directory,
            workspace,
        })
    }

    /// A machine that runs `command` in the top of the source tree.
    pub(crate) fn machine(&self, command: &str, cpus: Cpus) -> Result<Machine> {
        let orders = Orders::new(command, &self.workspace, &self.modules)?;
        let mut archive = Archive::default();
        for dir in ["dev", "lib", "lib/modules", "proc", "sys", "device"] {
            archive.dir(dir);
        }
        archive.devices();
        archive.program("init", &self.init)?;
        archive.boot_modules(&Tree::read(&self.modules)?, &MODULES)?;
        orders.add_to(&mut archive);
        // Several machines may run at once.
        let initrd = self
            .directory
            .join(format!("initrd-{}.img", std::process::id()));
        write(&initrd, &archive.pack()?)?;
        Machine::new(&self.kernel, initrd, &self.directory, cpus)
    }

    /// Runs a command as a step of a test and returns what it printed, and how it ended.
    ///
    /// QEMU's emulation of virtualization has faults of its own: now and then the device's kernel is
    /// sent into its own page fault handler for ever, or into a breakpoint that is no longer there: one
    /// CPU patches code that the other is running. So it has one CPU for tests, its init avoids what is
    /// known to crash it, and a device that crashes all the same is started again, and says so.
    pub(crate) fn test(&self, command: &str, timeout: Duration) -> Result<(End, String)> {
        for attempt in 1..=ATTEMPTS {
            match self.machine(command, Cpus::One)?.run(timeout, false)? {
                (End::Crash, _) => {
                    say!("device: crashed in attempt {attempt} of {ATTEMPTS}: {command}");
                }
                ended => return Ok(ended),
            }
        }
        bail!("the device crashed {ATTEMPTS} times: {command}")
    }

    /// Where its kernel's modules are.
    pub(crate) fn modules(&self) -> &Path {
        &self.modules
    }

    /// Its kernel.
    pub(crate) fn kernel(&self) -> &Path {
        &self.kernel
    }

    /// Where its files are.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }
}

/// The kernel unpacked, so that the emulated CPU need not do it at each boot.
fn unpacked_kernel(kernel: &Kernel, directory: &Path) -> Result<PathBuf> {
    let name = kernel.image.file_name().context("the kernel's name")?;
    let path = directory.join(name);
    if !path.is_file() {
        step("unpack the device's kernel", || {
            let image = fs::read(&kernel.image)
                .with_context(|| format!("read {}", kernel.image.display()))?;
            let unpacked = vmlinux::unpack(&image)?;
            write(&path, unpacked.as_ref().unwrap_or(&image))
        })?;
    }
    Ok(path)
}
