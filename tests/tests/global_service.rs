// SPDX-License-Identifier: Apache-2.0
//! `virtmgr` with the global service, over its Unix socket and, in the device, over kernel binder:
//! the same tests for both ways. And `virtmgr` without it.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test panics"
)]

use avf_aidl::service::{VirtualMachineConfig, VirtualMachineDebugInfo};
use rsbinder::ExceptionCode;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use system_tests::global::{Daemon, USER, Way, as_user};
use system_tests::guest::{PATIENCE, config, create, service, start};
use system_tests::host::{self, Host, VM, inner};
use system_tests::refusal::{no_directories, refusal};
use vmclient::{Control, DeathReason, Manager, ManagerOptions, State, Stderr, VmInstance};

/// Versions of a platform, and of none, whose global services have interfaces of their own.
const PLATFORMS: [Option<&str>; 3] = [None, Some("36.0"), Some("36.1")];

/// Makes the root directory one of a platform of this version.
fn set_platform(host: &Host, level: Option<&str>) {
    let file = host.root.join("etc/avf/build.prop");
    match level {
        Some(level) => {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, format!("ro.build.version.sdk_full={level}\n")).unwrap();
        }
        None => {
            let _ = fs::remove_file(&file);
        }
    }
}

/// Runs a test for each way to the service, and each form of its interface.
fn each_way(test: &str, client: impl Fn(&Host, Way, Option<&str>)) {
    let is_outside = inner().is_none();
    if is_outside {
        if host::Dist::find().is_ok_and(|dist| !dist.path("virtualizationservice").is_file()) {
            panic!("the distribution has no virtualizationservice: run `cargo xtask dist`");
        }
        // What is skipped is said once.
        let _ = Way::all();
    }
    host::run(test, |host| {
        for way in Way::all() {
            for level in PLATFORMS {
                println!("{test}: {way:?}, {level:?}");
                set_platform(host, level);
                client(host, way, level);
                no_directories(&host.root);
            }
        }
    });
}

/// A manager of root.
fn of_root(host: &Host) -> Manager {
    host.manager("virtmgr")
}

/// A manager of an ordinary user.
fn of_user(host: &Host, is_member: bool) -> Manager {
    let options = ManagerOptions::new(host.dist.path("virtmgr"))
        .env("VIRTMGR_LOG", "debug")
        .wrapper(as_user(is_member))
        .stderr(Stderr::Keep);
    Manager::start(&options).unwrap()
}

fn list(manager: &Manager) -> Vec<VirtualMachineDebugInfo> {
    manager
        .service()
        .debugListVms()
        .unwrap_or_else(|e| panic!("{e:?}\n{}", manager.log()))
}

fn entry(vms: &[VirtualMachineDebugInfo], cid: u32) -> &VirtualMachineDebugInfo {
    vms.iter()
        .find(|vm| vm.cid.cast_unsigned() == cid)
        .unwrap_or_else(|| panic!("no VM {cid} in {vms:?}"))
}

fn end(manager: &Manager, vm: &VmInstance) {
    vm.stop().unwrap();
    match vm.wait_for_death(Some(PATIENCE)) {
        Ok(Some(DeathReason::Killed)) => {}
        other => panic!("{other:?}\n{}", manager.log()),
    }
}

#[test]
fn two_users_at_once() {
    each_way("two_users_at_once", |host, way, level| {
        let daemon = Daemon::start(host, way);
        let (root, user) = (of_root(host), of_user(host, true));
        let first = start(&root, config(host, &[]));
        let second = create(&user, config(host, &[])).unwrap();
        let third = create(&root, config(host, &[])).unwrap();
        let cids: BTreeSet<_> = [&first, &second, &third].map(VmInstance::cid).into();
        assert_eq!(cids.len(), 3, "{cids:?}");
        assert!(cids.iter().all(|cid| (2048..=65535).contains(cid)));
        first.binder().setHostConsoleName("/dev/pts/77").unwrap();
        // Every caller sees the VMs of all users, each with its user.
        let all = list(&user);
        assert_eq!(all.len(), 3, "{all:?}");
        let of_first = entry(&all, first.cid());
        assert_eq!(of_first.requesterUid, 0);
        assert_eq!(of_first.hostConsoleName.as_deref(), Some("/dev/pts/77"));
        assert_eq!(
            of_first.requesterPid.cast_unsigned(),
            std::process::id(),
            "{of_first:?}"
        );
        let of_second = entry(&all, second.cid());
        // Up to Android 15 the service is not told names.
        if level.is_some() {
            assert!(all.iter().all(|vm| vm.name == VM), "{all:?}");
        }
        assert_eq!(of_second.requesterUid.cast_unsigned(), USER);
        // The directory is the user's own, and tells whose VM it is.
        let directory = Path::new(&of_second.temporaryDirectory);
        let note = fs::read_to_string(directory.join("owner")).unwrap();
        assert!(note.contains(&format!("name {VM}\n")), "{note}");
        // The guest is as good as any.
        let demo = service(&root, &first);
        assert_eq!(demo.addInteger(10, 20).unwrap(), 30);
        end(&root, &first);
        drop((second, third));
        drop((root, user));
        assert!(daemon.stop().success());
    });
}

#[test]
fn vms_outlive_a_crash_of_the_service() {
    each_way("vms_outlive_a_crash_of_the_service", |host, way, level| {
        let mut daemon = Daemon::start(host, way);
        let manager = of_root(host);
        let vm = start(&manager, config(host, &[]));
        let idle = create(&manager, config(host, &[])).unwrap();
        vm.binder().setHostConsoleName("/dev/pts/78").unwrap();
        let demo = service(&manager, &vm);
        daemon.crash_and_restart(host, way);
        // The VM lives on, and the new service lists it again.
        assert_eq!(demo.addInteger(1, 2).unwrap(), 3);
        let other = of_user(host, true);
        let all = list(&other);
        assert_eq!(all.len(), 2, "{all:?}");
        let console =
            |vms: &[VirtualMachineDebugInfo]| entry(vms, vm.cid()).hostConsoleName.clone();
        // Where managers register their VMs, the new service hears of the console from them.
        if level != Some("36.1") {
            assert_eq!(console(&all).as_deref(), Some("/dev/pts/78"));
        }
        // Its CID stays reserved, for a new manager as well as for its own.
        let mut cids = BTreeSet::from([vm.cid(), idle.cid()]);
        let more: Vec<_> = [&other, &manager]
            .map(|manager| create(manager, config(host, &[])).unwrap())
            .into();
        for vm in &more {
            assert!(cids.insert(vm.cid()), "CID {} twice", vm.cid());
        }
        let known = list(&other);
        assert_eq!(known.len(), 4, "{known:?}");
        assert_eq!(console(&known).as_deref(), Some("/dev/pts/78"));
        assert!(known.iter().all(|vm| vm.requesterPid != 0), "{known:?}");
        // When it ends, it is listed no more, and its directory is gone.
        let directory = entry(&all, vm.cid()).temporaryDirectory.clone();
        end(&manager, &vm);
        let now = list(&other);
        assert!(
            now.iter().all(|info| info.cid.cast_unsigned() != vm.cid()),
            "{now:?}"
        );
        drop((more, idle));
        assert!(!Path::new(&directory).exists(), "{directory} is left");
        drop((manager, other));
        assert!(daemon.stop().success());
    });
}

#[test]
fn vms_are_had_without_a_service_that_was_stopped() {
    host::run("vms_are_had_without_a_service_that_was_stopped", |host| {
        let daemon = Daemon::start(host, Way::Socket);
        let manager = of_root(host);
        let of_service = create(&manager, config(host, &[])).unwrap();
        assert!(daemon.stop().success());
        // This manager knows the service, and finds it gone.
        let own = create(&manager, config(host, &[])).unwrap();
        assert_ne!(of_service.cid(), own.cid());
        let all = list(&manager);
        let path = &entry(&all, own.cid()).temporaryDirectory;
        assert!(path.contains("/run/virtmgr/"), "{path}");
        // The next service removes what is left of the first VM.
        drop((of_service, own));
        drop(manager);
        assert!(Daemon::start(host, Way::Socket).stop().success());
        no_directories(&host.root);
    });
}

#[test]
fn a_user_without_permission() {
    each_way("a_user_without_permission", |host, way, _| {
        let daemon = Daemon::start(host, way);
        fs::create_dir_all(host.root.join("etc/avf")).unwrap();
        let file = host.root.join("etc/avf/permissions.json");
        fs::write(&file, r#"{ "manage": ["kvm"], "custom": ["kvm"] }"#).unwrap();
        let manager = of_user(host, false);
        let (code, message) = refusal(
            &manager,
            &VirtualMachineConfig::RawConfig(config(host, &[])),
        );
        assert_eq!(code, ExceptionCode::Security, "{message}");
        for part in ["12345", "MANAGE_VIRTUAL_MACHINE", "kvm"] {
            assert!(message.contains(part), "{message:?} lacks {part:?}");
        }
        let status = manager.service().allocateInstanceId().unwrap_err();
        assert_eq!(status.exception_code(), ExceptionCode::Security);
        // Another group, by the file.
        fs::write(
            &file,
            format!(r#"{{ "manage": ["{USER}"], "custom": ["kvm"] }}"#),
        )
        .unwrap();
        // A raw config takes one more permission.
        let (code, message) = refusal(
            &manager,
            &VirtualMachineConfig::RawConfig(config(host, &[])),
        );
        assert_eq!(code, ExceptionCode::Security, "{message}");
        assert!(
            message.contains("USE_CUSTOM_VIRTUAL_MACHINE"),
            "{message:?}"
        );
        fs::write(&file, r#"{ "mange": [] }"#).unwrap();
        let (_, message) = refusal(
            &manager,
            &VirtualMachineConfig::RawConfig(config(host, &[])),
        );
        assert!(
            message.contains("mange") && message.contains("manage"),
            "{message:?}"
        );
        fs::remove_file(&file).unwrap();
        drop(manager);
        assert!(daemon.stop().success());
    });
}

#[test]
fn without_the_service() {
    host::run("without_the_service", |host| {
        let (first, second) = (of_root(host), of_root(host));
        let vm = start(&first, config(host, &[]));
        let other = create(&second, config(host, &[])).unwrap();
        assert_ne!(vm.cid(), other.cid());
        // Any manager of the user lists both.
        let all = list(&second);
        assert_eq!(all.len(), 2, "{all:?}");
        let path = entry(&all, vm.cid()).temporaryDirectory.clone();
        assert!(
            path.ends_with(&format!("run/virtmgr/{}", vm.cid())),
            "{path}"
        );
        // What needs the service says so, and leaves nothing.
        let mut wants = config(host, &[]);
        wants.networkSupported = true;
        let (code, message) = refusal(&second, &VirtualMachineConfig::RawConfig(wants));
        assert_eq!(code, ExceptionCode::UnsupportedOperation, "{message}");
        assert!(
            message.contains("networkSupported") && message.contains("virtualizationservice"),
            "{message:?}"
        );
        assert_eq!(list(&second).len(), 2);
        // Another program of the user reaches the VM through its directory, and stops it.
        let demo = service(&first, &vm);
        assert_eq!(demo.addInteger(10, 20).unwrap(), 30);
        let control = Control::connect(Path::new(&path), PATIENCE).unwrap();
        assert_eq!(control.state().unwrap(), State::Ready);
        control.suspend().unwrap();
        control.resume().unwrap();
        control.stop().unwrap();
        assert!(!Path::new(&path).exists());
        assert_eq!(
            vm.wait_for_death(Some(PATIENCE)).unwrap(),
            Some(DeathReason::Killed)
        );
        // Statistics go to the log; that of the death after its client has been told.
        drop((demo, vm));
        let log = first.end().log;
        for part in [
            "atom=vm_creation_requested",
            "succeeded=true",
            "atom=vm_booted",
            "atom=vm_exited",
            "reason=1 ",
        ] {
            assert!(log.contains(part), "no {part:?} in\n{log}");
        }
    });
}
