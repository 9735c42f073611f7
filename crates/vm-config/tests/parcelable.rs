// SPDX-License-Identifier: Apache-2.0
//! What becomes of a configuration in the parcelable, and of the files it names.
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a failed expectation is a failed test"
)]

use std::fs;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use avf_aidl::service::AssignableDeviceSelector::ByPath;
use avf_aidl::service::cpu_options::CpuTopology;
use rsbinder::ParcelFileDescriptor;
use vm_config::{Error, MAX_FILES, VmConfig};

fn content(fd: &Option<ParcelFileDescriptor>) -> String {
    let fd = fd.as_ref().expect("a file").as_fd().try_clone_to_owned();
    let mut text = String::new();
    fs::File::from(fd.unwrap())
        .read_to_string(&mut text)
        .unwrap();
    text
}

fn can_write(fd: Option<ParcelFileDescriptor>) -> bool {
    let mut file = fs::File::from(OwnedFd::from(fd.expect("a file")));
    file.write_all(b"!").is_ok()
}

fn parse(text: &str, dir: &Path) -> VmConfig {
    VmConfig::parse(text, dir).unwrap()
}

#[test]
fn every_field() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["kernel", "initrd", "root", "scratch", "super", "data"] {
        fs::write(dir.path().join(name), name).unwrap();
    }
    let text = r#"{
        "name": "everything",
        "kernel": "kernel",
        "initrd": "initrd",
        "params": "quiet",
        "disks": [
            { "image": "root" },
            { "image": "scratch", "writable": true },
            { "partitions": [
                { "label": "super", "path": "super" },
                { "label": "data", "path": "data", "writable": true,
                  "guid": "{A2037D4F-98E1-4A0C-9C2F-0F1C70A1CD3E}" }
            ], "writable": true }
        ],
        "protected": true,
        "memory_mib": 512,
        "cpu_topology": "match_host",
        "platform_version": "~1.0",
        "devices": ["/sys/a", "/sys/b"],
        "console_input_device": "ttyS0",
        "usb_config": { "controller": true }
    }"#;
    let parcelable = parse(text, dir.path()).to_parcelable().unwrap();
    assert_eq!(parcelable.name, "everything");
    assert_eq!(content(&parcelable.kernel), "kernel");
    assert_eq!(content(&parcelable.initrd), "initrd");
    assert!(parcelable.bootloader.is_none());
    assert_eq!(parcelable.params.as_deref(), Some("quiet"));
    assert!(parcelable.protectedVm);
    assert_eq!(parcelable.memoryMib, 512);
    let topology = &parcelable.cpuOptions.cpuTopology;
    assert!(matches!(topology, CpuTopology::MatchHost(true)));
    assert_eq!(parcelable.platformVersion, "~1.0");
    let [ByPath(a), ByPath(b)] = &parcelable.deviceAssignmentConfig.devices[..] else {
        panic!("{:?}", parcelable.deviceAssignmentConfig)
    };
    assert_eq!([a, b], ["/sys/a", "/sys/b"]);
    assert_eq!(parcelable.consoleInputDevice.as_deref(), Some("ttyS0"));
    assert!(parcelable.usbConfig.unwrap().controller);
    // Nothing in the file speaks of these.
    assert_eq!(parcelable.instanceId, [0; 64]);
    assert_eq!(parcelable.gdbPort, 0);
    assert!(!parcelable.networkSupported && parcelable.balloon && !parcelable.hugePages);

    assert!(!can_write(parcelable.kernel));
    assert!(!can_write(parcelable.initrd));
    let [root, scratch, parts] = <[_; 3]>::try_from(parcelable.disks).unwrap();
    assert_eq!(content(&root.image), "root");
    assert!(!root.writable && root.partitions.is_empty());
    assert!(!can_write(root.image));
    assert!(scratch.writable);
    assert!(can_write(scratch.image));
    assert!(parts.writable && parts.image.is_none());
    let [first, second] = <[_; 2]>::try_from(parts.partitions).unwrap();
    assert_eq!((first.label.as_str(), first.writable), ("super", false));
    assert_eq!(first.guid, None);
    assert_eq!(content(&first.image), "super");
    // The partition decides, not its disk.
    assert!(!can_write(first.image));
    assert_eq!((second.label.as_str(), second.writable), ("data", true));
    assert_eq!(
        second.guid.as_deref(),
        Some("a2037d4f-98e1-4a0c-9c2f-0f1c70a1cd3e")
    );
    assert!(can_write(second.image));
}

#[test]
fn defaults() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("boot"), "boot").unwrap();
    let text = r#"{ "bootloader": "boot", "platform_version": "1" }"#;
    let parcelable = parse(text, dir.path()).to_parcelable().unwrap();
    assert_eq!(content(&parcelable.bootloader), "boot");
    assert!(parcelable.kernel.is_none() && parcelable.initrd.is_none());
    assert_eq!(parcelable.memoryMib, 0);
    let topology = &parcelable.cpuOptions.cpuTopology;
    assert!(matches!(topology, CpuTopology::CpuCount(1)));
    let text = r#"{ "bootloader": "boot", "cpu_topology": "cpu_count=3" }"#;
    let counted = parse(text, dir.path()).to_parcelable().unwrap();
    let topology = &counted.cpuOptions.cpuTopology;
    assert!(matches!(topology, CpuTopology::CpuCount(3)));
    assert!(parcelable.usbConfig.is_none() && parcelable.consoleInputDevice.is_none());
    assert!(parcelable.disks.is_empty());
    assert!(parcelable.deviceAssignmentConfig.devices.is_empty());
}

#[test]
fn a_file_that_cannot_be_opened() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("k"), "k").unwrap();
    let error = parse(
        r#"{ "kernel": "k", "platform_version": "1",
             "disks": [{ "partitions": [{ "label": "data", "path": "gone", "writable": true }] }] }"#,
        dir.path(),
    )
    .to_parcelable()
    .unwrap_err();
    let message = error.to_string();
    for part in [
        "\"data\"",
        "gone",
        "for reading and writing",
        "check the path",
    ] {
        assert!(message.contains(part), "no {part:?} in: {message}");
    }
    let Error::Open { source, .. } = error else {
        panic!("{error:?}");
    };
    assert_eq!(source.kind(), std::io::ErrorKind::NotFound);

    let error = parse(r#"{ "kernel": ".", "platform_version": "1" }"#, dir.path())
        .to_parcelable()
        .unwrap_err();
    assert!(matches!(error, Error::Kind { .. }), "{error:?}");
}

/// Without waiting for somebody to open the other end.
#[test]
fn a_file_of_another_kind() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("k"), "k").unwrap();
    let fifo = dir.path().join("fifo");
    let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::from(0o600));
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, kind, mode, 0).unwrap();
    for (text, role) in [
        (r#"{ "kernel": "FILE" }"#, "the kernel"),
        (r#"{ "bootloader": "FILE" }"#, "the bootloader"),
        (r#"{ "kernel": "k", "initrd": "FILE" }"#, "the initrd"),
        (
            r#"{ "kernel": "k", "disks": [{ "image": "FILE" }] }"#,
            "the disk image",
        ),
        (
            r#"{ "kernel": "k", "disks": [{ "image": "FILE", "writable": true }] }"#,
            "the disk image",
        ),
        (
            r#"{ "kernel": "k", "disks": [{ "partitions": [{ "label": "a", "path": "FILE" }] }] }"#,
            "the image of the partition \"a\"",
        ),
    ] {
        for (file, what) in [("fifo", "a FIFO"), ("/dev/null", "a character device")] {
            let config = parse(&text.replace("FILE", file), dir.path());
            let error = config.to_parcelable().unwrap_err();
            assert!(matches!(error, Error::Kind { .. }), "{error:?}");
            let message = error.to_string();
            assert!(
                message.starts_with(role) && message.contains(what),
                "{message}"
            );
        }
    }
    // The descriptors block as those of other programs do.
    let parcelable = parse(r#"{ "kernel": "k" }"#, dir.path());
    let kernel = parcelable.to_parcelable().unwrap().kernel.unwrap();
    let flags = rustix::fs::fcntl_getfl(kernel.as_ref()).unwrap();
    assert!(!flags.contains(rustix::fs::OFlags::NONBLOCK));
}

#[test]
fn more_files_than_a_call_can_carry() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("k"), "k").unwrap();
    let config = |partitions: usize| {
        let partitions: Vec<String> = (0..partitions)
            .map(|n| format!(r#"{{ "label": "p{n}", "path": "k" }}"#))
            .collect();
        let partitions = partitions.join(",");
        parse(
            &format!(
                r#"{{ "kernel": "k", "initrd": "k", "platform_version": "1",
                      "disks": [{{ "image": "k" }}, {{ "partitions": [{partitions}] }}] }}"#
            ),
            dir.path(),
        )
    };
    config(MAX_FILES - 3).to_parcelable().unwrap();
    let error = config(MAX_FILES - 2).to_parcelable().unwrap_err();
    assert!(
        matches!(error, Error::TooManyFiles { count: 62 }),
        "{error:?}"
    );
}
