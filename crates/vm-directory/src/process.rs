// SPDX-License-Identifier: Apache-2.0
//! Processes that cannot be confused with later ones of the same number; the formats are in
//! proc_pid_stat(5).

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open, test_kill_process};
use std::fmt;
use std::fs;

/// Fields of `/proc/PID/stat`, counted from 0 after the name.
const STATE: usize = 0;
const UTIME: usize = 11;
const STIME: usize = 12;
const START: usize = 19;
const GUEST_TIME: usize = 40;

/// A process, as a note names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// When it started, in clock ticks since the machine did; 0 if that could not be read.
    pub start: u64,
}

impl Process {
    /// The process that has this number now, if it lives.
    #[must_use]
    pub fn of_pid(pid: i32) -> Option<Self> {
        let start = match Stat::of(pid) {
            Some(stat) if stat.is_dead() => return None,
            Some(stat) => stat.start()?,
            None if exists(pid) => 0,
            None => return None,
        };
        Some(Self { pid, start })
    }

    /// This process.
    #[must_use]
    pub fn this() -> Self {
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        let start = Stat::of(pid).and_then(|stat| stat.start());
        Self {
            pid,
            start: start.unwrap_or_default(),
        }
    }

    /// The two numbers of a note.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (pid, start) = text.split_once(' ')?;
        Some(Self {
            pid: pid.parse().ok().filter(|pid| *pid > 0)?,
            start: start.trim().parse().ok()?,
        })
    }

    /// Whether it lives. One that has been killed and that nobody has waited for is dead.
    ///
    /// Where `/proc` does not show the process (`hidepid`, or no `/proc`), only its number is known to
    /// live, and a later process of that number would pass for it.
    #[must_use]
    pub fn is_alive(self) -> bool {
        match Stat::of(self.pid) {
            Some(stat) => !stat.is_dead() && (self.start == 0 || stat.start() == Some(self.start)),
            None => exists(self.pid),
        }
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.pid, self.start)
    }
}

/// Whether there is a process `pid` that has not ended.
fn exists(pid: i32) -> bool {
    let Some(pid) = Pid::from_raw(pid) else {
        return false;
    };
    match pidfd_open(pid, PidfdFlags::empty()) {
        // It is readable once the process has ended, waited for or not.
        Ok(fd) => poll(
            &mut [PollFd::new(&fd, PollFlags::IN)],
            Some(&Timespec::default()),
        )
        .is_ok_and(|ended| ended == 0),
        Err(Errno::SRCH) => false,
        // No descriptor is left, or the kernel is old.
        Err(_) => !matches!(test_kill_process(pid), Err(Errno::SRCH)),
    }
}

/// A line of `/proc/PID/stat`.
#[derive(Debug, Clone)]
pub struct Stat {
    /// The program's name, cut by the kernel.
    pub name: String,
    fields: Vec<String>,
}

impl Stat {
    /// That of the process `pid`; none if `/proc` does not show it.
    #[must_use]
    pub fn of(pid: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// Reads a line.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // The name may hold anything, brackets too.
        let (head, tail) = text.rsplit_once(')')?;
        let (_, name) = head.split_once('(')?;
        Some(Self {
            name: name.to_owned(),
            fields: tail.split_whitespace().map(str::to_owned).collect(),
        })
    }

    fn number(&self, field: usize) -> Option<u64> {
        self.fields.get(field)?.parse().ok()
    }

    /// Whether the process has ended, though nobody may have waited for it yet.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        matches!(self.fields.get(STATE).map(String::as_str), Some("Z" | "X"))
    }

    /// When it started, in clock ticks since the machine did.
    #[must_use]
    pub fn start(&self) -> Option<u64> {
        self.number(START)
    }

    /// The CPU time that it has used, in clock ticks.
    #[must_use]
    pub fn cpu_ticks(&self) -> Option<u64> {
        self.number(UTIME)?.checked_add(self.number(STIME)?)
    }

    /// The time in which the process, and the children that it has waited for, ran a guest, in clock
    /// ticks.
    #[must_use]
    pub fn guest_ticks(&self) -> Option<u64> {
        self.number(GUEST_TIME)?
            .checked_add(self.number(GUEST_TIME + 1)?)
    }
}

/// The random number of this boot of the machine.
#[must_use]
pub fn boot_id() -> Option<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_name_may_look_like_fields() {
        let text = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 110 120 0 0 0 0 0 0 190 x";
        let stat = Stat::parse(text).unwrap();
        assert_eq!(stat.name, "a) b (c");
        assert_eq!(stat.cpu_ticks(), Some(230));
        assert_eq!(stat.start(), Some(190));
        assert_eq!(stat.guest_ticks(), None);
        let fields: Vec<String> = (4..=52).map(|n| n.to_string()).collect();
        let stat = Stat::parse(&format!("1 (x) R {}", fields.join(" "))).unwrap();
        assert_eq!(stat.guest_ticks(), Some(43 + 44));
        assert!(Stat::parse("1 (x").is_none());
    }

    #[test]
    fn this_process_lives_and_an_earlier_one_of_its_number_does_not() {
        let me = Process::this();
        assert!(me.start > 0);
        assert!(me.is_alive());
        assert_eq!(Process::of_pid(me.pid), Some(me));
        let earlier = Process {
            start: me.start - 1,
            ..me
        };
        assert!(!earlier.is_alive());
        assert_eq!(Process::parse(&me.to_string()), Some(me));
        for text in ["-1 5", "5", "5 x", "0 1"] {
            assert_eq!(Process::parse(text), None);
        }
    }

    #[test]
    fn one_that_was_killed_and_not_waited_for_is_dead() {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let process = Process::of_pid(pid).unwrap();
        assert!(process.is_alive() && exists(pid));
        child.kill().unwrap();
        let fd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).unwrap();
        poll(&mut [PollFd::new(&fd, PollFlags::IN)], None).unwrap();
        assert!(Stat::of(pid).unwrap().is_dead());
        assert!(!process.is_alive() && !exists(pid));
        assert_eq!(Process::of_pid(pid), None);
        child.wait().unwrap();
        assert!(!process.is_alive() && !exists(pid));
    }
}
