// SPDX-License-Identifier: Apache-2.0
//! What needs a kernel with vsock for guests, and a CPU that runs them: `cargo xtask test --device`
//! runs these in an emulated device.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test panics"
)]

use avf_aidl::service::VirtualMachineConfig;
use rsbinder::ExceptionCode;
use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::time::Instant;
use system_tests::guest::{PATIENCE, config, create, service, start};
use system_tests::host::{self, CID, Host, VM, expect_in_log, inner};
use system_tests::leftovers::processes;
use system_tests::refusal::refusal;
use system_tests::vhost;
use vmclient::{DeathReason, Manager, ManagerOptions, Stderr, VmInstance};

/// Runs a test where the kernel and the CPU can do what it needs.
fn on_device(test: &str, client: impl FnOnce(&Host)) {
    if inner().is_none()
        && let Err(reason) = needs()
    {
        skip::skip!("{reason}; it runs in the device of `cargo xtask test --device`");
        return;
    }
    host::run(test, client);
}

fn needs() -> Result<(), String> {
    for device in ["/dev/kvm", "/dev/vhost-vsock"] {
        fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(device)
            .map_err(|e| format!("{device}: {e}"))?;
    }
    match vmm::accel::detect() {
        vmm::accel::Acceleration::Kvm => Ok(()),
        vmm::accel::Acceleration::Emulation => Err("/dev/kvm cannot run guests here".into()),
    }
}

/// A manager with a setting, and with `wrapper` around it.
fn manager(host: &Host, name: &str, setting: (&str, &OsStr), wrapper: &[&str]) -> Manager {
    let options = ManagerOptions::new(host.dist.path(name))
        .env("VIRTMGR_LOG", "debug")
        .env(setting.0, setting.1)
        .wrapper(wrapper.iter().copied())
        .stderr(Stderr::Keep);
    Manager::start(&options).unwrap()
}

fn death(manager: &Manager, vm: &VmInstance) -> DeathReason {
    match vm.wait_for_death(Some(PATIENCE)) {
        Ok(Some(reason)) => reason,
        other => panic!("{other:?}\n{}", manager.log()),
    }
}

/// The demo's path, and how it went.
fn answer(host: &Host, manager: &Manager) {
    let vm = start(manager, config(host, &[]));
    let demo = service(manager, &vm);
    assert_eq!(demo.addInteger(10, 20).unwrap(), 30);
    let running = processes(&host.root);
    assert!(
        !running.iter().any(|p| p.command.contains("vsock-device")),
        "the kernel's vsock is not used: {running:?}"
    );
    let _ = demo.quit();
    assert_eq!(death(manager, &vm), DeathReason::Shutdown);
    expect_in_log(manager, "peak RSS ");
    let log = manager.log();
    assert!(log.contains("KVM"), "{log}");
    // The kernel counts a guest's time where its CPU runs it.
    assert!(!log.contains("guest CPU 0.00 s"), "{log}");
}

#[test]
fn the_answer_over_the_kernels_vsock() {
    on_device("the_answer_over_the_kernels_vsock", |host| {
        answer(host, &host.early());
    });
}

#[test]
fn crosvm_instead_of_qemu() {
    on_device("crosvm_instead_of_qemu", |host| {
        let Some(crosvm) = std::env::var_os("CROSVM").filter(|path| !path.is_empty()) else {
            skip::skip!("CROSVM does not name a crosvm");
            return;
        };
        let manager = manager(host, "early_virtmgr", ("VIRTMGR_VMM", &crosvm), &[]);
        answer(host, &manager);
    });
}

#[test]
fn a_taken_cid_is_an_error_of_the_creation() {
    on_device("a_taken_cid_is_an_error_of_the_creation", |host| {
        let manager = host.early();
        let holder = vhost::hold(CID).unwrap();
        let (code, message) = refusal(
            &manager,
            &VirtualMachineConfig::RawConfig(config(host, &[])),
        );
        assert_eq!(code, ExceptionCode::ServiceSpecific);
        assert!(
            message.contains(&format!("CID {CID} is taken")),
            "{message}"
        );
        assert!(!host.root.join(format!("mnt/vm/early/{CID}")).exists());
        drop(holder);
        // Held from the creation on, not only while the guest runs.
        let vm = create(&manager, config(host, &[])).unwrap();
        assert!(vhost::hold(CID).is_err(), "the CID is not held");
        drop(vm);
        // A manager that may choose takes another.
        let full = host.manager("virtmgr");
        let first = create(&full, config(host, &[])).unwrap().cid();
        let holder = vhost::hold(first + 1).unwrap();
        assert_eq!(create(&full, config(host, &[])).unwrap().cid(), first + 2);
        drop(holder);
    });
}

#[test]
fn a_guest_cannot_reach_anothers_service() {
    on_device("a_guest_cannot_reach_anothers_service", |host| {
        let full = host.manager("virtmgr");
        let vm = start(&full, config(host, &[]));
        let demo = service(&full, &vm);
        let port = vm.cid();
        let stranger = start(&full, config(host, &[&format!("--knock={port}")]));
        let _ = service(&full, &stranger);
        expect_in_log(&full, &format!("knock on {port}: closed"));
        let told = format!(
            "vsock connection of CID {} refused: this port serves CID {port} only",
            stranger.cid()
        );
        expect_in_log(&full, &told);
        // A program of the host is a stranger, too: its CID is that of loopback.
        let mut knock = vhost::connect_loopback(port).unwrap();
        assert!(matches!(knock.read(&mut [0]), Ok(0) | Err(_)));
        expect_in_log(&full, "vsock connection of CID 1 refused");
        // Its own guest is still served.
        assert_eq!(demo.addInteger(1, 2).unwrap(), 3);
    });
}

/// The two limits on locked memory, as the kernel shows them.
fn locked_memory(pid: u32) -> Vec<String> {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max locked memory"));
    let fields = line.unwrap().split_whitespace();
    fields.skip(3).take(2).map(str::to_owned).collect()
}

#[test]
fn the_limit_on_locked_memory() {
    on_device("the_limit_on_locked_memory", |host| {
        let setting = ("VIRTMGR_TEST", OsStr::new("1"));
        let limited = ["prlimit", "--memlock=65536:65536"];
        let able = manager(host, "early_virtmgr", setting, &limited);
        assert_eq!(locked_memory(able.process_id()), ["unlimited", "unlimited"]);
        assert!(!able.log().contains("CAP_SYS_RESOURCE"), "{}", able.log());
        drop(able);
        let without = [
            "setpriv",
            "--bounding-set=-sys_resource",
            "--inh-caps=-sys_resource",
        ];
        let wrapper = [&limited[..], &without].concat();
        let unable = manager(host, "early_virtmgr", setting, &wrapper);
        assert_eq!(locked_memory(unable.process_id()), ["65536", "65536"]);
        expect_in_log(&unable, "info: cannot raise the limit on locked memory");
        expect_in_log(&unable, "CAP_SYS_RESOURCE");
        // A VM that locks nothing runs all the same.
        let vm = start(&unable, config(host, &[]));
        assert_eq!(service(&unable, &vm).addInteger(2, 3).unwrap(), 5);
    });
}

#[test]
fn a_killed_manager_leaves_no_cid_behind() {
    on_device("a_killed_manager_leaves_no_cid_behind", |host| {
        let manager = host.early();
        let vm = start(&manager, config(host, &["--hang"]));
        let all = processes(&host.root);
        all.iter()
            .find(|p| p.pid.cast_unsigned() == manager.process_id())
            .unwrap()
            .kill();
        all.iter().for_each(system_tests::leftovers::Process::wait);
        drop(vm);
        let end = Instant::now() + PATIENCE;
        // The kernel lets go of a CID in its own time.
        while let Err(e) = vhost::hold(CID) {
            assert!(Instant::now() < end, "{e}");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let next = host.early();
        let vm = create(&next, config(host, &[])).unwrap();
        assert_eq!((vm.cid(), Path::new(VM).to_str()), (CID, Some(VM)));
    });
}
