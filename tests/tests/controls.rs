// SPDX-License-Identifier: Apache-2.0
//! What a client can do with a VM that runs, and what the manager does on its own.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test panics"
)]

use avf_aidl::service::VirtualMachineRawConfig;
use rsbinder::{BinderResult, ExceptionCode};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};
use system_tests::guest::{PATIENCE, config, create, service, start};
use system_tests::host::{self, Host, expect_in_log};
use system_tests::leftovers::processes;
use vm_demo::IDemoService;
use vmclient::{DeathReason, Manager, ManagerOptions, State, Stderr, VmInstance};

fn death(manager: &Manager, vm: &VmInstance) -> DeathReason {
    match vm.wait_for_death(Some(PATIENCE)) {
        Ok(Some(reason)) => reason,
        other => panic!("{other:?}\n{}", manager.log()),
    }
}

/// A guest that has no one to report to, so that its payload never counts as started.
fn silent(host: &Host) -> VirtualMachineRawConfig {
    let mut config = config(host, &["--hang"]);
    config.params = config.params.map(|params| params + " avf.noservice");
    config
}

fn with_setting(host: &Host, name: &str, value: impl AsRef<Path>) -> Manager {
    let options = ManagerOptions::new(host.dist.path("early_virtmgr"))
        .env("VIRTMGR_LOG", "debug")
        .env(name, value.as_ref())
        .stderr(Stderr::Keep);
    Manager::start(&options).unwrap()
}

/// Checks that a call is refused, with which exception, and with which words.
fn refused<T: std::fmt::Debug>(answer: BinderResult<T>, code: ExceptionCode, part: &str) {
    let status = answer.unwrap_err();
    let message = status.message().unwrap_or_default();
    assert_eq!(status.exception_code(), code, "{message}");
    assert!(
        message.contains(part),
        "{message:?} does not contain {part:?}"
    );
}

#[test]
fn a_guest_that_is_suspended_and_resumed() {
    host::run("a_guest_that_is_suspended_and_resumed", |host| {
        let pause = Duration::from_secs(3);
        let manager = host.early();
        let vm = start(&manager, config(host, &[]));
        let demo = Arc::new(service(&manager, &vm));
        let uptime = || {
            let text = String::from_utf8(demo.readFile("/proc/uptime").unwrap()).unwrap();
            let seconds = text.split(' ').next().unwrap().parse().unwrap();
            Duration::from_secs_f64(seconds)
        };
        let begin = Instant::now();
        let before = uptime();
        vm.binder().suspend().unwrap();
        assert_eq!(vm.state().unwrap(), State::Ready);
        // No answer comes while it stands still, and it comes when it goes on.
        let calls = Arc::clone(&demo);
        let (sender, answer) = mpsc::channel();
        let caller = std::thread::spawn(move || sender.send(calls.addInteger(1, 2).unwrap()));
        assert_eq!(answer.recv_timeout(pause), Err(RecvTimeoutError::Timeout));
        vm.binder().resume().unwrap();
        assert_eq!(answer.recv_timeout(PATIENCE), Ok(3));
        caller.join().unwrap().unwrap();
        let guest = uptime() - before;
        if processes(&host.root)
            .iter()
            .any(|p| p.is_vmm() && p.command.contains("crosvm"))
        {
            skip::skip!("the clock of a guest of crosvm goes on while it is suspended");
            return;
        }
        // The guest's clock stood still meanwhile, however slow everything else was. It counts in
        // hundredths of a second.
        let host = begin.elapsed();
        let lost = host - guest;
        println!(
            "of {host:.2?} the guest's clock counted {guest:.2?}: it stood still for {lost:.2?}"
        );
        assert!(
            lost >= pause - Duration::from_millis(20),
            "lost only {lost:?}"
        );
    });
}

/// A number of `/proc/meminfo`, in bytes.
fn meminfo(demo: &dyn IDemoService, name: &str) -> i64 {
    let text = String::from_utf8(demo.readFile("/proc/meminfo").unwrap()).unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    let kib: i64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib << 10
}

#[test]
fn memory_that_is_taken_and_given_back() {
    host::run("memory_that_is_taken_and_given_back", |host| {
        const TAKEN: i64 = 64 << 20;
        let manager = host.early();
        let vm = start(&manager, config(host, &[]));
        let demo = service(&manager, &vm);
        let balloon = || vm.binder().getActualMemoryBalloonBytes().unwrap();
        assert_eq!(balloon(), 0);
        let free = meminfo(&*demo, "MemFree:");
        // The guest follows in its own time; what it has done is what is read back.
        let reaches = |size: i64| {
            vm.binder().setMemoryBalloon(size).unwrap();
            let end = Instant::now() + PATIENCE;
            while balloon() != size {
                assert!(Instant::now() < end, "{} instead of {size}", balloon());
                std::thread::sleep(Duration::from_millis(10));
            }
        };
        reaches(TAKEN);
        let taken = free - meminfo(&*demo, "MemFree:");
        println!("balloon of {TAKEN} bytes read back; the guest has {taken} bytes less free");
        assert!(taken > TAKEN / 2, "the guest lost {taken} bytes only");
        reaches(0);
        let taken = free - meminfo(&*demo, "MemFree:");
        println!("balloon of 0 bytes read back; the guest has {taken} bytes less free");
        assert!(taken < TAKEN / 2, "the guest still lacks {taken} bytes");
        for wrong in [-1, (256 << 20) + 1, i64::MIN] {
            let part = format!("bytes {wrong}");
            let answer = vm.binder().setMemoryBalloon(wrong);
            refused(answer, ExceptionCode::IllegalArgument, &part);
        }
    });
}

#[test]
fn a_vm_without_a_balloon() {
    host::run("a_vm_without_a_balloon", |host| {
        let manager = host.early();
        let config = VirtualMachineRawConfig {
            balloon: false,
            ..config(host, &["--hang"])
        };
        let vm = create(&manager, config).unwrap();
        // Nothing that needs a guest works before there is one.
        for (call, answer) in [
            (
                "getMemoryBalloon",
                vm.binder().getActualMemoryBalloonBytes().map(drop),
            ),
            ("setMemoryBalloon", vm.binder().setMemoryBalloon(0)),
            ("suspend", vm.binder().suspend()),
            ("resume", vm.binder().resume()),
            ("stop", vm.binder().stop()),
            ("connectVsock", vm.binder().connectVsock(5678).map(drop)),
        ] {
            let words = format!("not started: {call}");
            refused(answer, ExceptionCode::ServiceSpecific, &words);
        }
        vm.start().unwrap();
        // Ports of the guest's system, and none at all.
        for port in [i32::MIN, -1, 0, 1, 21, 1023] {
            let words = format!("port {port}: it must be 1024 or more");
            let answer = vm.binder().connectVsock(port).map(drop);
            refused(answer, ExceptionCode::IllegalArgument, &words);
        }
        let none = "balloon";
        let unsupported = ExceptionCode::UnsupportedOperation;
        refused(vm.binder().getActualMemoryBalloonBytes(), unsupported, none);
        refused(vm.binder().setMemoryBalloon(0), unsupported, none);
    });
}

#[test]
fn the_state_in_each_phase() {
    host::run("the_state_in_each_phase", |host| {
        let manager = host.early();
        let vm = create(&manager, silent(host)).unwrap();
        assert_eq!(vm.state().unwrap(), State::NotStarted);
        vm.start().unwrap();
        assert_eq!(vm.state().unwrap(), State::Starting);
        vm.stop().unwrap();
        assert_eq!(vm.state().unwrap(), State::Dead);
        drop(vm);
        let vm = start(&manager, config(host, &["--hang"]));
        let end = Instant::now() + PATIENCE;
        while vm.state().unwrap() == State::Starting {
            assert!(Instant::now() < end, "{}", manager.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(vm.state().unwrap(), State::Started);
        drop(vm);
        let vm = start(&manager, config(host, &[]));
        let demo = service(&manager, &vm);
        assert_eq!(vm.state().unwrap(), State::Ready);
        let _ = demo.quit();
        assert_eq!(death(&manager, &vm), DeathReason::Shutdown);
        assert_eq!(vm.state().unwrap(), State::Dead);
    });
}

#[test]
fn a_guest_that_does_not_report_in_time() {
    host::run("a_guest_that_does_not_report_in_time", |host| {
        let manager = with_setting(host, "VIRTMGR_BOOT_TIMEOUT", "1");
        let vm = start(&manager, silent(host));
        assert_eq!(death(&manager, &vm), DeathReason::Hangup);
        expect_in_log(&manager, "its payload has not started in time");
    });
}

#[test]
fn a_memory_dump_is_kept() {
    host::run("a_memory_dump_is_kept", |host| {
        let kept = host.scratch().join("dumps");
        fs::create_dir(&kept).unwrap();
        let manager = with_setting(host, "VIRTMGR_RAMDUMP_DIR", &kept);
        let vm = start(&manager, config(host, &[]));
        let demo = service(&manager, &vm);
        // The guest's kernel sets memory aside for the kernel that would write a real one.
        let line = demo.readFile("/proc/cmdline").unwrap();
        let line = String::from_utf8(line).unwrap();
        assert!(line.contains("crashkernel=17M"), "{line}");
        demo.writeToFile("/dev/hvc1", b"dump-of-a-guest").unwrap();
        let _ = demo.quit();
        assert_eq!(death(&manager, &vm), DeathReason::Shutdown);
        let files: Vec<_> = fs::read_dir(&kept)
            .unwrap()
            .map(|f| f.unwrap().path())
            .collect();
        assert_eq!(files.len(), 1, "{}", manager.log());
        assert_eq!(fs::read_to_string(&files[0]).unwrap(), "dump-of-a-guest");
        let told = format!("memory dump of 15 bytes in {}", files[0].display());
        expect_in_log(&manager, &told);
        println!("{told}: \"dump-of-a-guest\"");
        drop(vm);
        let vm = start(&manager, config(host, &["--exit=0"]));
        assert_eq!(death(&manager, &vm), DeathReason::Shutdown);
        assert_eq!(fs::read_dir(&kept).unwrap().count(), 1);
        // A place where none could be kept is found out before there is one to lose.
        let nowhere = with_setting(host, "VIRTMGR_RAMDUMP_DIR", kept.join("no"));
        let error = format!("{:?}", create(&nowhere, config(host, &[])).unwrap_err());
        assert!(error.contains("VIRTMGR_RAMDUMP_DIR="), "{error}");
    });
}

#[test]
fn what_a_vm_used_is_told() {
    host::run("what_a_vm_used_is_told", |host| {
        let manager = host.early();
        let vm = start(&manager, config(host, &["--exit=0"]));
        assert_eq!(death(&manager, &vm), DeathReason::Shutdown);
        expect_in_log(&manager, "peak RSS ");
        let log = manager.log();
        let number = |after: &str| -> f64 {
            let rest = &log[log.find(after).unwrap_or_else(|| panic!("{log}")) + after.len()..];
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.');
            rest[..end.unwrap()].parse().unwrap()
        };
        assert!(number("guest CPU ") > 0.0, "{log}");
        assert!(number("VMM CPU ") >= number("guest CPU "), "{log}");
        // No guest boots in less, and it has 256 MiB.
        let peak = number("peak RSS ");
        assert!((32.0..1024.0).contains(&peak), "{log}");
    });
}

#[test]
fn the_name_of_the_console() {
    host::run("the_name_of_the_console", |host| {
        let early = host.early();
        let vm = create(&early, config(host, &[])).unwrap();
        refused(
            vm.binder().setHostConsoleName("/dev/pts/7"),
            ExceptionCode::UnsupportedOperation,
            "early_virtmgr doesn't support setHostConsoleName",
        );
        drop((vm, early));
        let full = host.manager("virtmgr");
        let vm = create(&full, config(host, &[])).unwrap();
        let listed = || {
            let vms = full.service().debugListVms().unwrap();
            vms.into_iter().next().unwrap().hostConsoleName
        };
        assert_eq!(listed(), None);
        vm.binder().setHostConsoleName("/dev/pts/7").unwrap();
        assert_eq!(listed().as_deref(), Some("/dev/pts/7"));
        for wrong in ["", "/dev/\x1b[2J", &"x".repeat(5000)] {
            let answer = vm.binder().setHostConsoleName(wrong);
            refused(answer, ExceptionCode::IllegalArgument, "pathname");
        }
        assert_eq!(listed().as_deref(), Some("/dev/pts/7"));
    });
}

#[test]
fn a_guest_that_waits_for_its_debugger() {
    host::run("a_guest_that_waits_for_its_debugger", |host| {
        // Free a moment ago; there is no better way to choose one.
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let manager = host.early();
        let vm = start(
            &manager,
            VirtualMachineRawConfig {
                gdbPort: port.into(),
                ..config(host, &[])
            },
        );
        assert_eq!(vm.state().unwrap(), State::Starting);
        let mut debugger = TcpStream::connect(("127.0.0.1", port)).unwrap();
        // The remote protocol: why does it stand (answered with a signal), then go on without me.
        debugger.write_all(b"+$?#3f").unwrap();
        let mut answer = [0; 5];
        debugger.read_exact(&mut answer).unwrap();
        assert_eq!(&answer[..3], b"+$T", "{answer:?}");
        assert_eq!(vm.state().unwrap(), State::Starting);
        debugger.write_all(b"+$D;1#b0").unwrap();
        drop(debugger);
        assert_eq!(service(&manager, &vm).addInteger(1, 2).unwrap(), 3);
    });
}
