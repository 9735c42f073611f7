// SPDX-License-Identifier: Apache-2.0
//! Arguments of `createVm` that are changed anywhere: they are refused, or they are a right config of
//! what they are recognised as. A second reader, which shares no code with the first, decides.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test panics"
)]

use avf_wire::checks::read;
use avf_wire::{Release, recognise};
use fastrand::Rng;
use wire_bytes::guest::{App, Guest, app_config, raw_config};
use wire_bytes::schema::Type;
use wire_bytes::writer::Insertion;
use wire_bytes::{Layout, Message, Reader, Value, Writer};

/// What became of the changed arguments.
#[derive(Debug, Default)]
struct Tally {
    refused: u64,
    ambiguous: u64,
    accepted: u64,
}

impl Tally {
    fn check(&mut self, words: &[i32], what: &dyn Fn() -> String) {
        let unsigned: Vec<u32> = words.iter().map(|word| word.cast_unsigned()).collect();
        let mut fitting = Vec::new();
        for (layout, release) in Layout::ALL.into_iter().zip(Release::ALL) {
            let ours = read(&unsigned, release).unwrap();
            let theirs = Reader::new(words).create_vm(layout);
            match (ours, theirs) {
                (Ok(_), Ok((config, files))) => {
                    fitting.push(release);
                    // A config has one form only.
                    let again = Writer::default().create_vm(layout, &config, &files);
                    assert_eq!(again.words(), words, "{}", what());
                }
                (Err(stop), Err(_)) => {
                    assert!(stop.offset <= 4 * words.len(), "{}: {stop}", what());
                }
                (Ok(_), Err(fault)) => panic!("{}: {release} accepts, but {fault:?}", what()),
                (Err(stop), Ok(_)) => panic!("{}: {release} refuses: {stop}", what()),
            }
        }
        let recognised = recognise(&unsigned);
        assert_eq!(recognised.releases, fitting, "{}", what());
        assert_eq!(recognised.stops.len() + fitting.len(), Release::ALL.len());
        if fitting.is_empty() {
            self.refused += 1;
        } else if recognised.is_ambiguous {
            assert!(fitting.len() > 1, "{}", what());
            self.ambiguous += 1;
        } else {
            self.accepted += 1;
        }
    }
}

fn configs(layout: Layout) -> [Value; 2] {
    let guest = Guest {
        name: "vm",
        kernel: 0,
        initrd: 1,
        params: "quiet",
        read_only_partition: 2,
        writable_partition: 3,
        disk: 4,
    };
    let app = App {
        name: "vm",
        apk: 0,
        idsig: 1,
        instance: 2,
        binary: "payload",
    };
    [raw_config(layout, &guest), app_config(layout, &app)]
}

fn files(layout: Layout) -> Vec<Value> {
    let mut files = vec![Value::Null; layout.files()];
    files[0] = Value::Descriptor(9);
    files
}

/// Runs a test with the arguments of every layout and kind.
fn each(mut test: impl FnMut(Layout, &Value, &Message)) {
    for layout in Layout::ALL {
        for config in configs(layout) {
            let message = Writer::default().create_vm(layout, &config, &files(layout));
            test(layout, &config, &message);
        }
    }
}

#[test]
fn arguments_that_end_early_or_late() {
    let mut tally = Tally::default();
    each(|layout, _, message| {
        let words = message.words();
        for end in 0..words.len() {
            tally.check(&words[..end], &|| format!("{} cut at {end}", layout.name()));
        }
        for word in [0, 1, -1] {
            let longer = [&words[..], &[word]].concat();
            tally.check(&longer, &|| format!("{} with {word} more", layout.name()));
        }
    });
    println!("{tally:?}");
    // An argument less at the end is what a client of 15 QPR1 sends, but for the rest.
    assert!(tally.accepted < 10, "{tally:?}");
}

#[test]
fn words_that_are_others() {
    let mut rng = Rng::with_seed(11);
    let mut tally = Tally::default();
    each(|layout, _, message| {
        let words = message.words();
        for at in 0..words.len() {
            let good = words[at];
            let mut others = vec![
                0,
                1,
                2,
                -1,
                i32::MAX,
                i32::MIN,
                rng.i32(..),
                rng.i32(0..256),
            ];
            others.extend([-4, -1, 1, 4, 8].map(|change| good.wrapping_add(change)));
            for other in others {
                if other != good {
                    let mut words = words.clone();
                    words[at] = other;
                    tally.check(&words, &|| {
                        format!("{}: word {at} is {other}", layout.name())
                    });
                }
            }
        }
    });
    println!("{tally:?}");
    assert!(
        tally.refused > tally.accepted && tally.accepted > 0,
        "{tally:?}"
    );
}

#[test]
fn words_that_are_missing_or_new() {
    let mut rng = Rng::with_seed(12);
    let mut tally = Tally::default();
    each(|layout, _, message| {
        let words = message.words();
        for at in 0..words.len() {
            let mut fewer = words.clone();
            fewer.remove(at);
            tally.check(&fewer, &|| format!("{}: no word {at}", layout.name()));
            for new in [0, 1, -1, rng.i32(..)] {
                let mut more = words.clone();
                more.insert(at, new);
                tally.check(&more, &|| {
                    format!("{}: {new} before word {at}", layout.name())
                });
            }
            // Halves swapped, as if one peer counted from the other end.
            let mut swapped = words.clone();
            swapped.swap(at, rng.usize(..words.len()));
            tally.check(&swapped, &|| {
                format!("{}: word {at} swapped", layout.name())
            });
        }
    });
    println!("{tally:?}");
    assert!(tally.refused > 20 * tally.accepted, "{tally:?}");
}

/// The parcelables in a type, with their fields' names.
fn parcelables(ty: &Type, found: &mut Vec<(&'static str, Vec<&'static str>)>) {
    let fields = match ty {
        Type::Parcelable(parcelable) => {
            let names = parcelable.fields.iter().map(|field| field.name);
            found.push((parcelable.name, names.chain([""]).collect()));
            parcelable.fields
        }
        Type::Union(union) => union.fields,
        Type::Array(ty) | Type::Nullable(ty) => return parcelables(ty, found),
        _ => return,
    };
    fields
        .iter()
        .for_each(|field| parcelables(&field.ty, found));
}

/// A release that nobody knows: one more field, with sizes that are right.
#[test]
fn fields_of_an_unknown_release() {
    let mut tally = Tally::default();
    each(|layout, config, message| {
        let mut all = Vec::new();
        parcelables(&Type::Union(layout.config()), &mut all);
        for (parcelable, names) in all {
            for before in names {
                for words in [&[0][..], &[1], &[-1], &[77], &[1, 0, 2, 0], &[3, 0, 0]] {
                    let insertion = Insertion {
                        parcelable,
                        before,
                        words,
                    };
                    let writer = Writer::default().with(insertion);
                    let changed = writer.create_vm(layout, config, &files(layout));
                    if changed.bytes == message.bytes {
                        continue;
                    }
                    let what =
                        || format!("{}: {words:?} before {parcelable}.{before}", layout.name());
                    tally.check(&changed.words(), &what);
                }
            }
        }
    });
    println!("{tally:?}");
    // What is accepted are the bytes of a known release: such as an empty list in the place of another.
    assert!(tally.refused > 5_000, "{tally:?}");
    assert!(100 * tally.accepted < 2 * tally.refused, "{tally:?}");
}
