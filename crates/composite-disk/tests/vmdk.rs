// SPDX-License-Identifier: Apache-2.0
//! QEMU's reading of the VMDK descriptor.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may fail like this, also in what it calls"
)]

use std::fs;
use std::path::Path;
use std::process::Command;

use composite_disk::{Layout, Partition, Source, Vmdk, VmdkError, VmdkFile, vmdk};

fn partition(label: &str, size: u64, writable: bool) -> Partition {
    Partition {
        label: label.to_owned(),
        size,
        writable,
        guid: None,
    }
}

/// Runs a program of qemu-utils; `None` where it is not installed.
fn qemu(program: &str, arguments: &[&str]) -> Option<String> {
    match Command::new(program).args(arguments).output() {
        Ok(output) => {
            let text =
                String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{program} {arguments:?}: {text}");
            Some(text.into_owned())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            skip::skip!("no {program} here");
            None
        }
        Err(error) => panic!("{program}: {error}"),
    }
}

/// Files of the given sizes, their layout, and the descriptor's path.
fn disk(directory: &Path, partitions: &[Partition]) -> (Layout, String, Vec<Vec<u8>>) {
    let path = |name: &str| directory.join(name).to_str().unwrap().to_owned();
    let layout = Layout::new(partitions).unwrap();
    let file = |file| match file {
        VmdkFile::Header => path("header"),
        VmdkFile::Footer => path("footer"),
        VmdkFile::Partition(index) => path(&index.to_string()),
    };
    let Vmdk {
        descriptor,
        header,
        footer,
        writable,
    } = vmdk(&layout, file).unwrap();
    assert_eq!(writable, partitions[0].writable);
    let mut files = Vec::new();
    for (index, partition) in partitions.iter().enumerate() {
        let bytes: Vec<u8> = (0..partition.size)
            .map(|at| u8::try_from((at / 3 + index as u64 * 17) % 255 + 1).unwrap())
            .collect();
        fs::write(path(&index.to_string()), &bytes).unwrap();
        files.push(bytes);
    }
    fs::write(path("header"), header).unwrap();
    fs::write(path("footer"), footer).unwrap();
    fs::write(path("disk.vmdk"), descriptor).unwrap();
    (layout, path("disk.vmdk"), files)
}

#[test]
fn qemu_reads_every_byte() {
    let directory = tempfile::tempdir().unwrap();
    // Lengths around a sector and around the alignment.
    let sizes = [
        1, 511, 512, 513, 1000, 3583, 3584, 3585, 4095, 4096, 4097, 70_000,
    ];
    let partitions: Vec<_> = sizes
        .iter()
        .map(|size| partition(&format!("p{size}"), *size, false))
        .collect();
    let (layout, descriptor, files) = disk(directory.path(), &partitions);
    let raw = directory.path().join("raw");
    if qemu(
        "qemu-img",
        &[
            "convert",
            "-f",
            "vmdk",
            "-O",
            "raw",
            &descriptor,
            raw.to_str().unwrap(),
        ],
    )
    .is_none()
    {
        return;
    }
    let mut expected = Vec::new();
    for component in &layout.components {
        match &component.source {
            Source::Header(bytes) | Source::Footer(bytes) => expected.extend(bytes),
            Source::Partition(index) => expected.extend(&files[*index]),
            Source::Zero => expected.resize(
                usize::try_from(component.offset + component.length).unwrap(),
                0,
            ),
        }
    }
    assert!(fs::read(raw).unwrap() == expected);
}

#[test]
fn qemu_reads_and_writes_128_partitions() {
    let directory = tempfile::tempdir().unwrap();
    let partitions: Vec<_> = (0..128)
        .map(|index| partition(&format!("p{index}"), 8192, true))
        .collect();
    let (layout, descriptor, mut files) = disk(directory.path(), &partitions);
    let at = layout.components[100].offset + 4096;
    assert_eq!(layout.components[100].source, Source::Partition(99));
    // Over the end of a partition and into the next.
    let write = format!("write -P 0xee {at} 8192");
    if qemu(
        "qemu-io",
        &["-f", "vmdk", "-c", &write, "-c", "flush", &descriptor],
    )
    .is_none()
    {
        return;
    }
    files[99][4096..].fill(0xee);
    files[100][..4096].fill(0xee);
    for (index, bytes) in files.iter().enumerate() {
        assert!(
            &fs::read(directory.path().join(index.to_string())).unwrap() == bytes,
            "{index}"
        );
    }
    let info = qemu(
        "qemu-img",
        &["info", "-f", "vmdk", "--output=json", &descriptor],
    )
    .unwrap();
    assert!(
        info.contains(&format!("\"virtual-size\": {}", layout.size)),
        "{info}"
    );
}

#[test]
fn what_a_descriptor_cannot_say_is_an_error() {
    let mixed = Layout::new(&[partition("a", 1, false), partition("b", 4096, true)]).unwrap();
    assert_eq!(
        vmdk(&mixed, |_| "/p".into()).unwrap_err(),
        VmdkError::MixedAccess
    );
    let layout = Layout::new(&[partition("a", 1, false)]).unwrap();
    for path in [
        "relative",
        "/quo\"te",
        "/line\nbreak",
        &format!("/{}", "x".repeat(511)),
    ] {
        let error = vmdk(&layout, |_| path.to_owned()).unwrap_err();
        assert_eq!(error, VmdkError::Path(path.to_owned()));
    }
}
