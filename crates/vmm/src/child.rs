// SPDX-License-Identifier: Apache-2.0
//! Owning a child process until it is reaped, and what it used when it is.

use crate::Error;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The place of the guest's time in `/proc/PID/stat`, counted after the name, which ends with the
/// last `)`: field 43 of proc(5), where the first after the name is field 3.
const GUEST_TIME: usize = 40;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this status.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
}

/// What a process used in its life, all its threads together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Time in which CPUs ran a guest under KVM. It is part of the user time.
    pub guest_time: Duration,
    /// Time in the process's own code, or in its guest's.
    pub user_time: Duration,
    /// Time in the kernel on its behalf.
    pub system_time: Duration,
    /// The most memory that was resident at once, in KiB; shared memory counts.
    pub peak_rss_kib: u64,
}

/// The end of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// How it ended.
    pub exit: Exit,
    /// What it used.
    pub usage: Usage,
}

/// A running child. Dropping it kills and reaps it.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    pidfd: OwnedFd,
    stderr: OwnedFd,
    reaped: AtomicBool,
}

impl Child {
    /// The child `pid`, which nobody else reaps.
    pub(crate) fn new(pid: Pid, pidfd: OwnedFd, stderr: OwnedFd) -> Self {
        Self {
            pid,
            pidfd,
            stderr,
            reaped: AtomicBool::new(false),
        }
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Readable when the process has ended.
    #[must_use]
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// What the process writes to its standard output and error. Non-blocking.
    #[must_use]
    pub fn stderr(&self) -> BorrowedFd<'_> {
        self.stderr.as_fd()
    }

    /// A duplicate of the pidfd, for one who may have to kill the process from elsewhere.
    ///
    /// # Errors
    /// If there is no descriptor left.
    pub fn killer(&self) -> Result<Killer, Error> {
        self.pidfd
            .try_clone()
            .map(|pidfd| Killer { pidfd })
            .map_err(|e| Error::io("duplicate a pidfd", e))
    }

    /// Blocks until the process has ended, and reaps it.
    ///
    /// # Errors
    /// If it has been reaped already.
    pub fn wait(&self) -> Result<Ended, Error> {
        let ended = self.reap(WaitIdOptions::EXITED)?;
        ended.ok_or_else(|| self.failed(rustix::io::Errno::CHILD))
    }

    /// Reaps the process if it has ended.
    ///
    /// # Errors
    /// If it has been reaped already.
    pub fn try_wait(&self) -> Result<Option<Ended>, Error> {
        self.reap(WaitIdOptions::EXITED | WaitIdOptions::NOHANG)
    }

    fn failed(&self, cause: impl Into<std::io::Error>) -> Error {
        Error::io(format!("wait for process {}", self.pid()), cause)
    }

    fn reap(&self, options: WaitIdOptions) -> Result<Option<Ended>, Error> {
        // Its last numbers can be read while it has ended and is not reaped.
        let options = options | WaitIdOptions::NOWAIT;
        let exit = loop {
            match rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), options) {
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(self.failed(e)),
                Ok(None) => return Ok(None),
                Ok(Some(status)) => {
                    break status
                        .exit_status()
                        .map(Exit::Code)
                        .or_else(|| status.terminating_signal().map(Exit::Signal));
                }
            }
        };
        let guest_time = fs::read_to_string(format!("/proc/{}/stat", self.pid()))
            .ok()
            .and_then(|stat| guest_time(&stat))
            .unwrap_or_default();
        let usage = wait_for_usage(self.pid)?;
        self.reaped.store(true, Ordering::Release);
        Ok(exit.map(|exit| Ended {
            exit,
            usage: Usage {
                guest_time,
                ..usage
            },
        }))
    }
}

/// The guest's time in a line of `/proc/PID/stat`.
fn guest_time(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: u64 = fields.split_whitespace().nth(GUEST_TIME)?.parse().ok()?;
    let per_second = rustix::param::clock_ticks_per_second();
    Some(Duration::from_millis(
        ticks.saturating_mul(1000).checked_div(per_second)?,
    ))
}

/// Reaps a child that has ended: the one call that tells what it used.
#[expect(unsafe_code, reason = "wait4 has no safe wrapper")]
fn wait_for_usage(pid: Pid) -> Result<Usage, Error> {
    // SAFETY: rusage is made of integers, for which zeros are valid.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    let pid = pid.as_raw_nonzero().get();
    loop {
        // SAFETY: a null status is allowed, and `usage` lives through the call.
        let reaped = unsafe { libc::wait4(pid, std::ptr::null_mut(), 0, &raw mut usage) };
        if reaped == pid {
            break;
        }
        let error = std::io::Error::last_os_error();
        if error.kind() != std::io::ErrorKind::Interrupted {
            return Err(Error::io(format!("wait for process {pid}"), error));
        }
    }
    let time = |time: libc::timeval| {
        let part = |value: i64| u64::try_from(value).unwrap_or_default();
        Duration::from_secs(part(time.tv_sec)) + Duration::from_micros(part(time.tv_usec))
    };
    Ok(Usage {
        guest_time: Duration::ZERO,
        user_time: time(usage.ru_utime),
        system_time: time(usage.ru_stime),
        peak_rss_kib: u64::try_from(usage.ru_maxrss).unwrap_or_default(),
    })
}

impl Drop for Child {
    fn drop(&mut self) {
        if !*self.reaped.get_mut() {
            let _ = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
            let _ = self.wait();
        }
    }
}

/// The right to kill one process, and no later one with its number.
#[derive(Debug)]
pub struct Killer {
    pidfd: OwnedFd,
}

impl Killer {
    /// Kills the process. It has no effect on one that has ended.
    pub fn kill(&self) {
        if let Err(e) = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL)
            && e != rustix::io::Errno::SRCH
        {
            log::error!("kill the VMM: {e}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::Launch;

    #[test]
    fn an_end_comes_with_what_was_used() {
        let mut launch = Launch::new("/bin/sh".into());
        // Enough work to be measured, and an exit status that cannot be an accident.
        launch.args([
            "-c",
            "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; exit 7",
        ]);
        let child = launch.spawn().unwrap();
        let ended = child.wait().unwrap();
        assert_eq!(ended.exit, Exit::Code(7));
        assert!(ended.usage.user_time > Duration::ZERO, "{ended:?}");
        assert!(ended.usage.peak_rss_kib > 100, "{ended:?}");
        assert!(child.wait().is_err());
    }

    #[test]
    fn guest_time_is_found_behind_any_name() {
        let per_second = rustix::param::clock_ticks_per_second();
        let fields: Vec<String> = (3..=52).map(|n| (n * per_second).to_string()).collect();
        let stat = format!("17 (a) b) 99 {}", fields[1..].join(" "));
        assert_eq!(guest_time(&stat), Some(Duration::from_secs(43)));
        assert_eq!(guest_time("17 (a"), None);
        assert_eq!(guest_time("17 (a) 1 2 3"), None);
    }
}
