// SPDX-License-Identifier: Apache-2.0
//! Signals that end a manager: its VMs end, their directories go, the exit status says so.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test panics"
)]

use rustix::process::{Pid, Signal, kill_process};
use std::process::{Command, Stdio};
use system_tests::guest::{config, create, start};
use system_tests::host::{self, Dist, Host};
use system_tests::leftovers::processes;
use system_tests::refusal::no_directories;
use vmclient::{Manager, ManagerOptions, Stderr};

fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

fn pid(manager: &Manager) -> i32 {
    i32::try_from(manager.process_id()).unwrap()
}

/// Waits until the manager is gone, and checks that its `vms` ended in order and nothing is left.
/// Whether a client still hears of their deaths is not certain: its session ends, too.
fn expect_end(host: &Host, manager: Manager, vms: usize, status: i32) {
    let ended = manager.end();
    let code = ended.status.and_then(|status| status.code());
    assert_eq!(code, Some(status), "{}", ended.log);
    assert_eq!(
        ended.log.matches("died: Killed").count(),
        vms,
        "{}",
        ended.log
    );
    no_directories(&host.root);
    let left = processes(&host.root);
    assert!(left.is_empty(), "{left:?}");
}

/// A manager for which no signal is ignored, however the tests were started: under `nohup` or in the
/// background of a script, some would be.
fn manager(host: &Host, name: &str) -> Manager {
    let options = ManagerOptions::new(host.dist.path(name))
        .env("VIRTMGR_LOG", "debug")
        .wrapper(["env", "--default-signal=HUP,INT,TERM"].map(str::to_owned))
        .stderr(Stderr::Keep);
    Manager::start(&options).unwrap()
}

fn ends_in_order(host: &Host, name: &str, by: Signal, status: i32) {
    let manager = manager(host, name);
    let vm = start(&manager, config(host, &[]));
    signal(pid(&manager), by);
    expect_end(host, manager, 1, status);
    drop(vm);
}

#[test]
fn sigterm_ends_an_early_manager_in_order() {
    host::run("sigterm_ends_an_early_manager_in_order", |host| {
        ends_in_order(host, "early_virtmgr", Signal::TERM, 143);
    });
}

#[test]
fn sigint_ends_a_manager_in_order() {
    host::run("sigint_ends_a_manager_in_order", |host| {
        ends_in_order(host, "virtmgr", Signal::INT, 130);
    });
}

#[test]
fn sighup_ends_a_manager_in_order() {
    host::run("sighup_ends_a_manager_in_order", |host| {
        ends_in_order(host, "virtmgr", Signal::HUP, 129);
    });
}

/// As a service manager ends a unit: every process of it at once, in no order.
#[test]
fn a_signal_to_every_process_leaves_nothing() {
    host::run("a_signal_to_every_process_leaves_nothing", |host| {
        let manager = manager(host, "virtmgr");
        let vms = [(); 2].map(|()| start(&manager, config(host, &[])));
        // One that is created and not started has a directory, too.
        let unstarted = create(&manager, config(host, &[])).unwrap();
        let all = processes(&host.root);
        // The manager and two VMMs, at least; a device each where the kernel has none.
        assert!(all.len() >= 3, "{all:?}");
        for process in &all {
            signal(process.pid, Signal::TERM);
        }
        for process in &all {
            process.wait();
        }
        let log = manager.log();
        assert!(!log.contains("vsock device ended"), "{log}");
        drop(unstarted);
        expect_end(host, manager, vms.len(), 143);
    });
}

/// Under `nohup` a hang-up ends nothing; the other signals still do.
#[test]
fn a_signal_that_was_ignored_stays_ignored() {
    host::run("a_signal_that_was_ignored_stays_ignored", |host| {
        let options = ManagerOptions::new(host.dist.path("virtmgr"))
            .env("VIRTMGR_LOG", "debug")
            .wrapper(["nohup"].map(str::to_owned))
            .stderr(Stderr::Keep);
        let manager = Manager::start(&options).unwrap();
        let vm = start(&manager, config(host, &[]));
        for process in processes(&host.root) {
            signal(process.pid, Signal::HUP);
        }
        // The manager and its VM still answer.
        assert!(vm.state().is_ok());
        let other = create(&manager, config(host, &[])).unwrap();
        drop(other);
        signal(pid(&manager), Signal::TERM);
        expect_end(host, manager, 1, 143);
    });
}

/// Nobody reads, or there is no room: the program says so and does not panic.
#[test]
fn a_closed_or_full_output_is_no_panic() {
    let dist = match Dist::find() {
        Ok(dist) => dist,
        Err(reason) => {
            skip::skip!("{reason}");
            return;
        }
    };
    for name in ["virtmgr", "early_virtmgr"] {
        for option in ["--help", "--version"] {
            let run = |script: &str| {
                let output = Command::new("sh")
                    .args(["-c", script, "sh"])
                    .arg(dist.path(name))
                    .arg(option)
                    .stdin(Stdio::null())
                    .output()
                    .unwrap();
                let said = String::from_utf8(output.stderr).unwrap();
                assert!(!said.contains("panicked"), "{script}: {said}");
                (output.status.code(), said)
            };
            let (status, said) = run(r#"exec "$1" "$2" >/dev/full"#);
            assert_eq!(status, Some(1), "{said}");
            assert!(
                said.contains("cannot write to standard output: No space left"),
                "{said}"
            );
            let (status, said) = run(r#""$1" "$2" | true; exec "$1" "$2" >&-"#);
            assert!(matches!(status, Some(0 | 1)), "{status:?} {said}");
            // Neither may standard error be missing.
            let (status, _) = run(r#"exec "$1" --frobnicate 2>/dev/full"#);
            assert_eq!(status, Some(1));
        }
    }
}
