// SPDX-License-Identifier: Apache-2.0
//! A guest that writes to a disk whose file system is full on the host.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test panics"
)]

use avf_aidl::service::{DiskImage, Partition};
use rsbinder::ParcelFileDescriptor;
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;
use system_tests::guest::{PATIENCE, config, service, start};
use system_tests::host::{self, Host, expect_in_log};
use vmclient::DeathReason;

/// Bytes of the disk.
const DISK: u64 = 16 << 20;
/// Bytes of each file that the guest writes, and how many there are: more than fits at first.
const FILE: usize = 64 << 10;
const FILES: u8 = 80;

/// A small file system in memory.
struct Small(PathBuf);

impl Small {
    /// `None` where this process may not mount.
    fn mount(host: &Host) -> Option<Self> {
        let path = host.scratch().join("small");
        fs::create_dir(&path).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=3M", "tmpfs"])
            .arg(&path)
            .output();
        mounted
            .is_ok_and(|o| o.status.success())
            .then_some(Self(path))
    }

    fn grow(&self) {
        let grown = Command::new("mount")
            .args(["-o", "remount,size=64M"])
            .arg(&self.0)
            .status();
        assert!(grown.unwrap().success());
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// A sparse ext4 image.
fn file_system(image: &Path) {
    File::create(image).unwrap().set_len(DISK).unwrap();
    let made = Command::new("mkfs.ext4")
        .args(["-q", "-O", "^has_journal", "-E", "lazy_itable_init=0"])
        .arg(image)
        .status();
    assert!(made.expect("mkfs.ext4 (package e2fsprogs)").success());
}

/// The content of a file in the image, read by e2fsprogs.
fn read_back(image: &Path, number: u8) -> Vec<u8> {
    let output = Command::new("debugfs")
        .args(["-R", &format!("cat /{number}")])
        .arg(image)
        .output()
        .unwrap();
    assert!(output.status.success());
    output.stdout
}

fn partition(label: &str, image: &Path, writable: bool) -> Partition {
    let file = OpenOptions::new().read(true).write(writable).open(image);
    Partition {
        label: label.into(),
        image: Some(ParcelFileDescriptor::new(file.unwrap())),
        writable,
        guid: None,
    }
}

/// Fills the disk, makes room and resumes; `mixed` has a thread of the manager serve the disk.
fn fills(host: &Host, mixed: bool) {
    if std::env::var_os("VIRTMGR_VMM").is_some_and(|v| v.to_string_lossy().contains("crosvm")) {
        skip::skip!("crosvm reports a full file system to the guest");
        return;
    }
    let Some(small) = Small::mount(host) else {
        skip::skip!("no right to mount a file system");
        return;
    };
    let image = small.0.join("disk.img");
    file_system(&image);
    let mut config = config(host, &[]);
    config.params = config
        .params
        .map(|params| params + " avf.mount=data:/data:rw");
    let mut partitions = vec![partition("data", &image, true)];
    if mixed {
        let other = host.scratch().join("other.img");
        File::create(&other).unwrap().set_len(1 << 20).unwrap();
        partitions.push(partition("other", &other, false));
    }
    config.disks = vec![DiskImage {
        partitions,
        ..Default::default()
    }];
    let manager = host.early();
    let vm = start(&manager, config);
    let demo = service(&manager, &vm);
    let content: Vec<u8> = (0..FILE).map(|n| (n % 251).to_le_bytes()[0]).collect();
    let writer = {
        let content = content.clone();
        std::thread::spawn(move || {
            for number in 0..FILES {
                demo.writeToFile(&format!("/data/{number}"), &content)
                    .unwrap();
            }
            demo
        })
    };
    expect_in_log(&manager, "cannot write disks[0]: No space left on device");
    expect_in_log(
        &manager,
        "the guest is paused: make room for the disk's file",
    );
    assert!(!writer.is_finished(), "{}", manager.log());
    small.grow();
    vm.binder().resume().unwrap();
    let demo = writer.join().unwrap();
    // The payload may be gone before its answer is.
    let _ = demo.quit();
    let death = vm.wait_for_death(Some(PATIENCE)).unwrap();
    assert_eq!(death, Some(DeathReason::Shutdown), "{}", manager.log());
    drop((demo, vm));
    let _ = manager.end();
    // No write is lost.
    for number in 0..FILES {
        assert!(
            read_back(&image, number) == content,
            "/data/{number} differs"
        );
    }
}

#[test]
fn a_full_disk_of_writable_partitions() {
    host::run("a_full_disk_of_writable_partitions", |host| {
        fills(host, false);
    });
}

#[test]
fn a_full_disk_of_mixed_partitions() {
    host::run("a_full_disk_of_mixed_partitions", |host| fills(host, true));
}
