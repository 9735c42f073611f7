// SPDX-License-Identifier: Apache-2.0
//! Disks as guests see them, and files as hosts find them afterwards.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test panics"
)]

use avf_aidl::service::{DiskImage, Partition, VirtualMachineRawConfig};
use rsbinder::{ExceptionCode, ParcelFileDescriptor};
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;
use system_tests::guest::{PATIENCE, config, service, start};
use system_tests::host::{self, Host};
use system_tests::refusal::expect;
use vmclient::DeathReason;

/// An ext4 file system of 8 MiB with a file in it.
fn file_system(host: &Host, name: &str, content: &str) -> PathBuf {
    let tree = host.scratch().join(format!("{name}.tree"));
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("file"), content).unwrap();
    let image = host.scratch().join(name);
    File::create(&image).unwrap().set_len(8 << 20).unwrap();
    let made = Command::new("mkfs.ext4")
        .args(["-q", "-d"])
        .arg(&tree)
        .arg(&image)
        .status();
    assert!(made.expect("mkfs.ext4 (package e2fsprogs)").success());
    image
}

fn partition(label: &str, image: &Path, writable: bool) -> Partition {
    let file = OpenOptions::new()
        .read(true)
        .write(writable)
        .open(image)
        .unwrap();
    Partition {
        label: label.into(),
        image: Some(ParcelFileDescriptor::new(file)),
        writable,
        guid: None,
    }
}

/// The content of `path` in the ext4 image, read by e2fsprogs.
fn read_back(image: &Path, path: &str) -> Vec<u8> {
    let output = Command::new("debugfs")
        .args(["-R", &format!("cat {path}")])
        .arg(image)
        .output()
        .unwrap();
    assert!(output.status.success());
    output.stdout
}

fn boots_with(host: &Host, writable_first: bool, writable_second: bool) {
    let images = [
        file_system(host, "one", "content of one"),
        file_system(host, "two", "content of two"),
    ];
    let mode = |writable| if writable { "rw" } else { "ro" };
    let mut config = config(host, &[]);
    let mounts = format!(
        " avf.mount=first:/first:{} avf.mount=second:/second:{}",
        mode(writable_first),
        mode(writable_second)
    );
    config.params = config.params.map(|params| params + &mounts);
    config.disks = vec![DiskImage {
        partitions: vec![
            partition("first", &images[0], writable_first),
            partition("second", &images[1], writable_second),
        ],
        ..Default::default()
    }];
    let before = fs::read(&images[1]).unwrap();
    let manager = host.early();
    let vm = start(&manager, config);
    let demo = service(&manager, &vm);
    assert_eq!(demo.readFile("/first/file").unwrap(), b"content of one");
    assert_eq!(demo.readFile("/second/file").unwrap(), b"content of two");
    let written = demo.writeToFile("/first/new", b"written by the guest");
    assert_eq!(written.is_ok(), writable_first, "{written:?}");
    // The payload may be gone before its answer is.
    let _ = demo.quit();
    let death = vm.wait_for_death(Some(PATIENCE)).unwrap();
    assert_eq!(death, Some(DeathReason::Shutdown), "{}", manager.log());
    drop(vm);
    let _ = manager.end();
    if writable_first {
        assert_eq!(read_back(&images[0], "/new"), b"written by the guest");
    }
    if !writable_second {
        assert!(
            fs::read(&images[1]).unwrap() == before,
            "a read-only partition was changed"
        );
    }
}

#[test]
fn a_writable_and_a_read_only_partition() {
    host::run("a_writable_and_a_read_only_partition", |host| {
        boots_with(host, true, false);
    });
}

#[test]
fn two_writable_partitions() {
    host::run("two_writable_partitions", |host| {
        boots_with(host, true, true);
    });
}

#[test]
fn two_read_only_partitions() {
    host::run("two_read_only_partitions", |host| {
        boots_with(host, false, false);
    });
}

/// Makes a sparse image with Android's program.
fn sparse(image: &Path) -> PathBuf {
    let sparse = image.with_extension("sparse");
    let made = Command::new("img2simg").arg(image).arg(&sparse).status();
    assert!(
        made.expect("img2simg (package android-sdk-libsparse-utils)")
            .success()
    );
    let (folded, whole) = (fs::metadata(&sparse).unwrap(), fs::metadata(image).unwrap());
    assert!(folded.len() < whole.len(), "nothing is left out of it");
    sparse
}

#[test]
fn android_sparse_images() {
    host::run("android_sparse_images", |host| {
        let partition_image = sparse(&file_system(host, "one", "content of one"));
        // Data, a repeated word, zeros, data: what the format tells apart.
        let mut bytes = vec![7; 8192];
        bytes.extend([0; 16384]);
        bytes.extend([1, 2, 3, 4].into_iter().cycle().take(8192));
        bytes.extend((0..8192u32).map(|n| u8::try_from(n % 251).unwrap()));
        let disk = host.scratch().join("disk");
        fs::write(&disk, &bytes).unwrap();
        let disk = sparse(&disk);
        let mut config = config(host, &[]);
        config.params = config
            .params
            .map(|params| params + " avf.mount=first:/first:ro");
        config.disks = vec![
            DiskImage {
                partitions: vec![partition("first", &partition_image, false)],
                ..Default::default()
            },
            DiskImage {
                image: Some(ParcelFileDescriptor::new(File::open(&disk).unwrap())),
                ..Default::default()
            },
        ];
        let manager = host.early();
        let vm = start(&manager, config);
        let demo = service(&manager, &vm);
        assert_eq!(demo.readFile("/first/file").unwrap(), b"content of one");
        assert!(demo.readFile("/dev/vdb").unwrap() == bytes);
        // What a guest writes would have no place.
        for writable in [
            DiskImage {
                partitions: vec![partition("first", &partition_image, true)],
                ..Default::default()
            },
            DiskImage {
                image: partition("", &disk, true).image,
                writable: true,
                ..Default::default()
            },
        ] {
            let config = VirtualMachineRawConfig {
                name: host::VM.into(),
                disks: vec![writable],
                ..system_tests::guest::config(host, &[])
            };
            let full = host.manager("virtmgr");
            expect(
                &full,
                config,
                ExceptionCode::IllegalArgument,
                &["disks[0]", "simg2img"],
            );
        }
    });
}

#[test]
fn more_partitions_than_a_message_can_carry() {
    host::run("more_partitions_than_a_message_can_carry", |host| {
        let image = file_system(host, "image", "x");
        let manager = host.early();
        let config = VirtualMachineRawConfig {
            disks: vec![DiskImage {
                partitions: (0..100)
                    .map(|n| partition(&format!("part{n}"), &image, false))
                    .collect(),
                ..Default::default()
            }],
            ..config(host, &[])
        };
        let error = system_tests::guest::create(&manager, config).unwrap_err();
        let text = format!("{error}");
        assert!(text.contains("102") && text.contains("64"), "{text}");
        // The session lives on.
        assert!(manager.service().getSupportedOSList().is_ok());
    });
}
