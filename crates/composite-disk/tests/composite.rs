// SPDX-License-Identifier: Apache-2.0
//! The composite disk file, read by a reader that was written from the format's description: a
//! magic, then a protobuf message, of which each field is decoded by hand.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may fail like this, also in what it calls"
)]

mod programs;

use composite_disk::{CompositeError, CompositeFile, Layout, Partition, composite};
use programs::output_of;
use proptest::prelude::*;
use std::collections::HashSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// A field of a protobuf message.
#[derive(Debug)]
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message with their numbers: a tag is a varint of number and wire type; type 0 is
/// a varint, type 2 a length and bytes. The format has no others.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Field<'_>)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (first, rest) = bytes.split_first().unwrap();
            *bytes = rest;
            value |= u64::from(first & 0x7f) << shift;
            if first & 0x80 == 0 {
                return value;
            }
        }
        panic!("a varint of more than 64 bits");
    }
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let field = match tag & 7 {
            0 => Field::Number(varint(&mut bytes)),
            2 => {
                let length = usize::try_from(varint(&mut bytes)).unwrap();
                let (content, rest) = bytes.split_at(length);
                bytes = rest;
                Field::Bytes(content)
            }
            other => panic!("wire type {other}"),
        };
        fields.push((tag >> 3, field));
    }
    fields
}

/// One of the files of a disk, as the message lists it.
#[derive(Debug, Default)]
struct Part {
    path: PathBuf,
    offset: u64,
    writable: bool,
}

/// What a composite disk file says: its parts, and the disk's length.
fn read(descriptor: &[u8]) -> (Vec<Part>, u64) {
    let message = descriptor.strip_prefix(b"composite_disk\x1d").unwrap();
    let (mut parts, mut length, mut version) = (Vec::new(), 0, 0);
    for field in fields(message) {
        match field {
            (1, Field::Number(number)) => version = number,
            (2, Field::Bytes(bytes)) => parts.push(part(bytes)),
            (3, Field::Number(number)) => length = number,
            other => panic!("unknown field {other:?}"),
        }
    }
    assert_eq!(version, 2);
    (parts, length)
}

fn part(bytes: &[u8]) -> Part {
    let mut part = Part::default();
    for field in fields(bytes) {
        match field {
            (1, Field::Bytes(path)) => part.path = std::str::from_utf8(path).unwrap().into(),
            (2, Field::Number(offset)) => part.offset = offset,
            (3, Field::Number(mode @ 0..=1)) => part.writable = mode == 1,
            // Where in its file a part begins: none of ours begins elsewhere than at 0.
            (4, Field::Number(0)) => {}
            other => panic!("unknown field {other:?}"),
        }
    }
    part
}

/// A disk on a real file system, with what its guest would see.
struct Disk {
    directory: tempfile::TempDir,
    parts: Vec<Part>,
    length: u64,
    writable: bool,
}

fn content(index: usize, size: u64) -> Vec<u8> {
    (0..size)
        .map(|at| u8::try_from((at / 7 + index as u64 * 31) % 255 + 1).unwrap())
        .collect()
}

impl Disk {
    fn new(partitions: &[Partition]) -> Self {
        let layout = Layout::new(partitions).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let place = |file| {
            let name = match file {
                CompositeFile::Header => "composite-0-header.img".to_owned(),
                CompositeFile::Footer => "composite-0-footer.img".to_owned(),
                CompositeFile::Zero => "zero.img".to_owned(),
                CompositeFile::Partition(index) => format!("partition-{index}"),
            };
            directory.path().join(name)
        };
        let disk = composite(&layout, |file| place(file).to_str().unwrap().to_owned()).unwrap();
        fs::write(place(CompositeFile::Header), &disk.header).unwrap();
        fs::write(place(CompositeFile::Footer), &disk.footer).unwrap();
        if disk.needs_zero {
            fs::write(place(CompositeFile::Zero), [0; 4096]).unwrap();
        }
        for (index, partition) in partitions.iter().enumerate() {
            let bytes = content(index, partition.size);
            fs::write(place(CompositeFile::Partition(index)), bytes).unwrap();
        }
        let (parts, length) = read(&disk.descriptor);
        Self {
            directory,
            parts,
            length,
            writable: disk.writable,
        }
    }

    /// The disk's bytes: a part goes up to where the next begins.
    fn flatten(&self) -> PathBuf {
        let flat = self.directory.path().join("flat");
        let disk = File::create(&flat).unwrap();
        disk.set_len(self.length).unwrap();
        assert_eq!(self.parts[0].offset, 0);
        let ends = self.parts.iter().skip(1).map(|part| part.offset);
        for (part, end) in self.parts.iter().zip(ends.chain([self.length])) {
            let mut bytes = vec![0; usize::try_from(end - part.offset).unwrap()];
            assert!(!bytes.is_empty(), "{part:?}");
            let file = File::open(&part.path).unwrap();
            // No part may ask for more than its file has.
            file.read_exact_at(&mut bytes, 0).unwrap();
            disk.write_all_at(&bytes, part.offset).unwrap();
        }
        flat
    }

    /// Checks the disk with other programs, and each partition's bytes and mode.
    fn check(&self, partitions: &[Partition]) {
        let flat = self.flatten();
        verify(&flat);
        let bytes = fs::read(&flat).unwrap();
        for (index, partition) in partitions.iter().enumerate() {
            let name = format!("partition-{index}");
            let part = self.parts.iter().find(|part| part.path.ends_with(&name));
            let part = part.unwrap();
            assert_eq!(part.writable, partition.writable, "{name}");
            let start = usize::try_from(part.offset).unwrap();
            let wanted = content(index, partition.size);
            assert!(bytes[start..][..wanted.len()] == wanted, "{name}");
            let padded = wanted.len().next_multiple_of(4096);
            assert!(bytes[start..][wanted.len()..padded].iter().all(|b| *b == 0));
        }
        let others = self.parts.iter().filter(|part| part.path.ends_with(".img"));
        assert!(others.into_iter().all(|part| !part.writable));
        assert_eq!(self.writable, partitions.iter().any(|part| part.writable));
        if let Some(dump) = output_of("sfdisk", &["--dump"], &[&flat]) {
            for partition in partitions {
                let name = format!("name=\"{}\"", partition.label);
                assert_eq!(dump.matches(&name).count(), 1, "{name} in {dump}");
            }
        }
    }
}

fn verify(flat: &Path) {
    if let Some(text) = output_of("sgdisk", &["--verify"], &[flat]) {
        assert!(text.contains("No problems found"), "{text}");
    }
    if let Some(text) = output_of("sfdisk", &["--verify"], &[flat]) {
        assert!(text.contains("No errors detected"), "{text}");
    }
}

fn partition(label: &str, size: u64, writable: bool) -> Partition {
    Partition {
        label: label.to_owned(),
        size,
        writable,
        guid: None,
    }
}

#[test]
fn forty_partitions_of_both_modes() {
    let partitions: Vec<_> = (0..40)
        .map(|index| {
            let writable = index % 3 == 0;
            let size = if writable {
                4096 * (index + 1)
            } else {
                1 + index * 1777
            };
            partition(&format!("partition-{index}"), size, writable)
        })
        .collect();
    Disk::new(&partitions).check(&partitions);
}

#[test]
fn a_guid_and_the_longest_label() {
    let mut first = partition("abcdefghijklmnopqrstuvwxyz0123456789", 8192, true);
    first.guid = Some(Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff));
    let partitions = [first, partition("second", 4096, false)];
    let disk = Disk::new(&partitions);
    disk.check(&partitions);
    // Nothing needed to be filled up.
    assert!(
        !disk
            .parts
            .iter()
            .any(|part| part.path.ends_with("zero.img"))
    );
    if let Some(dump) = output_of("sfdisk", &["--dump"], &[&disk.flatten()]) {
        assert!(
            dump.contains("00112233-4455-6677-8899-AABBCCDDEEFF"),
            "{dump}"
        );
    }
}

#[test]
fn a_path_that_crosvm_would_not_find_is_refused() {
    let layout = Layout::new(&[partition("a", 1, false)]).unwrap();
    let error = composite(&layout, |_| "relative".into()).unwrap_err();
    assert_eq!(error, CompositeError::Path("relative".into()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn any_sizes_and_labels(
        input in proptest::collection::vec(
            ("[a-zA-Z0-9_.-]{1,36}", 1..60_000u64, any::<bool>()), 1..12),
    ) {
        let mut labels = HashSet::new();
        let partitions: Vec<_> = input
            .iter()
            .filter(|(label, ..)| labels.insert(label))
            .map(|(label, size, writable)| {
                let size = if *writable { size.next_multiple_of(4096) } else { *size };
                partition(label, size, *writable)
            })
            .collect();
        Disk::new(&partitions).check(&partitions);
    }
}
