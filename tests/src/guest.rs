// SPDX-License-Identifier: Apache-2.0
//! Configurations of guests, and guests that run.

use crate::host::{Host, VM};
use avf_aidl::service::{VirtualMachineConfig, VirtualMachineRawConfig};
use rsbinder::{ParcelFileDescriptor, Strong};
use std::fs::File;
use std::time::Duration;
use vm_demo::IDemoService;
use vmclient::{Manager, Streams, VmInstance};

/// How long a guest may take to boot on a busy machine without KVM. No test waits this long unless
/// something is wrong.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// Kernel parameters of every guest: quick to boot, reboot at once on a panic.
const PARAMS: &str =
    "console=ttyS0 loglevel=4 cryptomgr.notests noreplace-smp panic=-1 8250.nr_uarts=4";

/// A guest that runs the demo's payload with `args`.
///
/// # Panics
/// If the distribution has no guest.
#[must_use]
pub fn config(host: &Host, args: &[&str]) -> VirtualMachineRawConfig {
    config_of(host, "guest", args)
}

/// The same, with the kernel and initial RAM disk in the directory `guest` of the distribution.
///
/// # Panics
/// If the distribution does not have it.
#[must_use]
pub fn config_of(host: &Host, guest: &str, args: &[&str]) -> VirtualMachineRawConfig {
    let open = |name: &str| {
        Some(ParcelFileDescriptor::new(
            File::open(host.dist.path(guest).join(name)).unwrap(),
        ))
    };
    let args = if args.is_empty() {
        String::new()
    } else {
        format!(" avf.args={}", args.join(","))
    };
    VirtualMachineRawConfig {
        name: VM.into(),
        kernel: open("kernel"),
        initrd: open("initrd.img"),
        params: Some(format!(
            "{PARAMS} avf.payload=/payload/vm_demo_payload{args}"
        )),
        platformVersion: "~1.0".into(),
        memoryMib: 256,
        balloon: true,
        ..Default::default()
    }
}

/// Creates and starts a VM.
///
/// # Panics
/// If that fails.
#[must_use]
pub fn start(manager: &Manager, config: VirtualMachineRawConfig) -> VmInstance {
    let vm = create(manager, config).unwrap();
    vm.start()
        .unwrap_or_else(|e| panic!("start: {e:?}\n{}", manager.log()));
    vm
}

/// Creates a VM whose output goes to the manager's log.
///
/// # Errors
/// What the manager answers.
pub fn create(
    manager: &Manager,
    config: VirtualMachineRawConfig,
) -> Result<VmInstance, vmclient::Error> {
    manager.create_vm(&VirtualMachineConfig::RawConfig(config), Streams::default())
}

/// Waits until the payload is ready and connects to its service.
///
/// # Panics
/// If it does not become ready.
#[must_use]
pub fn service(manager: &Manager, vm: &VmInstance) -> Strong<dyn IDemoService> {
    vm.wait_until_ready(PATIENCE)
        .unwrap_or_else(|e| panic!("{e:?}\n{}", manager.log()));
    vm.connect_service(vm_demo::PORT).unwrap()
}

/// The guests of the distribution: `guest`, and `guest-SERIES` for other kernels.
///
/// # Panics
/// If the distribution cannot be read.
#[must_use]
pub fn guests(host: &Host) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(host.dist.path(""))
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name == "guest" || name.starts_with("guest-"))
        .collect();
    names.sort();
    if names.len() < 2 {
        skip::skip!("no guest with another kernel, run `cargo xtask test`");
    }
    names
}
