// SPDX-License-Identifier: Apache-2.0
//! VMs with network devices, which the global service makes.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test panics"
)]

use std::fs::{self, OpenOptions};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use system_tests::global::{Daemon, Way};
use system_tests::guest::{PATIENCE, config, service, start};
use system_tests::host;
use vmclient::{DeathReason, VmInstance};

const TUN: &str = "/dev/net/tun";

/// The host's end of a VM's network device.
fn interface(vm: &VmInstance) -> PathBuf {
    PathBuf::from(format!("/sys/class/net/avf_tap_{}", vm.cid()))
}

#[test]
fn each_vm_has_its_own_network_device() {
    if let Err(e) = OpenOptions::new().read(true).write(true).open(TUN) {
        skip::skip!("cannot open {TUN}, which makes network interfaces: {e}");
        return;
    }
    host::run("each_vm_has_its_own_network_device", |host| {
        let device = host.root.join(&TUN[1..]);
        fs::create_dir_all(device.parent().unwrap()).unwrap();
        symlink(TUN, device).unwrap();
        let daemon = Daemon::start(host, Way::Socket);
        let manager = host.manager("virtmgr");
        let vms = [(); 2].map(|()| {
            let mut wants = config(host, &[]);
            wants.networkSupported = true;
            start(&manager, wants)
        });
        assert_ne!(interface(&vms[0]), interface(&vms[1]));
        for (vm, sum) in vms.iter().zip([3, 4]) {
            assert!(interface(vm).exists(), "{}", manager.log());
            let demo = service(&manager, vm);
            assert_eq!(demo.addInteger(1, sum - 1).unwrap(), sum);
        }
        // The end of one takes nothing from the other.
        for (number, vm) in vms.iter().enumerate() {
            vm.stop().unwrap();
            match vm.wait_for_death(Some(PATIENCE)) {
                Ok(Some(DeathReason::Killed)) => {}
                other => panic!("{other:?}\n{}", manager.log()),
            }
            // Taken down by a thread that nobody waits for.
            let until = Instant::now() + PATIENCE;
            while interface(vm).exists() {
                assert!(Instant::now() < until, "{}", manager.log());
                std::thread::sleep(Duration::from_millis(10));
            }
            assert!(vms[number + 1..].iter().all(|vm| interface(vm).exists()));
        }
        drop((vms, manager));
        assert!(daemon.stop().success());
    });
}
