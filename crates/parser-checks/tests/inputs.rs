// SPDX-License-Identifier: Apache-2.0
//! Every check over its seeds, over what once broke a parser, and over changed seeds.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed test panics; so does a broken rule"
)]

use parser_checks::TARGETS;
use proptest::prelude::*;
use std::fs;
use std::path::Path;

const REGRESSIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/regressions");

#[test]
fn seeds_hold() {
    for target in TARGETS {
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{}", target.name);
        for seed in seeds {
            (target.check)(&seed);
            // Cut off anywhere, and nothing at all.
            for end in (0..seed.len()).step_by(seed.len() / 64 + 1) {
                (target.check)(&seed[..end]);
            }
        }
    }
}

/// `regressions/CHECK/NAME` has an input on which the check once failed.
#[test]
fn what_was_mended_stays_so() {
    for target in TARGETS {
        let dir = Path::new(REGRESSIONS).join(target.name);
        let Ok(files) = fs::read_dir(&dir) else {
            continue;
        };
        for file in files {
            let path = file.unwrap().path();
            println!("{}", path.display());
            (target.check)(&fs::read(path).unwrap());
        }
    }
    for entry in fs::read_dir(REGRESSIONS).into_iter().flatten() {
        let name = entry.unwrap().file_name();
        let known = parser_checks::target(name.to_str().unwrap()).is_some();
        assert!(known, "regressions for {name:?}, which is not a check");
    }
}

/// A change of an input.
#[derive(Debug, Clone)]
enum Change {
    /// This byte is another.
    Byte(prop::sample::Index, u8),
    /// These bytes are a number at which lengths and counts break.
    Number(prop::sample::Index, u64, usize),
    /// So many bytes are missing.
    Remove(prop::sample::Index, usize),
    /// So many bytes are there once more, elsewhere.
    Copy(prop::sample::Index, prop::sample::Index, usize),
    /// These bytes are new.
    Insert(prop::sample::Index, Vec<u8>),
    /// The end is missing.
    Cut(prop::sample::Index),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<prop::sample::Index>;
    let number = prop::sample::select(vec![
        0,
        1,
        0x7f,
        0xff,
        0x7fff,
        0xffff,
        0x1000,
        0x7fff_ffff,
        0xffff_ffff,
        i64::MAX.cast_unsigned(),
        u64::MAX,
        u64::MAX - 7,
    ]);
    prop_oneof![
        4 => (at(), any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
        4 => (at(), number, prop::sample::select(vec![1, 2, 4, 8]))
            .prop_map(|(at, number, size)| Change::Number(at, number, size)),
        1 => (at(), 1..64usize).prop_map(|(at, count)| Change::Remove(at, count)),
        1 => (at(), at(), 1..64usize).prop_map(|(from, to, count)| Change::Copy(from, to, count)),
        1 => (at(), prop::collection::vec(any::<u8>(), 1..20))
            .prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        1 => at().prop_map(Change::Cut),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    if bytes.is_empty() {
        return;
    }
    let length = bytes.len();
    match change {
        Change::Byte(at, byte) => bytes[at.index(length)] = *byte,
        Change::Number(at, number, size) => {
            let at = at.index(length);
            let end = (at + size).min(length);
            // Both byte orders occur in the formats.
            let is_little = number.count_ones() % 2 == 0;
            let little = number.to_le_bytes();
            for (index, place) in bytes[at..end].iter_mut().enumerate() {
                *place = little[if is_little { index } else { size - 1 - index }];
            }
        }
        Change::Remove(at, count) => {
            let at = at.index(length);
            bytes.drain(at..(at + count).min(length));
        }
        Change::Copy(from, to, count) => {
            let from = from.index(length);
            let piece = bytes[from..(from + count).min(length)].to_vec();
            let to = to.index(length);
            bytes.splice(to..to, piece);
        }
        Change::Insert(at, new) => {
            let at = at.index(length);
            bytes.splice(at..at, new.iter().copied());
        }
        Change::Cut(at) => bytes.truncate(at.index(length)),
    }
}

macro_rules! changed_seeds {
    ($($name:ident),* $(,)?) => {
        proptest! {
            #![proptest_config(ProptestConfig {
                cases: 512,
                failure_persistence: None,
                ..ProptestConfig::default()
            })]
            $(#[test]
            fn $name(
                seed in any::<prop::sample::Index>(),
                changes in prop::collection::vec(change(), 1..6),
            ) {
                let target = parser_checks::target(stringify!($name)).unwrap();
                let seeds = (target.seeds)();
                let mut bytes = seeds[seed.index(seeds.len())].clone();
                for change in &changes {
                    apply(&mut bytes, change);
                }
                (target.check)(&bytes);
            })*
        }

        #[test]
        fn every_check_is_run_over_changed_seeds() {
            let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

changed_seeds! {
    apex_list,
    archive,
    connect_line,
    create_vm,
    debug_policy,
    early_vms,
    failure_text,
    idsig,
    layout,
    metadata,
    nbd,
    payload_config,
    service_call,
    signing_block,
    sparse,
    vbmeta,
    virtqueue,
    vm_config,
    xml_list,
}
