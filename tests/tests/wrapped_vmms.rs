// SPDX-License-Identifier: Apache-2.0
//! VMMs that are started through a script without `exec`, and VMMs by other names.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test panics"
)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use system_tests::guest::{self, PATIENCE, config, service, start};
use system_tests::host::{self, CID, Host};
use system_tests::leftovers::{Process, processes};
use vmclient::{DeathReason, Manager, ManagerOptions, Stderr};

/// QEMU for this host's guests.
fn qemu() -> Option<PathBuf> {
    let name = format!("qemu-system-{}", std::env::consts::ARCH);
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|directory| directory.join(&name))
        .find(|path| path.is_file())
}

/// A script that runs QEMU as its child, and tells its exit status.
fn wrapper(host: &Host, qemu: &Path) -> PathBuf {
    let path = host.scratch().join("qemu-system-wrapper");
    let text = format!(
        "#!/bin/sh\necho through a wrapper >&2\n{} \"$@\"\nexit $?\n",
        qemu.display()
    );
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn manager(host: &Host, vmm: &Path) -> Manager {
    let options = ManagerOptions::new(host.dist.path("early_virtmgr"))
        .env("VIRTMGR_LOG", "debug")
        .env("VIRTMGR_VMM", vmm)
        .stderr(Stderr::Keep);
    Manager::start(&options).unwrap()
}

/// Runs a test with QEMU, if there is one.
fn with_qemu(test: &str, client: impl FnOnce(&Host, &Path)) {
    host::run(test, |host| match qemu() {
        Some(qemu) => client(host, &qemu),
        None => skip::skip!("no QEMU in PATH"),
    });
}

/// Every process of the VM, QEMU among them.
fn all(host: &Host, manager: &Manager) -> Vec<Process> {
    let all = processes(&host.root);
    assert!(
        all.iter()
            .any(|p| p.is_vmm() && p.command.contains(" -nodefaults ")),
        "{all:?}\n{}",
        manager.log()
    );
    all.into_iter()
        .filter(|p| p.pid.cast_unsigned() != manager.process_id())
        .collect()
}

#[test]
fn a_wrapped_vmm_answers_and_tells_its_end() {
    with_qemu("a_wrapped_vmm_answers_and_tells_its_end", |host, qemu| {
        let manager = manager(host, &wrapper(host, qemu));
        let vm = start(&manager, config(host, &[]));
        let demo = service(&manager, &vm);
        assert_eq!(demo.addInteger(20, 22).unwrap(), 42);
        // The payload may be gone before its answer is.
        let _ = demo.quit();
        let death = vm.wait_for_death(Some(PATIENCE)).unwrap();
        assert_eq!(death, Some(DeathReason::Shutdown), "{}", manager.log());
    });
}

#[test]
fn a_stop_ends_a_wrapped_vmm() {
    with_qemu("a_stop_ends_a_wrapped_vmm", |host, qemu| {
        let manager = manager(host, &wrapper(host, qemu));
        let vm = start(&manager, config(host, &["--hang"]));
        // A guest that does not run cannot end by itself.
        vm.binder().suspend().unwrap();
        let all = all(host, &manager);
        vm.stop().unwrap();
        // A stop returns when nothing of the VM is left.
        let left: Vec<_> = processes(&host.root)
            .into_iter()
            .filter(|p| p.pid.cast_unsigned() != manager.process_id())
            .collect();
        assert!(left.is_empty(), "{left:?}");
        all.iter().for_each(Process::wait);
        let death = vm.wait_for_death(Some(PATIENCE)).unwrap();
        assert_eq!(death, Some(DeathReason::Killed), "{}", manager.log());
    });
}

#[test]
fn a_wrapped_vmm_ends_with_a_killed_manager() {
    with_qemu("a_wrapped_vmm_ends_with_a_killed_manager", |host, qemu| {
        let manager = manager(host, &wrapper(host, qemu));
        let vm = start(&manager, config(host, &["--hang"]));
        vm.binder().suspend().unwrap();
        let all = all(host, &manager);
        processes(&host.root)
            .iter()
            .find(|p| p.pid.cast_unsigned() == manager.process_id())
            .unwrap()
            .kill();
        all.iter().for_each(Process::wait);
        drop(vm);
        // The next manager removes the directory.
        let next = host.early();
        let vm = guest::create(&next, config(host, &[])).unwrap();
        assert_eq!(vm.cid(), CID);
    });
}

#[test]
fn a_vmm_named_qemu_kvm() {
    with_qemu("a_vmm_named_qemu_kvm", |host, qemu| {
        let link = host.scratch().join("qemu-kvm");
        symlink(qemu, &link).unwrap();
        let manager = manager(host, &link);
        let vm = start(&manager, config(host, &[]));
        assert_eq!(service(&manager, &vm).addInteger(1, 2).unwrap(), 3);
    });
}
