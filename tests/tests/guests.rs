// SPDX-License-Identifier: Apache-2.0
//! Real guests, from their start to their end.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test panics"
)]

use avf_aidl::service::{DiskImage, Partition, VirtualMachineRawConfig};
use rsbinder::ParcelFileDescriptor;
use std::io::Write;
use std::time::Duration;
use system_tests::guest::{self, PATIENCE, config, service, start};
use system_tests::host::{self, CID, Host, VM};
use system_tests::leftovers::processes;
use vmclient::{DeathReason, Event, Manager, State, VmInstance};

fn death(manager: &Manager, vm: &VmInstance) -> DeathReason {
    match vm.wait_for_death(Some(PATIENCE)) {
        Ok(Some(reason)) => reason,
        other => panic!("{other:?}\n{}", manager.log()),
    }
}

/// The demo's path on the manager `name`.
fn answer(host: &Host, name: &str) {
    let manager = host.manager(name);
    let vm = start(&manager, config(host, &[]));
    let demo = service(&manager, &vm);
    assert_eq!(vm.state().unwrap(), State::Ready);
    assert_eq!(demo.addInteger(10, 20).unwrap(), 30);
    // The payload may be gone before its answer is.
    let _ = demo.quit();
    assert_eq!(death(&manager, &vm), DeathReason::Shutdown);
    assert_eq!(vm.state().unwrap(), State::Dead);
    assert_eq!(vm.payload_exit_code(), Some(0));
    let events: Vec<_> = vm.events().into_iter().map(|timed| timed.event).collect();
    assert_eq!(
        events,
        [
            Event::PayloadStarted,
            Event::PayloadReady,
            Event::PayloadFinished(0),
            Event::Died(DeathReason::Shutdown)
        ]
    );
    // A dead VM stays dead, and says so.
    assert!(vm.start().is_err());
    assert!(vm.connect_vsock(5678).is_err());
    vm.stop().unwrap();
}

#[test]
fn the_answer_from_an_early_vm() {
    host::run("the_answer_from_an_early_vm", |host| {
        answer(host, "early_virtmgr");
    });
}

#[test]
fn the_answer_from_a_vm() {
    host::run("the_answer_from_a_vm", |host| answer(host, "virtmgr"));
}

#[test]
fn two_vms_of_one_manager() {
    host::run("two_vms_of_one_manager", |host| {
        let manager = host.manager("virtmgr");
        let vms = [(); 2].map(|()| start(&manager, config(host, &[])));
        assert_ne!(vms[0].cid(), vms[1].cid());
        assert_eq!(manager.service().debugListVms().unwrap().len(), 2);
        for vm in &vms {
            assert_eq!(service(&manager, vm).addInteger(1, 2).unwrap(), 3);
        }
        vms[0].stop().unwrap();
        assert_eq!(death(&manager, &vms[0]), DeathReason::Killed);
        assert_eq!(service(&manager, &vms[1]).addInteger(3, 4).unwrap(), 7);
    });
}

fn exits_with(host: &Host, code: i32) {
    let manager = host.early();
    let vm = start(&manager, config(host, &[&format!("--exit={code}")]));
    assert_eq!(
        death(&manager, &vm),
        DeathReason::Shutdown,
        "{}",
        manager.log()
    );
    assert_eq!(vm.payload_exit_code(), Some(code));
    let events: Vec<_> = vm.events().into_iter().map(|timed| timed.event).collect();
    assert_eq!(
        events,
        [
            Event::PayloadStarted,
            Event::PayloadFinished(code),
            Event::Died(DeathReason::Shutdown)
        ]
    );
}

#[test]
fn a_payload_that_exits_with_7() {
    host::run("a_payload_that_exits_with_7", |host| exits_with(host, 7));
}

#[test]
fn a_payload_that_exits_with_0() {
    host::run("a_payload_that_exits_with_0", |host| exits_with(host, 0));
}

#[test]
fn a_guest_that_reboots() {
    host::run("a_guest_that_reboots", |host| {
        let manager = host.early();
        let vm = start(&manager, config(host, &["--reboot"]));
        assert_eq!(
            death(&manager, &vm),
            DeathReason::Reboot,
            "{}",
            manager.log()
        );
    });
}

#[test]
fn a_guest_that_panics() {
    host::run("a_guest_that_panics", |host| {
        let manager = host.early();
        let vm = start(&manager, config(host, &["--panic"]));
        assert_eq!(
            death(&manager, &vm),
            DeathReason::Crash,
            "{}",
            manager.log()
        );
    });
}

#[test]
fn a_guest_without_its_payload() {
    host::run("a_guest_without_its_payload", |host| {
        let manager = host.early();
        let mut config = config(host, &[]);
        config.params = config
            .params
            .map(|p| p.replace("vm_demo_payload", "no_such_payload"));
        let vm = start(&manager, config);
        let reason = death(&manager, &vm);
        let log = manager.log();
        assert_eq!(reason, DeathReason::MicrodroidInvalidPayloadConfig, "{log}");
        let told = vm.guest_error().unwrap_or_default();
        assert!(told.contains("no_such_payload"), "{told:?}\n{log}");
    });
}

#[test]
fn a_guest_that_never_reports() {
    host::run("a_guest_that_never_reports", |host| {
        let manager = host.early();
        let vm = start(&manager, config(host, &["--hang"]));
        let waited = vm.wait_until_ready(Duration::from_millis(200));
        assert!(waited.is_err());
        vm.stop().unwrap();
        assert_eq!(death(&manager, &vm), DeathReason::Killed);
    });
}

#[test]
fn the_last_handle_kills_the_vm() {
    host::run("the_last_handle_kills_the_vm", |host| {
        let manager = host.early();
        let vm = start(&manager, config(host, &["--hang"]));
        let children = processes(&host.root);
        assert!(children.iter().any(|p| p.is_vmm()), "{children:?}");
        drop(vm);
        for child in children.iter().filter(|p| p.is_vmm()) {
            child.wait();
        }
        // And there is room for the next.
        let vm = guest::create(&manager, config(host, &[])).unwrap();
        assert_eq!(vm.cid(), CID);
    });
}

#[test]
fn a_vmm_that_is_killed() {
    host::run("a_vmm_that_is_killed", |host| {
        let manager = host.early();
        let vm = start(&manager, config(host, &["--hang"]));
        processes(&host.root)
            .iter()
            .filter(|p| p.is_vmm())
            .for_each(|p| p.kill());
        assert_eq!(death(&manager, &vm), DeathReason::Killed);
        assert!(!host.root.join(format!("mnt/vm/early/{CID}")).exists());
    });
}

#[test]
fn a_vsock_device_that_is_killed() {
    host::run("a_vsock_device_that_is_killed", |host| {
        let manager = host.early();
        let vm = start(&manager, config(host, &["--hang"]));
        let devices: Vec<_> = processes(&host.root)
            .into_iter()
            .filter(|p| p.command.contains("vsock-device"))
            .collect();
        if devices.is_empty() {
            skip::skip!("this host's kernel has a vsock device, so there is none to kill");
            return;
        }
        devices.iter().for_each(|p| p.kill());
        assert_eq!(death(&manager, &vm), DeathReason::Killed);
        host::expect_in_log(&manager, "its vsock device ended");
    });
}

#[test]
fn a_manager_that_is_killed() {
    host::run("a_manager_that_is_killed", |host| {
        let manager = host.early();
        let vm = start(&manager, config(host, &["--hang"]));
        let all = processes(&host.root);
        assert!(all.iter().any(|p| p.is_vmm()), "{all:?}");
        all.iter()
            .find(|p| p.pid.cast_unsigned() == manager.process_id())
            .unwrap()
            .kill();
        // The kernel ends the VMM and the device; the client is told.
        all.iter().for_each(system_tests::leftovers::Process::wait);
        let told = vm.wait_for_death(Some(PATIENCE));
        assert!(
            matches!(told, Err(vmclient::Error::ManagerLost { .. })),
            "{told:?}"
        );
        drop(vm);
        // Its directory is still there; the next manager removes it and says so.
        assert!(host.root.join(format!("mnt/vm/early/{CID}")).exists());
        let next = host.early();
        let vm = guest::create(&next, config(host, &[])).unwrap();
        host::expect_in_log(&next, "removing what a killed manager left");
        drop(vm);
    });
}

/// The client is killed from outside, at several moments.
mod killed_clients {
    use super::{Host, VM, config, guest, start};
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;
    use system_tests::host::{Dist, Outside, inner};

    fn killed(test: &str, client: impl FnOnce(&Host)) {
        if let Some(host) = inner() {
            client(&host);
            unreachable!("the client was not killed");
        }
        if let Err(reason) = Dist::find() {
            skip::skip!("{reason}");
            return;
        }
        let outside = Outside::new(test);
        let mut child = outside.client().stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let reached = lines
            .map_while(Result::ok)
            .any(|line| line.ends_with("KILL ME"));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(reached, "the client never got to where it is to be killed");
        outside.expect_nothing_left();
    }

    /// Says that it may be killed now, and waits for it.
    fn kill_me() {
        println!("\nKILL ME");
        loop {
            std::thread::park();
        }
    }

    #[test]
    fn with_a_manager() {
        killed("killed_clients::with_a_manager", |host| {
            let _manager = host.early();
            kill_me();
        });
    }

    #[test]
    fn with_a_vm_that_is_not_started() {
        killed("killed_clients::with_a_vm_that_is_not_started", |host| {
            let manager = host.early();
            let _vm = guest::create(&manager, config(host, &[])).unwrap();
            kill_me();
        });
    }

    #[test]
    fn with_a_booting_guest() {
        killed("killed_clients::with_a_booting_guest", |host| {
            let manager = host.early();
            let _vm = start(&manager, config(host, &["--hang"]));
            kill_me();
        });
    }

    #[test]
    fn with_a_ready_guest() {
        killed("killed_clients::with_a_ready_guest", |host| {
            let manager = host.early();
            let vm = start(&manager, config(host, &[]));
            let demo = guest::service(&manager, &vm);
            assert_eq!(demo.addInteger(1, 1).unwrap(), 2);
            kill_me();
        });
    }

    #[test]
    fn while_it_creates_vms() {
        killed("killed_clients::while_it_creates_vms", |host| {
            let manager = host.early();
            // Killed at any moment of many creations.
            println!("\nKILL ME");
            loop {
                let vm = guest::create(&manager, config(host, &[]));
                assert!(vm.is_ok() || format!("{vm:?}").contains(VM), "{vm:?}");
            }
        });
    }
}

#[test]
fn a_hundred_vms_that_are_never_started() {
    host::run("a_hundred_vms_that_are_never_started", |host| {
        let manager = host.manager("virtmgr");
        let pid = manager.process_id();
        let count = |what: &str| {
            std::fs::read_dir(format!("/proc/{pid}/{what}"))
                .unwrap()
                .count()
        };
        let partition = |writable: bool| {
            // A file may be written by one disk and read by no other then.
            let image = host.scratch().join(format!("image-{writable}"));
            if !image.exists() {
                std::fs::write(&image, vec![0; 8192]).unwrap();
            }
            let file = std::fs::OpenOptions::new()
                .read(true)
                .write(writable)
                .open(&image);
            Partition {
                label: format!("writable-{writable}"),
                image: Some(ParcelFileDescriptor::new(file.unwrap())),
                writable,
                ..Default::default()
            }
        };
        let make = |number: usize| {
            for _ in 0..number {
                // A disk that is served by a thread of the manager's.
                let vm = VirtualMachineRawConfig {
                    disks: vec![DiskImage {
                        partitions: vec![partition(true), partition(false)],
                        ..Default::default()
                    }],
                    ..config(host, &[])
                };
                drop(guest::create(&manager, vm).unwrap());
            }
            // A call after the releases sees what they left.
            while !manager.service().debugListVms().unwrap().is_empty() {}
        };
        make(1);
        let before = (count("fd"), count("task"));
        make(100);
        assert_eq!((count("fd"), count("task")), before);
        assert_eq!(
            std::fs::read_dir(host.root.join("run/virtmgr"))
                .unwrap()
                .count(),
            0
        );
    });
}

/// A `newc` archive with one executable file, aligned so that it can follow another archive.
fn archive(path: &str, content: &[u8]) -> Vec<u8> {
    fn entry(archive: &mut Vec<u8>, path: &str, mode: u32, content: &[u8]) {
        archive.extend(b"070701");
        let name = path.len() + 1;
        let fields = [1, mode, 0, 0, 1, 0];
        let fields = fields.map(|field: u32| format!("{field:08X}")).concat();
        archive.extend(fields.bytes());
        archive.extend(format!("{:08X}", content.len()).bytes());
        archive.extend("00000000".repeat(4).bytes());
        archive.extend(format!("{name:08X}00000000").bytes());
        archive.extend(path.bytes());
        archive.push(0);
        archive.resize(archive.len().next_multiple_of(4), 0);
        archive.extend(content);
        archive.resize(archive.len().next_multiple_of(4), 0);
    }
    let mut archive = Vec::new();
    entry(&mut archive, path, 0o100_755, content);
    entry(&mut archive, "TRAILER!!!", 0, &[]);
    archive
}

#[test]
fn a_payload_whose_loader_is_missing_is_told_so_and_not_started() {
    host::run(
        "a_payload_whose_loader_is_missing_is_told_so_and_not_started",
        |host| {
            // The shell of this machine is dynamic, and the guest has no loader.
            let mut initrd = std::fs::read(host.dist.path("guest").join("initrd.img")).unwrap();
            initrd.resize(initrd.len().next_multiple_of(4), 0);
            initrd.extend(archive("dynamic", &std::fs::read("/bin/sh").unwrap()));
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&initrd).unwrap();
            let mut config = config(host, &[]);
            config.initrd = Some(ParcelFileDescriptor::new(file));
            config.params = config
                .params
                .map(|params| params.replace("/payload/vm_demo_payload", "/dynamic"));
            let manager = host.early();
            let vm = start(&manager, config);
            assert_eq!(
                death(&manager, &vm),
                DeathReason::MicrodroidInvalidPayloadConfig
            );
            let events: Vec<_> = vm.events().into_iter().map(|timed| timed.event).collect();
            let [Event::Error { message, .. }, Event::Died(_)] = &events[..] else {
                panic!("{events:?}");
            };
            assert!(
                message.starts_with("cannot start the payload /dynamic: it needs /lib")
                    && message.ends_with("which is not in the guest; link it statically"),
                "{message}"
            );
        },
    );
}
