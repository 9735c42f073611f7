// SPDX-License-Identifier: Apache-2.0
//! The table: medians, with the bare equivalent and the ratio where there is one, and the goal.
//! A goal that is not reached is marked `missed`.

use crate::goal::Goal;
use crate::measure;
use anyhow::{Context, Result};
use std::env;
use std::fs;
use std::io::{self, Write};
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

/// A line of the table.
#[derive(Debug, Default)]
struct Row {
    what: String,
    value: String,
    bare: String,
    ratio: String,
    goal: String,
}

impl Row {
    /// The heading of a part of the table.
    fn head([what, value, bare, ratio]: [&str; 4]) -> Self {
        Self {
            what: what.to_owned(),
            value: value.to_owned(),
            bare: bare.to_owned(),
            ratio: ratio.to_owned(),
            goal: "goal".to_owned(),
        }
    }

    /// A measurement next to its bare equivalent, and a goal for their ratio.
    fn ratio(what: &str, [value, bare]: [String; 2], ratio: f64, goal: Option<Goal>) -> Self {
        Self {
            what: what.to_owned(),
            value,
            bare,
            ratio: format!("{ratio:.2}"),
            goal: goal.map_or_else(String::new, |goal| goal.verdict(ratio)),
        }
    }

    /// A measurement alone, with the number that is compared with its goal.
    fn alone(what: &str, value: String, number: f64, goal: Option<Goal>) -> Self {
        Self {
            what: what.to_owned(),
            value,
            goal: goal.map_or_else(String::new, |goal| goal.verdict(number)),
            ..Self::default()
        }
    }

    fn print(&self) -> io::Result<()> {
        let Self {
            what,
            value,
            bare,
            ratio,
            goal,
        } = self;
        let line = format!("{what:<44} {value:>12} {bare:>12} {ratio:>7}  {goal}");
        writeln!(io::stdout(), "{}", line.trim_end())
    }
}

fn micros(duration: Duration) -> String {
    format!("{:.0} us", duration.as_secs_f64() * 1e6)
}

fn kib(size: u64) -> String {
    format!("{size} KiB")
}

/// A size in KiB as a number to compare.
#[allow(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
fn number(kib: u64) -> f64 {
    kib as f64
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
    Row::head(["median of 41", "manager", "bare", "ratio"]).print()?;
    let against = |what, ours: Duration, bare: Duration, goal| {
        let ratio = ours.as_secs_f64() / bare.as_secs_f64();
        Row::ratio(what, [micros(ours), micros(bare)], ratio, goal).print()
    };
    let goal = Some(Goal::RatioAtMost(1.5));
    against("fork to ready", ready, bare, goal)?;
    against("fork to RPC session with callbacks", connected, bare, None)?;
    Row::alone(
        "createVm + start to VMM executed",
        micros(exec),
        exec.as_secs_f64() * 1e6,
        Some(Goal::Micros(10_000)),
    )
    .print()?;
    let what = "binder call / byte over a socket, and back";
    against(what, binder, socket, None)?;
    let limit = Some(Goal::Kib(3072));
    let idle = measure::idle_pss(host)?;
    Row::alone(
        "idle, proportional set size",
        kib(idle),
        number(idle),
        limit,
    )
    .print()?;
    for (name, goal) in [("early_virtmgr", limit), ("virtmgr", None)] {
        let size = fs::metadata(host.dist.path(name))?.len().div_ceil(1024);
        let what = format!("{name}, stripped");
        Row::alone(&what, kib(size), number(size), goal).print()?;
    }
    writeln!(io::stdout())?;
    Row::head(["guest reads a disk of partitions", "disk", "raw", "ratio"]).print()?;
    for speed in crate::disks::read_speeds(host)? {
        let name = format!("{}, blocks of {} KiB", speed.name, speed.block >> 10);
        let rates = [speed.megabytes, speed.raw].map(|rate| format!("{rate:.0} MB/s"));
        let goal = Some(Goal::RatioAtLeast(0.9));
        Row::ratio(&name, rates, speed.ratio, goal).print()?;
    }
    writeln!(io::stdout())?;
    Row::head(["idsig of an APK of 1 GiB", "manager", "openssl", "ratio"]).print()?;
    let speed = crate::idsig::speed(host)?;
    let rates = [speed.made, speed.possible].map(|rate| format!("{rate:.0} MB/s"));
    let what = "best of 5, against SHA-256 on all cores";
    let goal = Some(Goal::RatioAtLeast(0.8));
    Row::ratio(what, rates, speed.made / speed.possible, goal).print()?;
    let limit = Some(Goal::Kib(32_768));
    Row::alone(
        "peak resident set",
        kib(speed.peak),
        number(speed.peak),
        limit,
    )
    .print()?;
    Ok(())
}
