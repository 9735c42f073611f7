// SPDX-License-Identifier: Apache-2.0
//! The flattened disk as `sgdisk` and `sfdisk` see it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may fail like this, also in what it calls"
)]

mod programs;

use std::collections::HashSet;
use std::io::Write as _;

use composite_disk::{Component, Layout, LayoutError, Partition, Source};
use programs::output_of;
use proptest::prelude::*;
use uuid::Uuid;

fn partition(label: &str, size: u64, writable: bool) -> Partition {
    Partition {
        label: label.to_owned(),
        size,
        writable,
        guid: None,
    }
}

/// The byte at `offset` of the file of partition `index`; never zero.
fn pattern(index: usize, offset: u64) -> u8 {
    u8::try_from((offset / 7 + index as u64 * 31) % 255 + 1).unwrap()
}

fn bytes_of(component: &Component) -> Vec<u8> {
    match &component.source {
        Source::Header(bytes) | Source::Footer(bytes) => bytes.clone(),
        Source::Partition(index) => (0..component.length)
            .map(|at| pattern(*index, at))
            .collect(),
        Source::Zero => vec![0; usize::try_from(component.length).unwrap()],
    }
}

/// Writes the disk that the components describe, and checks that they touch without a gap.
fn flatten(layout: &Layout) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let mut end = 0;
    for component in &layout.components {
        assert_eq!(component.offset, end, "{component:?}");
        let bytes = bytes_of(component);
        assert_eq!(bytes.len() as u64, component.length, "{component:?}");
        assert!(component.length > 0, "{component:?}");
        file.write_all(&bytes).unwrap();
        end += component.length;
    }
    assert_eq!(end, layout.size);
    file
}

/// A `name="value"` or `name=value` of a line of `sfdisk --dump`.
fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let start = line.find(&format!("{name}="))? + name.len() + 1;
    let rest = line[start..].trim_start();
    match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => rest.split(',').next().map(str::trim),
    }
}

/// Checks the disk with both programs. The labels must be plain ASCII.
fn check(partitions: &[Partition]) {
    let disk_guid = Uuid::new_v4();
    let layout = Layout::with_disk_guid(partitions, disk_guid).unwrap();
    let disk = flatten(&layout);

    if let Some(text) = output_of("sgdisk", &["--verify"], &[disk.path()]) {
        assert!(text.contains("No problems found"), "{text}");
    }
    if let Some(text) = output_of("sfdisk", &["--verify"], &[disk.path()]) {
        assert!(text.contains("No errors detected"), "{text}");
    }
    let Some(dump) = output_of("sfdisk", &["--dump"], &[disk.path()]) else {
        return;
    };
    let value = |name: &str| {
        let line = dump.lines().find(|line| line.starts_with(name)).unwrap();
        line.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(value("label:"), "gpt");
    assert_eq!(value("first-lba:"), "40");
    assert_eq!(value("last-lba:"), (layout.size / 512 - 34).to_string());
    assert_eq!(value("label-id:"), disk_guid.to_string().to_uppercase());

    let lines: Vec<&str> = dump
        .lines()
        .filter(|line| line.contains("start="))
        .collect();
    assert_eq!(lines.len(), partitions.len());
    let mut start = 40;
    for (line, partition) in lines.iter().zip(partitions) {
        let sectors = partition.size.div_ceil(4096) * 8;
        assert_eq!(field(line, "start").unwrap(), start.to_string(), "{line}");
        assert_eq!(field(line, "size").unwrap(), sectors.to_string(), "{line}");
        assert_eq!(
            field(line, "type").unwrap(),
            "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
        );
        assert_eq!(field(line, "name").unwrap(), partition.label, "{line}");
        if let Some(guid) = partition.guid {
            assert_eq!(
                field(line, "uuid").unwrap(),
                guid.to_string().to_uppercase()
            );
        }
        start += sectors;
    }
    let guids: HashSet<_> = lines
        .iter()
        .map(|line| field(line, "uuid").unwrap())
        .collect();
    assert_eq!(guids.len(), partitions.len());
}

#[test]
fn every_number_of_partitions() {
    for count in [1, 2, 3, 8, 64, 127, 128] {
        let partitions: Vec<_> = (0..count)
            .map(|index| partition(&format!("partition-{index}"), 1 + index * 700, false))
            .collect();
        check(&partitions);
    }
}

#[test]
fn given_guids_and_longest_label() {
    let mut system = partition("abcdefghijklmnopqrstuvwxyz0123456789", 8192, true);
    system.guid = Some(Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff));
    check(&[partition("first", 512, false), system]);
}

/// `sfdisk` finds the same partitions in the backup table when the primary one is gone.
#[test]
fn backup_table_says_the_same() {
    let layout = Layout::new(&[partition("a", 5000, false), partition("b", 4096, true)]).unwrap();
    let disk = flatten(&layout);
    let Some(before) = output_of("sfdisk", &["--dump"], &[disk.path()]) else {
        return;
    };
    let mut broken = std::fs::read(disk.path()).unwrap();
    broken[512..0x4400].fill(0);
    std::fs::write(disk.path(), &broken).unwrap();
    let after = output_of("sfdisk", &["--dump"], &[disk.path()]).unwrap();
    assert!(
        after.contains("primary GPT table is corrupt, but the backup appears OK"),
        "{after}"
    );
    assert!(after.contains(&before), "{after}");
}

#[test]
fn each_rule_has_its_error() {
    let many: Vec<_> = (0..129)
        .map(|index| partition(&index.to_string(), 1, false))
        .collect();
    let error = |partitions: &[Partition]| Layout::new(partitions).unwrap_err();
    assert_eq!(error(&[]), LayoutError::NoPartitions);
    assert_eq!(error(&many), LayoutError::TooManyPartitions(129));
    assert_eq!(
        error(&[partition("", 1, false)]),
        LayoutError::EmptyLabel { index: 0 }
    );
    // A character outside the basic plane takes two units.
    let label = "𝄞".repeat(18) + "x";
    assert_eq!(
        error(&[partition(&label, 1, false)]),
        LayoutError::LongLabel { label, units: 37 }
    );
    assert_eq!(
        error(&[partition("a\0b", 1, false)]),
        LayoutError::NulInLabel("a\0b".into())
    );
    assert_eq!(
        error(&[partition("a", 1, false), partition("a", 4096, true)]),
        LayoutError::DuplicateLabel("a".into())
    );
    for guid in [Uuid::nil(), Uuid::from_u128(7)] {
        let with_guid = |label| Partition {
            guid: Some(guid),
            ..partition(label, 4096, false)
        };
        assert_eq!(
            error(&[with_guid("a"), partition("b", 1, false), with_guid("c")]),
            LayoutError::DuplicateGuid {
                first: "a".into(),
                second: "c".into(),
                guid,
            }
        );
    }
    assert_eq!(
        error(&[partition("a", 0, false)]),
        LayoutError::ZeroSize("a".into())
    );
    assert_eq!(
        error(&[partition("a", 4097, true)]),
        LayoutError::UnalignedWritable {
            label: "a".into(),
            size: 4097
        }
    );
    assert_eq!(
        error(&[partition("a", u64::MAX, false)]),
        LayoutError::TooLarge("a".into())
    );
    let half = u64::try_from(i64::MAX).unwrap() / 2 + 1;
    assert_eq!(
        error(&[partition("a", half, false), partition("b", half, false)]),
        LayoutError::TooLarge("b".into())
    );
}

fn any_partition() -> impl Strategy<Value = (String, u64, bool, Option<u128>)> {
    // The characters that `sfdisk --dump` writes as they are.
    let label = "[a-zA-Z0-9_. -]{0,35}[a-zA-Z0-9_.-]";
    let guid = proptest::option::of(1..=u128::MAX);
    (label, 1..100_000u64, any::<bool>(), guid)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_sizes_and_labels(input in proptest::collection::vec(any_partition(), 1..20)) {
        let mut labels = HashSet::new();
        let mut guids = HashSet::new();
        let partitions: Vec<_> = input
            .into_iter()
            .filter(|(label, _, _, guid)| {
                labels.insert(label.clone()) && guid.is_none_or(|guid| guids.insert(guid))
            })
            .map(|(label, size, writable, guid)| Partition {
                label,
                size: if writable { size.next_multiple_of(4096) } else { size },
                writable,
                guid: guid.map(Uuid::from_u128),
            })
            .collect();
        check(&partitions);
    }

    /// Whatever comes in, there is either an error or a disk without gaps.
    #[test]
    fn hostile_input_is_an_error_or_a_disk(
        input in proptest::collection::vec((".{0,40}", any::<u64>(), any::<bool>()), 0..5),
    ) {
        let partitions: Vec<_> =
            input.iter().map(|(label, size, writable)| partition(label, *size, *writable)).collect();
        if let Ok(layout) = Layout::new(&partitions) {
            let mut end = 0;
            for component in &layout.components {
                prop_assert_eq!(component.offset, end);
                end += component.length;
            }
            prop_assert_eq!(end, layout.size);
            prop_assert!(i64::try_from(end).is_ok());
        }
    }
}
