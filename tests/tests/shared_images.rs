// SPDX-License-Identifier: Apache-2.0
//! One image in two VMs, and twice in one.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test panics"
)]

use avf_aidl::service::{DiskImage, Partition, VirtualMachineRawConfig};
use rsbinder::{ExceptionCode, ParcelFileDescriptor};
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use system_tests::guest::{config, create, start};
use system_tests::host::{self, Host};
use system_tests::leftovers::{Process, processes};
use system_tests::refusal::expect;

fn image(host: &Host) -> PathBuf {
    let path = host.scratch().join("shared.img");
    File::create(&path).unwrap().set_len(1 << 20).unwrap();
    path
}

fn open(path: &Path, writable: bool) -> Option<ParcelFileDescriptor> {
    let file = OpenOptions::new().read(true).write(writable).open(path);
    Some(ParcelFileDescriptor::new(file.unwrap()))
}

/// The kinds of disks that a file may be on, each a function of its path and mode.
type Kind = fn(&Path, bool) -> DiskImage;

fn whole(path: &Path, writable: bool) -> DiskImage {
    DiskImage {
        image: open(path, writable),
        writable,
        ..Default::default()
    }
}

fn partition(path: &Path, writable: bool) -> DiskImage {
    DiskImage {
        partitions: vec![Partition {
            label: "shared".into(),
            image: open(path, writable),
            writable,
            guid: None,
        }],
        ..Default::default()
    }
}

fn with(host: &Host, disks: Vec<DiskImage>) -> VirtualMachineRawConfig {
    VirtualMachineRawConfig {
        disks,
        ..config(host, &[])
    }
}

#[test]
fn an_image_has_one_writer_or_many_readers() {
    host::run("an_image_has_one_writer_or_many_readers", |host| {
        let path = image(host);
        let (one, other) = (host.manager("virtmgr"), host.manager("virtmgr"));
        let holder = format!("process {} (virtmgr) uses it", one.process_id());
        let kinds: [Kind; 2] = [whole, partition];
        for (first, second) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            for (writes_first, writes_second) in
                [(true, true), (true, false), (false, true), (false, false)]
            {
                let held =
                    create(&one, with(host, vec![kinds[first](&path, writes_first)])).unwrap();
                let wanted = with(host, vec![kinds[second](&path, writes_second)]);
                if writes_first || writes_second {
                    let purpose = if writes_second { "writing" } else { "reading" };
                    expect(
                        &other,
                        wanted,
                        ExceptionCode::ServiceSpecific,
                        &[
                            "disks[0]",
                            &format!("cannot lock '{}' for {purpose}", path.display()),
                            &holder,
                            "stop that VM, or give each VM a file of its own",
                        ],
                    );
                } else {
                    create(&other, wanted).unwrap();
                }
                drop(held);
            }
        }
        // Two VMs of one client.
        let held = create(&one, with(host, vec![whole(&path, true)])).unwrap();
        expect(
            &one,
            with(host, vec![whole(&path, true)]),
            ExceptionCode::ServiceSpecific,
            &["another VM of this client uses it"],
        );
        drop(held);
        create(&one, with(host, vec![whole(&path, true)])).unwrap();
    });
}

#[test]
fn a_lock_goes_with_the_vm_and_not_with_the_client() {
    host::run("a_lock_goes_with_the_vm_and_not_with_the_client", |host| {
        let path = image(host);
        let (one, other) = (host.manager("virtmgr"), host.manager("virtmgr"));
        let disk = whole(&path, true);
        let kept = disk.image.as_ref().unwrap().as_ref().try_clone().unwrap();
        let vm = start(
            &one,
            VirtualMachineRawConfig {
                disks: vec![disk],
                ..config(host, &["--hang"])
            },
        );
        expect(
            &other,
            with(host, vec![partition(&path, false)]),
            ExceptionCode::ServiceSpecific,
            &["for reading"],
        );
        // The manager is killed, and its VMM with it; the client lives, and so does its descriptor.
        let all = processes(&host.root);
        all.iter()
            .find(|p| p.pid.cast_unsigned() == one.process_id())
            .unwrap()
            .kill();
        all.iter()
            .filter(|p| p.pid.cast_unsigned() != other.process_id())
            .for_each(Process::wait);
        create(&other, with(host, vec![partition(&path, true)])).unwrap();
        drop(vm);
        let _ = one.end();
        // A manager's first VM also removes the directory.
        create(&host.manager("virtmgr"), config(host, &[])).unwrap();
        drop(kept);
    });
}

#[test]
fn an_image_twice_in_one_vm() {
    host::run("an_image_twice_in_one_vm", |host| {
        let path = image(host);
        let manager = host.manager("virtmgr");
        expect(
            &manager,
            with(host, vec![whole(&path, false), partition(&path, true)]),
            ExceptionCode::IllegalArgument,
            &[
                "disks[1] partition 'shared'",
                &format!("'{}' is also disks[0].image", path.display()),
                "give each a file of its own",
            ],
        );
        create(
            &manager,
            with(host, vec![whole(&path, false), partition(&path, false)]),
        )
        .unwrap();
    });
}

#[test]
fn a_guid_twice_on_a_disk() {
    host::run("a_guid_twice_on_a_disk", |host| {
        let path = image(host);
        let manager = host.manager("virtmgr");
        let mut disk = partition(&path, false);
        for guid in [
            "00000000-0000-0000-0000-000000000000",
            "0fc63daf-8483-4772-8e79-3d69d8477de4",
        ] {
            disk.partitions = ["one", "two"]
                .map(|label| Partition {
                    label: label.into(),
                    image: open(&path, false),
                    writable: false,
                    guid: Some(guid.into()),
                })
                .into();
            let disk = std::mem::take(&mut disk);
            expect(
                &manager,
                with(host, vec![disk]),
                ExceptionCode::IllegalArgument,
                &["disks[0]", guid, "give each its own"],
            );
        }
    });
}

#[test]
fn a_command_line_that_no_kernel_takes() {
    host::run("a_command_line_that_no_kernel_takes", |host| {
        let manager = host.early();
        let padded = |length: usize| {
            let mut config = config(host, &[]);
            let params = config.params.take().unwrap();
            let padding = "x".repeat(length - params.len() - 1);
            config.params = Some(format!("{params} {padding}"));
            config
        };
        expect(
            &manager,
            padded(2048),
            ExceptionCode::IllegalArgument,
            &["params: ", "has 2048 bytes", "takes 2047"],
        );
        create(&manager, padded(2047)).unwrap();
    });
}
