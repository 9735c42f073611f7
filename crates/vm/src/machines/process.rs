// SPDX-License-Identifier: Apache-2.0
//! Processes as `/proc` shows them; its formats are in proc_pid_stat(5) and proc_pid_status(5).

use crate::size::Size;
use std::fs;
use std::time::Duration;

/// A process that cannot be confused with a later one of the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    /// When it started, in clock ticks since the machine did.
    pub(crate) start: u64,
}

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

/// Fields of `/proc/PID/stat`, counted from 0 after the name.
const UTIME: usize = 11;
const STIME: usize = 12;
const START: usize = 19;

impl Process {
    /// The two numbers of a note.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (pid, start) = text.split_once(' ')?;
        Some(Self {
            pid: pid.parse().ok().filter(|pid| *pid > 0)?,
            start: start.trim().parse().ok()?,
        })
    }

    /// The process that has this number now. A zombie is dead.
    pub(crate) fn of_pid(pid: i32) -> Option<Self> {
        let stat = Stat::of(pid).filter(|stat| !stat.is_dead())?;
        let start = stat.number(START)?;
        Some(Self { pid, start })
    }

    pub(crate) fn is_alive(self) -> bool {
        Self::of_pid(self.pid) == Some(self)
    }

    /// Whether this is a VMM and not one of its helpers.
    pub(crate) fn is_vmm(self) -> bool {
        Stat::of(self.pid)
            .is_some_and(|stat| stat.name.starts_with("qemu-") || stat.name.starts_with("crosvm"))
    }

    /// What it has used, if it lives.
    pub(crate) fn usage(self) -> Option<Usage> {
        let stat = Stat::of(self.pid)?;
        if stat.number(START)? != self.start {
            return None;
        }
        let ticks = stat.number(UTIME)?.checked_add(stat.number(STIME)?)?;
        Some(Usage {
            resident: resident(&fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?),
            cpu: ticks_to_time(ticks),
            age: uptime()?.saturating_sub(ticks_to_time(self.start)),
            name: program(self.pid).unwrap_or(stat.name),
        })
    }
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

struct Stat {
    name: String,
    fields: Vec<String>,
}

impl Stat {
    fn of(pid: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        // The name may hold anything, brackets too.
        let (head, tail) = text.rsplit_once(')')?;
        let (_, name) = head.split_once('(')?;
        Some(Self {
            name: name.to_owned(),
            fields: tail.split_whitespace().map(str::to_owned).collect(),
        })
    }

    /// Whether it has ended, and nobody has reaped it yet, as in a container without an init.
    fn is_dead(&self) -> bool {
        matches!(self.fields.first().map(String::as_str), Some("Z" | "X"))
    }

    fn number(&self, field: usize) -> Option<u64> {
        self.fields.get(field)?.parse().ok()
    }
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
    fn a_name_may_look_like_fields() {
        let text = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 110 120 0 0 0 0 0 0 190 x";
        let stat = Stat::parse(text).unwrap();
        assert_eq!(stat.name, "a) b (c");
        assert_eq!(stat.number(UTIME), Some(110));
        assert_eq!(stat.number(STIME), Some(120));
        assert_eq!(stat.number(START), Some(190));
    }

    #[test]
    fn this_process_is_as_the_kernel_says() {
        let me = Process::of_pid(std::process::id().cast_signed()).unwrap();
        assert!(me.is_alive());
        assert!(!me.is_vmm());
        let usage = me.usage().unwrap();
        assert!(usage.resident > Size::bytes(100_000));
        assert!(usage.age < Duration::from_secs(24 * 3600));
        let later = Process {
            start: me.start + 1,
            ..me
        };
        assert!(!later.is_alive() && later.usage().is_none());
        assert_eq!(Process::parse("-1 5"), None);
        assert_eq!(
            resident("VmHWM: 1 kB\nVmRSS:\t   12 kB\n"),
            Size::bytes(12 << 10)
        );
    }
}
