// SPDX-License-Identifier: Apache-2.0
//! Guests that are suspended, VMMs that do not answer or are killed, services that hang: what is said,
//! and within which time.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test panics"
)]

use rsbinder::ExceptionCode;
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};
use system_tests::global::{Daemon, Way};
use system_tests::guest::{PATIENCE, config, create, service, start};
use system_tests::host::{self, CID, Host, expect_in_log};
use system_tests::leftovers::processes;
use system_tests::refusal;
use vmclient::{DeathReason, Manager, ManagerOptions, Stderr, VmInstance};

/// Where nothing listens.
const SILENT_PORT: u32 = 4_000_000;

/// Why a connection fails.
fn why(vm: &VmInstance, port: u32) -> String {
    match vm.binder().connectVsock(port.cast_signed()) {
        Err(status) => status.message().unwrap_or_default().to_owned(),
        Ok(_) => panic!("connected to port {port}"),
    }
}

/// The lines of the owner's note that begin with `state`.
fn states(host: &Host) -> Vec<String> {
    let note = host.root.join(format!("mnt/vm/early/{CID}/owner"));
    let note = fs::read_to_string(note).unwrap();
    note.lines()
        .filter_map(|line| line.strip_prefix("state "))
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_connection_that_cannot_be_has_its_reason() {
    host::run("a_connection_that_cannot_be_has_its_reason", |host| {
        let manager = host.early();
        let vm = start(&manager, config(host, &[]));
        let demo = service(&manager, &vm);
        let text = why(&vm, SILENT_PORT);
        assert!(text.contains("nothing listens there"), "{text}");
        vm.binder().suspend().unwrap();
        let text = why(&vm, vm_demo::PORT);
        assert!(text.contains("the VM is suspended"), "{text}");
        assert!(text.contains("resume it first"), "{text}");
        assert_eq!(states(host).last().unwrap(), "suspended");
        vm.binder().resume().unwrap();
        assert_eq!(states(host).last().unwrap(), "running");
        assert_eq!(demo.addInteger(2, 3).unwrap(), 5);
        drop(vm.connect_vsock(vm_demo::PORT).unwrap());
        vm.stop().unwrap();
        let text = why(&vm, vm_demo::PORT);
        assert!(text.contains("the VM is dead"), "{text}");
    });
}

/// A fake VMM: a real one cannot be made to say nothing.
#[test]
fn a_vmm_that_does_not_answer_is_told_of() {
    host::run("a_vmm_that_does_not_answer_is_told_of", |host| {
        let program = host.scratch().join("qemu-system-silent");
        fs::write(&program, "#!/bin/sh\nexec sleep 100000\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let options = ManagerOptions::new(host.dist.path("early_virtmgr"))
            .env("VIRTMGR_LOG", "debug")
            .env("VIRTMGR_VMM", program.to_str().unwrap())
            .stderr(Stderr::Keep);
        let manager = Manager::start(&options).unwrap();
        let vm = create(&manager, config(host, &[])).unwrap();
        std::thread::scope(|scope| {
            let started = scope.spawn(|| vm.start());
            expect_in_log(&manager, "has not started the guest within 5 s");
            vm.stop().unwrap();
            assert!(started.join().unwrap().is_err());
        });
    });
}

#[test]
fn a_vmm_that_is_killed_from_elsewhere_has_a_likely_cause() {
    host::run(
        "a_vmm_that_is_killed_from_elsewhere_has_a_likely_cause",
        |host| {
            let manager = host.early();
            let vm = start(&manager, config(host, &[]));
            let all = processes(&host.root);
            all.iter().find(|process| process.is_vmm()).unwrap().kill();
            let death = vm.wait_for_death(Some(PATIENCE)).unwrap();
            assert_eq!(death, Some(DeathReason::Killed));
            expect_in_log(&manager, "killed by SIGKILL, which nobody here sent");
            expect_in_log(&manager, "out of memory");
        },
    );
}

#[test]
fn a_guests_console_is_not_in_the_log_by_default() {
    host::run("a_guests_console_is_not_in_the_log_by_default", |host| {
        let options = ManagerOptions::new(host.dist.path("early_virtmgr")).stderr(Stderr::Keep);
        let manager = Manager::start(&options).unwrap();
        let vm = start(&manager, config(host, &[]));
        let _ = service(&manager, &vm);
        vm.stop().unwrap();
        let log = manager.end().log;
        assert!(!log.contains("Console("), "{log}");
    });
}

#[test]
fn a_name_that_reorders_a_line_is_refused() {
    host::run("a_name_that_reorders_a_line_is_refused", |host| {
        let manager = host.manager("virtmgr");
        let mut bad = config(host, &[]);
        bad.name = "a\u{202e}b".into();
        let parts = ["direction of writing", "use others"];
        refusal::expect(&manager, bad, ExceptionCode::IllegalArgument, &parts);
        assert!(!manager.log().contains('\u{202e}'), "{}", manager.log());
    });
}

/// The end of a manager does not wait for a service that hangs, as it did for 30 seconds.
#[test]
fn a_service_that_hangs_delays_no_end() {
    host::run("a_service_that_hangs_delays_no_end", |host| {
        let daemon = Daemon::start(host, Way::Socket);
        let manager = host.manager("virtmgr");
        let vm = start(&manager, config(host, &[]));
        daemon.signal(Signal::STOP);
        let begun = Instant::now();
        vm.stop().unwrap();
        drop(vm);
        let ended = manager.end();
        assert!(
            ended.status.is_some_and(|status| status.success()),
            "{ended:?}"
        );
        assert!(begun.elapsed() < Duration::from_secs(20), "{}", ended.log);
        daemon.signal(Signal::CONT);
        let left = processes(&host.root);
        let managers = left
            .iter()
            .filter(|p| !p.command.contains("virtualizationservice"));
        assert_eq!(managers.count(), 0, "{left:?}");
        drop(daemon);
    });
}
