// SPDX-License-Identifier: Apache-2.0
//! Random configs: the same again from the same seed, of all kinds.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed test panics")]

use std::collections::HashSet;
use wire_bytes::guest::{self, App, Guest};
use wire_bytes::random::{MAX_DESCRIPTORS, create_vm};
use wire_bytes::{Layout, Reader, Value, Writer};

#[test]
fn a_seed_brings_its_config_back() {
    for layout in Layout::ALL {
        let (one, again) = (create_vm(layout, 7), create_vm(layout, 7));
        assert_eq!(one.message.bytes, again.message.bytes);
        assert_ne!(one.message.bytes, create_vm(layout, 8).message.bytes);
    }
}

/// What is written is read again, and nothing else.
#[test]
fn words_are_read_back() {
    for layout in Layout::ALL {
        for seed in 0..200 {
            let made = create_vm(layout, seed);
            let words = made.message.words();
            let (config, files) = Reader::new(&words).create_vm(layout).unwrap();
            // Numbers of descriptors are those of the message.
            let again = Writer::default().create_vm(layout, &config, &files);
            assert_eq!(again.bytes, made.message.bytes);
            let numbers: Vec<_> = (0..again.descriptors.len()).collect();
            assert_eq!(again.descriptors, numbers);
            let mut longer = words.clone();
            longer.push(0);
            assert!(Reader::new(&longer).create_vm(layout).is_err());
            for end in (0..words.len()).step_by(words.len() / 8 + 1) {
                assert!(Reader::new(&words[..end]).create_vm(layout).is_err());
            }
        }
    }
}

#[test]
fn configs_are_of_all_kinds() {
    for layout in Layout::ALL {
        let raw = layout.raw_config().fields;
        let version = raw.iter().position(|field| field.name == "platformVersion");
        let (mut apps, mut unversioned, mut default) = (0, 0, 0);
        let mut set = HashSet::new();
        let (mut least, mut most) = (usize::MAX, 0);
        for seed in 0..500 {
            let made = create_vm(layout, seed);
            let count = made.message.descriptors.len();
            assert!(count <= MAX_DESCRIPTORS);
            assert_eq!(made.message.objects.len(), count);
            let length = made.message.bytes.len();
            assert_eq!(length % 4, 0);
            (least, most) = (least.min(length), most.max(length));
            let Value::Union(tag, fields) = &made.config else {
                panic!("{:?}", made.config);
            };
            let Value::Parcelable(values) = &**fields else {
                panic!("{fields:?}");
            };
            if *tag == 0 {
                apps += 1;
                continue;
            }
            let empty = Value::text("");
            unversioned += usize::from(values[version.unwrap()] == empty);
            let others = raw.iter().zip(values).filter(|(field, value)| {
                let is_set = field.default_value() != **value;
                if is_set {
                    set.insert(field.name);
                }
                is_set
            });
            default += usize::from(others.count() <= 4);
        }
        let name = layout.name();
        assert!((50..250).contains(&apps), "{name}: {apps} app configs");
        assert!(unversioned > 5, "{name}: {unversioned} without a version");
        assert!(default > 5, "{name}: {default} are nearly all defaults");
        assert_eq!(set.len(), raw.len(), "{name}: fields that are never set");
        assert!(
            least < 500 && most > 2000,
            "{name}: {least} to {most} bytes"
        );
    }
}

/// Configs read alike where the releases write the same.
#[test]
fn layouts_that_read_alike() {
    let name = |layouts: Vec<Layout>| layouts.into_iter().map(Layout::name).collect::<Vec<_>>();
    let alike = |layout: Layout, config: &Value| {
        let others = Layout::ALL.into_iter();
        name(
            others
                .filter(|other| layout.reads_alike(*other, config))
                .collect(),
        )
    };
    for layout in Layout::ALL {
        let guest = Guest {
            name: "vm",
            kernel: 0,
            initrd: 1,
            params: "quiet",
            read_only_partition: 2,
            writable_partition: 3,
            disk: 4,
        };
        // Each release's raw config is its own.
        let raw = guest::raw_config(layout, &guest);
        assert_eq!(alike(layout, &raw), [layout.name()]);
        let app = App {
            name: "vm",
            apk: 0,
            idsig: 1,
            instance: 2,
            binary: "b",
        };
        // The main branch left app configs as they were.
        let expected = match layout {
            Layout::A16Hs | Layout::A16Main => vec!["16+hs", "16-main"],
            _ => vec![layout.name()],
        };
        let mut app = guest::app_config(layout, &app);
        assert_eq!(alike(layout, &app), expected);
        // Without a custom config 15 and 15 QPR1 are the same.
        let Value::Union(_, fields) = &mut app else {
            panic!("{app:?}");
        };
        let Value::Parcelable(values) = &mut **fields else {
            panic!("{fields:?}");
        };
        let fields = layout.app_config().fields;
        let custom = fields.iter().position(|field| field.name == "customConfig");
        values[custom.unwrap()] = Value::Null;
        let expected = match layout {
            Layout::A15 | Layout::A15Qpr1 => vec!["15", "15-qpr1"],
            _ => expected,
        };
        assert_eq!(alike(layout, &app), expected);
        // Layouts that read alike have the same bytes.
        let files = vec![Value::Null; layout.files()];
        let bytes = |layout| Writer::default().create_vm(layout, &app, &files).bytes;
        for other in Layout::ALL {
            if layout.reads_alike(other, &app) {
                assert_eq!(bytes(layout), bytes(other));
            }
        }
    }
}
