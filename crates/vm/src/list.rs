// SPDX-License-Identifier: Apache-2.0
//! `vm list`: the VMs that run.

use crate::cli::machines::ListArgs;
use crate::machines::{self, Machine, Status, Usage};
use crate::out;
use crate::paint::Paint;
use crate::table::{Align, Table};
use crate::users;
use anyhow::Result;
use host::printable;
use serde::Serialize;
use std::process::ExitCode;
use std::time::Duration;
use vmclient::State;

/// The place of the state in the table.
const STATE: usize = 2;
/// What stands for what is not known.
const UNKNOWN: &str = "-";

/// One VM in the list.
#[derive(Debug, Serialize)]
struct Entry {
    cid: u32,
    name: Option<String>,
    state: String,
    /// Seconds since the VMM was started.
    uptime: Option<u64>,
    /// Bytes of the host's memory that the VMM holds.
    memory: Option<u64>,
    pid: Option<i32>,
    uid: u32,
    user: String,
    early: bool,
    console: Option<String>,
    directory: String,
}

/// Lists the VMs.
pub(crate) fn list(args: &ListArgs) -> Result<ExitCode> {
    let machines = machines::all(&args.manager)?;
    if args.quiet {
        let cids: String = machines.iter().map(|m| format!("{}\n", m.cid)).collect();
        out::print(&cids)?;
        return Ok(ExitCode::SUCCESS);
    }
    let found: Vec<_> = machines
        .iter()
        .zip(Status::of_all(&machines))
        // What has ended while it was asked is not there.
        .filter(|(_, status)| *status != Status::Gone)
        .collect();
    if args.json {
        let entries: Vec<Entry> = found.iter().map(|(m, status)| entry(m, *status)).collect();
        out::print_json(&entries)?;
    } else if found.is_empty() {
        out::tell("No VM runs. `vm run --help` says how one is run.");
    } else {
        out::print(&table(&found, Paint::stdout()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn usage(machine: &Machine) -> Option<(i32, Usage)> {
    let vmm = machine.vmm()?;
    Some((vmm.pid, machines::usage(vmm)?))
}

fn entry(machine: &Machine, status: Status) -> Entry {
    let usage = usage(machine);
    Entry {
        cid: machine.cid,
        name: machine.name().map(str::to_owned),
        state: status.to_string(),
        uptime: usage.as_ref().map(|(_, usage)| usage.age.as_secs()),
        memory: usage.as_ref().map(|(_, usage)| usage.resident.as_u64()),
        pid: usage.as_ref().map(|(pid, _)| *pid),
        uid: machine.uid,
        user: users::name(machine.uid),
        early: machine.is_early,
        console: machine.console.clone(),
        directory: machine.directory.to_string_lossy().into_owned(),
    }
}

fn table(found: &[(&Machine, Status)], paint: Paint) -> String {
    let mut table = Table::new(&[
        ("CID", Align::Right),
        ("NAME", Align::Left),
        ("STATE", Align::Left),
        ("UPTIME", Align::Right),
        ("MEMORY", Align::Right),
        ("PID", Align::Right),
        ("USER", Align::Left),
        ("CONSOLE", Align::Left),
    ]);
    for (machine, status) in found {
        let usage = usage(machine);
        let known = |text: Option<String>| text.unwrap_or_else(|| UNKNOWN.to_owned());
        let safe = |text: Option<&str>| known(text.map(|text| printable(text).into_owned()));
        table.row(vec![
            machine.cid.to_string(),
            safe(machine.name()),
            status.to_string(),
            known(usage.as_ref().map(|(_, usage)| age(usage.age))),
            known(usage.as_ref().map(|(_, usage)| usage.resident.to_string())),
            known(usage.as_ref().map(|(pid, _)| pid.to_string())),
            users::name(machine.uid),
            safe(machine.console.as_deref()),
        ]);
    }
    table.render(|column, cell| {
        if column == STATE {
            coloured(cell, paint)
        } else {
            cell.to_owned()
        }
    })
}

/// A state, padded or not, in the colour that fits.
pub(crate) fn coloured(state: &str, paint: Paint) -> String {
    let is = |status: Status| state.trim_end() == status.to_string();
    if is(Status::Says(State::Ready)) || is(Status::Says(State::Started)) {
        paint.good(state)
    } else if is(Status::Silent) || is(Status::Says(State::Dead)) {
        paint.bad(state)
    } else if is(Status::Says(State::Starting))
        || is(Status::Created)
        || is(Status::Suspended)
        || is(Status::Paused)
    {
        paint.odd(state)
    } else {
        state.to_owned()
    }
}

/// A time in its largest unit.
pub(crate) fn age(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        for (seconds, text) in [
            (0, "0 s"),
            (119, "119 s"),
            (120, "2 min"),
            (7199, "119 min"),
            (7200, "2 h"),
            (172_800, "2 d"),
        ] {
            assert_eq!(age(Duration::from_secs(seconds)), text);
        }
    }
}
