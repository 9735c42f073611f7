// SPDX-License-Identifier: Apache-2.0
//! What processes use, as `/proc` shows it; see proc_pid_status(5).

use crate::size::Size;
use std::fs;
use std::time::Duration;
use vm_directory::{Process, Stat};

/// What a process has used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Usage {
    /// The program's name.
    pub(crate) name: String,
    /// Memory that it holds.
    pub(crate) resident: Size,
    /// CPU time that it has used.
    pub(crate) cpu: Duration,
    /// How long it has run.
    pub(crate) age: Duration,
}

/// What `process` has used, if it lives.
pub(crate) fn usage(process: Process) -> Option<Usage> {
    let stat = Stat::of(process.pid).filter(|stat| !stat.is_dead())?;
    let start = stat.start()?;
    if start != process.start {
        return None;
    }
    Some(Usage {
        resident: resident(&fs::read_to_string(format!("/proc/{}/status", process.pid)).ok()?),
        cpu: ticks_to_time(stat.cpu_ticks()?),
        age: uptime()?.saturating_sub(ticks_to_time(start)),
        name: program(process.pid).unwrap_or(stat.name),
    })
}

/// The program of a process, with its subcommand if it has one. The kernel's own name for it is
/// short, and that of what runs itself is `exe`.
fn program(pid: i32) -> Option<String> {
    let path = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let name = path.file_name()?.to_string_lossy().into_owned();
    let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let first = command.split(|byte| *byte == 0).nth(1).unwrap_or_default();
    let is_word = |byte: &u8| byte.is_ascii_lowercase() || *byte == b'-';
    let is_subcommand =
        first.first().is_some_and(u8::is_ascii_lowercase) && first.iter().all(is_word);
    Some(if is_subcommand {
        format!("{name} {}", String::from_utf8_lossy(first))
    } else {
        name
    })
}

/// The resident memory that `/proc/PID/status` tells; none for what has no memory of its own.
fn resident(status: &str) -> Size {
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|value| value.trim().strip_suffix(" kB")?.trim().parse().ok());
    Size::bytes(kib.unwrap_or(0_u64).saturating_mul(1024))
}

fn uptime() -> Option<Duration> {
    let text = fs::read_to_string("/proc/uptime").ok()?;
    let seconds = text.split_whitespace().next()?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

fn ticks_to_time(ticks: u64) -> Duration {
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Duration::from_millis(ticks.saturating_mul(1000) / per_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_as_the_kernel_says() {
        let me = Process::of_pid(std::process::id().cast_signed()).unwrap();
        assert!(me.is_alive());
        let used = usage(me).unwrap();
        assert!(used.resident > Size::bytes(100_000));
        assert!(used.age < Duration::from_secs(24 * 3600));
        let later = Process {
            start: me.start + 1,
            ..me
        };
        assert!(!later.is_alive() && usage(later).is_none());
        assert_eq!(
            resident("VmHWM: 1 kB\nVmRSS:\t   12 kB\n"),
            Size::bytes(12 << 10)
        );
    }
}
