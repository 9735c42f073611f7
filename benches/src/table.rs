// SPDX-License-Identifier: Apache-2.0
//! The table: medians, with the bare equivalent and the ratio where there is one.

use crate::measure;
use anyhow::{Context, Result};
use std::env;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use system_tests::host::Host;

/// Runs of each measurement; one more goes before, uncounted.
const RUNS: usize = 41;
/// Calls of one round trip measurement.
const CALLS: u32 = 2000;

fn median(mut values: Vec<Duration>) -> Duration {
    values.sort();
    values[values.len() / 2]
}

fn row(what: &str, value: &str, bare: &str, ratio: &str, limit: &str) {
    println!("{what:<44} {value:>12} {bare:>12} {ratio:>7}  {limit}");
}

fn micros(duration: Duration) -> String {
    format!("{:.0} us", duration.as_secs_f64() * 1e6)
}

fn ratio(a: Duration, b: Duration) -> String {
    format!("{:.2}", a.as_secs_f64() / b.as_secs_f64())
}

/// Measures and prints.
pub(crate) fn print(host: &Host) -> Result<()> {
    let bare_program = PathBuf::from(
        env::var_os("BENCH_BARE").context("BENCH_BARE is not set: run cargo xtask bench")?,
    );
    let (mut bare, mut ready, mut connected, mut exec) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    // In turn, so that a change of the machine's speed meets all of them.
    for run in 0..=RUNS {
        let b = measure::bare(&bare_program)?;
        let (r, c) = measure::ready(host)?;
        let e = measure::exec(host)?;
        if run > 0 {
            bare.push(b);
            ready.push(r);
            connected.push(c);
            exec.push(e);
        }
    }
    let (binder, socket) = measure::round_trips(host, CALLS)?;
    let [bare, ready, connected, exec] = [bare, ready, connected, exec].map(median);
    row("median of 41", "manager", "bare", "ratio", "wanted");
    row(
        "fork to ready",
        &micros(ready),
        &micros(bare),
        &ratio(ready, bare),
        "ratio <= 1.5",
    );
    row(
        "fork to RPC session with callbacks",
        &micros(connected),
        &micros(bare),
        &ratio(connected, bare),
        "",
    );
    row(
        "createVm + start to VMM executed",
        &micros(exec),
        "",
        "",
        "< 10000 us",
    );
    row(
        "binder call / byte over a socket, and back",
        &micros(binder),
        &micros(socket),
        &ratio(binder, socket),
        "",
    );
    row(
        "idle, proportional set size",
        &format!("{} KiB", measure::idle_pss(host)?),
        "",
        "",
        "< 3072 KiB",
    );
    for name in ["early_virtmgr", "virtmgr"] {
        let size = fs::metadata(host.dist.path(name))?.len() / 1024;
        row(
            &format!("{name}, stripped"),
            &format!("{size} KiB"),
            "",
            "",
            "< 3072 KiB (early)",
        );
    }
    println!();
    row(
        "guest reads a disk of partitions",
        "disk",
        "raw",
        "ratio",
        "wanted",
    );
    for speed in crate::disks::read_speeds(host)? {
        let name = format!("{}, blocks of {} KiB", speed.name, speed.block >> 10);
        let rate = |rate: f64| format!("{rate:.0} MB/s");
        let ratio = format!("{:.2}", speed.ratio);
        row(
            &name,
            &rate(speed.megabytes),
            &rate(speed.raw),
            &ratio,
            "ratio >= 0.9",
        );
    }
    println!();
    row(
        "idsig of an APK of 1 GiB",
        "manager",
        "openssl",
        "ratio",
        "wanted",
    );
    let speed = crate::idsig::speed(host)?;
    row(
        "best of 5, against SHA-256 on all cores",
        &format!("{:.0} MB/s", speed.made),
        &format!("{:.0} MB/s", speed.possible),
        &format!("{:.2}", speed.made / speed.possible),
        "ratio >= 0.8",
    );
    row(
        "peak resident set",
        &format!("{} KiB", speed.peak),
        "",
        "",
        "< 32768 KiB",
    );
    Ok(())
}
