// SPDX-License-Identifier: Apache-2.0
//! Random configs of every layout, written by tables that the reader does not know: each is recognised
//! as what it is, as nothing else, and read with every value in its place.
//!
//! `WIRE_CONFIGS=100000 cargo test --release -p avf-wire --test random -- --nocapture` is the long run.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test panics"
)]

mod tree;

use avf_wire::checks::read;
use avf_wire::{Release, recognise};
use std::time::{Duration, Instant};
use wire_bytes::guest::{Guest, raw_config};
use wire_bytes::random::create_vm;
use wire_bytes::{Layout, Value, Writer};

/// Configs of each layout.
const CONFIGS: u64 = 2_000;
/// Their number, if it is another.
const VARIABLE: &str = "WIRE_CONFIGS";

/// The release of a layout.
fn release(layout: Layout) -> Release {
    let place = Layout::ALL.iter().position(|it| *it == layout).unwrap();
    Release::ALL[place]
}

fn layout(release: Release) -> Layout {
    Layout::ALL[release as usize]
}

fn words(bytes: &[u8]) -> Vec<u32> {
    let words = bytes.chunks_exact(4);
    words
        .map(|word| u32::from_le_bytes(word.try_into().unwrap()))
        .collect()
}

/// What came of the configs of one layout.
#[derive(Debug, Default)]
struct Tally {
    ambiguous: u64,
    alike: u64,
    took: Duration,
    bytes: usize,
}

fn tally(written: Layout, count: u64) -> Tally {
    let mut tally = Tally::default();
    let base = (written as u64) << 32;
    for seed in base..base + count {
        let made = create_vm(written, seed);
        let words = words(&made.message.bytes);
        let begin = Instant::now();
        let recognised = recognise(&words);
        tally.took += begin.elapsed();
        tally.bytes += made.message.bytes.len();
        let what = || format!("{} seed {seed}", written.name());
        let releases = &recognised.releases;
        let is_known = releases.contains(&release(written));
        assert!(is_known, "{}: {:?}", what(), recognised.stops);
        for other in releases {
            let means_the_same = written.reads_alike(layout(*other), &made.config);
            let is_open = means_the_same || recognised.is_ambiguous;
            assert!(is_open, "{} accepted as {other}", what());
        }
        if recognised.is_ambiguous {
            tally.ambiguous += 1;
            println!("{}: {releases:?}", what());
        } else {
            tally.alike += u64::from(releases.len() > 1);
        }
        expect_values(written, &made.config, &words, &what);
    }
    tally
}

fn expect_values(written: Layout, config: &Value, words: &[u32], what: &dyn Fn() -> String) {
    let read = read(words, release(written)).unwrap();
    let read = read.unwrap_or_else(|stop| panic!("{}: {stop}", what()));
    assert_eq!(
        tree::read(&read.config),
        tree::meant(written, config),
        "{}",
        what()
    );
}

fn count() -> u64 {
    std::env::var(VARIABLE).map_or(CONFIGS, |count| count.parse().unwrap())
}

#[test]
fn random_configs_are_recognised() {
    let count = count();
    let mut ambiguous = 0;
    for written in Layout::ALL {
        let tally = tally(written, count);
        ambiguous += tally.ambiguous;
        let each = tally.took / u32::try_from(count).unwrap();
        let bytes = tally.bytes / usize::try_from(count).unwrap();
        println!(
            "{}: {count} configs of {bytes} bytes, {} of several releases that mean the same, {} ambiguous, {each:?} each",
            written.name(),
            tally.alike,
            tally.ambiguous,
        );
    }
    // Only a text that is empty, where clients send a version, could look like another release's field.
    assert!(ambiguous * 10_000 <= 9 * count, "{ambiguous} ambiguous");
}

/// How long the recognition of an ordinary config takes: printed, as it says more of the machine than
/// of the crate.
#[test]
fn the_time_of_one_recognition() {
    for layout in Layout::ALL {
        let guest = Guest {
            name: "vm",
            kernel: 0,
            initrd: 1,
            params: "console=ttyS0 loglevel=4 panic=-1",
            read_only_partition: 2,
            writable_partition: 3,
            disk: 4,
        };
        let files = vec![Value::Null; layout.files()];
        let message = Writer::default().create_vm(layout, &raw_config(layout, &guest), &files);
        let words = words(&message.bytes);
        let mut times: Vec<_> = (0..1_000)
            .map(|_| {
                let begin = Instant::now();
                assert_eq!(recognise(&words).releases, [release(layout)]);
                begin.elapsed()
            })
            .collect();
        times.sort();
        println!(
            "{}: {} bytes, median {:?}, 99 of 100 in {:?}",
            layout.name(),
            message.bytes.len(),
            times[times.len() / 2],
            times[times.len() * 99 / 100],
        );
    }
}
