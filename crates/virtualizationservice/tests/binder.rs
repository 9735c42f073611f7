// SPDX-License-Identifier: Apache-2.0
//! The program on the kernel's binder, where there is one, with a context manager of its own:
//! `rsb_hub` of the package `rsbinder-tools`, which the variable `VIRTMGR_TEST_HUB` names.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "a test may fail like this, also in what it calls"
)]

mod harness;

use avf_aidl::service::VirtualMachineDebugInfo;
use harness::{CLIENT, Daemon, OfAndroid15 as _, listed, until};
use rustix::fs::{FlockOperation, flock};
use service_client::wire::{Allocated, ListedVm, Release, Wire};
use service_client::{Kernel, SERVICE_NAME, Service, Way, connect_as, connect_by, device};
use std::fs::File;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};

struct Hub(Child);

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The service on binder. It may take a moment until its name is registered again.
fn connect(root: &Path) -> Service {
    let mut found = None;
    until("the service on binder", || {
        found = connect_by(root, &[Way::KernelBinder]).unwrap();
        found.is_some()
    });
    found.unwrap()
}

/// A manager of Android 16 QPR2, in a process of its own: this one speaks as in Android 15.
#[test]
fn client() {
    let Some(root) = std::env::var_os(CLIENT) else {
        return;
    };
    let wire = Wire::named(Release::V16Qpr);
    let service = connect_as(Path::new(&root), &[Way::KernelBinder], wire);
    let service = service.unwrap().unwrap();
    let internal = service.internal();
    let Allocated::Plain(context) = internal.allocate("vm", 1).unwrap() else {
        panic!("an object");
    };
    let info = VirtualMachineDebugInfo {
        name: "registered".to_owned(),
        ..Default::default()
    };
    let vm = ListedVm::new(info);
    internal.register_vm(context.cid, &vm.object()).unwrap();
    let list = internal.debug_list_vms().unwrap();
    let listed = list.iter().find(|vm| vm.cid == context.cid).unwrap();
    assert_eq!(listed.name, "registered");
}

/// The VM that another process registers goes with it.
fn registered_vms(root: &Path) {
    let before = std::fs::read_dir(root.join("run/virtualizationservice/vms"));
    let count = before.unwrap().count();
    let ended = Command::new("/proc/self/exe")
        .args(["--exact", "client", "--nocapture"])
        .env(CLIENT, root)
        .status();
    assert!(ended.unwrap().success());
    until("the registered VM's end", || {
        let now = std::fs::read_dir(root.join("run/virtualizationservice/vms"));
        now.unwrap().count() == count
    });
}

#[test]
fn contexts_over_kernel_binder() {
    let Some(binder) = device(Path::new("/")) else {
        skip::skip!("this machine has no binder device");
        return;
    };
    let Some(program) = std::env::var_os("VIRTMGR_TEST_HUB") else {
        skip::skip!("VIRTMGR_TEST_HUB does not name rsb_hub (cargo install rsbinder-tools)");
        return;
    };
    // It knows devices of binderfs only; a kernel without that has the same device elsewhere.
    let in_binderfs = Path::new("/dev/binderfs/binder");
    if !in_binderfs.exists() {
        std::fs::create_dir_all("/dev/binderfs").unwrap();
        symlink(&binder, in_binderfs).unwrap();
    }
    let mut hub = Command::new(program);
    hub.arg("--insecure-allow-all");
    let _hub = Hub(hub
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap());
    until("the service manager", || {
        Kernel::open(Path::new("/")).is_ok()
    });
    let root = harness::new_root();
    std::fs::create_dir_all(root.path().join("dev")).unwrap();
    symlink(&binder, root.path().join("dev/binder")).unwrap();
    let path = binder.to_str().unwrap().to_owned();
    let mut daemon = Daemon::start_in(root, &["--binder", &path]);

    let service = connect(daemon.root.path());
    assert_eq!(service.way(), Way::KernelBinder);
    let context = service.binder().allocateGlobalVmContext(42).unwrap();
    assert_eq!(context.getCid().unwrap(), 2048);
    let vms = service.binder().debugListVms().unwrap();
    assert_eq!(
        vms[0].requesterUid.cast_unsigned(),
        rustix::process::geteuid().as_raw()
    );
    // Both ways lead to the same.
    let socket = connect_by(daemon.root.path(), &[Way::Socket])
        .unwrap()
        .unwrap();
    let other = socket.binder().allocateGlobalVmContext(43).unwrap();
    assert_eq!(other.getCid().unwrap(), 2049);
    assert_eq!(listed(&service.binder()), [2048, 2049]);
    drop(other);
    until("the socket's context's end", || {
        listed(&service.binder()) == [2048]
    });
    drop(context);
    until("the context's end", || listed(&service.binder()).is_empty());

    // A display service crosses here.
    let display = service.binder();
    display.setDisplayService(&display.as_binder()).unwrap();
    display.waitDisplayService().unwrap();
    display.clearDisplayService().unwrap();

    registered_vms(daemon.root.path());

    let held = service.binder().allocateGlobalVmContext(44).unwrap();
    let holder = File::open(held.getTemporaryDirectory().unwrap()).unwrap();
    flock(&holder, FlockOperation::LockExclusive).unwrap();
    daemon.kill_and_restart_with(&["--binder", &path]);
    let service = connect(daemon.root.path());
    until("the VM that was left", || {
        service
            .binder()
            .debugListVms()
            .is_ok_and(|vms| vms.len() == 1)
    });
    let next = service.binder().allocateGlobalVmContext(45).unwrap();
    assert_eq!(next.getCid().unwrap(), 2052);
    drop(holder);
    assert_eq!(listed(&service.binder()), [2052]);
    assert!(daemon.terminate().success(), "{}", daemon.log_text());
    let gone = Kernel::open(Path::new("/")).unwrap().get(SERVICE_NAME);
    assert!(gone.is_ok());
}
