// SPDX-License-Identifier: Apache-2.0
//! Owning a child process until it is reaped, and what it used when it is.

use crate::Error;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use vm_directory::Stat;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this status.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit status {code}"),
            Self::Signal(signal) => match signal_name(*signal) {
                Some(name) => write!(f, "signal {name}"),
                None => write!(f, "signal {signal}"),
            },
        }
    }
}

/// The name of a signal that ends a process.
#[must_use]
pub fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGILL => "SIGILL",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGUSR1 => "SIGUSR1",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGUSR2 => "SIGUSR2",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGXFSZ => "SIGXFSZ",
        libc::SIGSYS => "SIGSYS",
        _ => return None,
    })
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

/// How a process is killed with everything that it started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kill {
    /// The signal for the process: KILL, or TERM for a supervisor, which kills the rest itself.
    pub(crate) signal: Signal,
    /// Whether it leads a process group.
    pub(crate) has_own_group: bool,
}

/// A process that has not been reaped. Its number, also as that of its process group, can belong to
/// another process once it has been.
#[derive(Debug)]
struct Unreaped {
    pid: Pid,
    kill: Kill,
}

impl Unreaped {
    /// Kills the process, and its process group unless a supervisor does that better.
    fn kill(&self, pidfd: BorrowedFd<'_>) {
        let sent = rustix::process::pidfd_send_signal(pidfd, self.kill.signal);
        if let Err(e) = sent
            && e != rustix::io::Errno::SRCH
        {
            log::error!("cannot kill process {}: {e}", self.pid);
        }
        if self.kill.signal == Signal::KILL {
            self.kill_group();
        }
    }

    fn kill_group(&self) {
        if self.kill.has_own_group {
            // It fails only if no process is left in the group.
            let _ = rustix::process::kill_process_group(self.pid, Signal::KILL);
        }
    }
}

/// The process until it is reaped, shared by its owner and those who may kill it.
type Shared = Arc<Mutex<Option<Unreaped>>>;

fn lock(shared: &Shared) -> MutexGuard<'_, Option<Unreaped>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running child. Dropping it kills and reaps it.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    pidfd: OwnedFd,
    stderr: OwnedFd,
    unreaped: Shared,
}

impl Child {
    /// The child `pid`, which nobody else reaps.
    pub(crate) fn new(pid: Pid, pidfd: OwnedFd, stderr: OwnedFd, kill: Kill) -> Self {
        Self {
            pid,
            pidfd,
            stderr,
            unreaped: Arc::new(Mutex::new(Some(Unreaped { pid, kill }))),
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

    /// A handle with which another thread can kill the process.
    ///
    /// # Errors
    /// If the process has no descriptor left.
    pub fn killer(&self) -> Result<Killer, Error> {
        Ok(Killer {
            pidfd: self
                .pidfd
                .try_clone()
                .map_err(|e| Error::io("cannot duplicate a pidfd", e))?,
            unreaped: Arc::clone(&self.unreaped),
        })
    }

    /// Kills the process and what it has started. It has no effect on one that was reaped.
    pub fn kill(&self) {
        if let Some(unreaped) = &*lock(&self.unreaped) {
            unreaped.kill(self.pidfd());
        }
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
        Error::io(format!("cannot wait for process {}", self.pid()), cause)
    }

    fn reap(&self, options: WaitIdOptions) -> Result<Option<Ended>, Error> {
        // Its last figures can be read after it has ended and before it is reaped.
        let options = options | WaitIdOptions::NOWAIT;
        let exit = loop {
            match rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), options) {
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => {
                    if e == rustix::io::Errno::CHILD {
                        // Reaped elsewhere: its number is free.
                        *lock(&self.unreaped) = None;
                    }
                    return Err(self.failed(e));
                }
                Ok(None) => return Ok(None),
                Ok(Some(status)) => {
                    break status
                        .exit_status()
                        .map(Exit::Code)
                        .or_else(|| status.terminating_signal().map(Exit::Signal));
                }
            }
        };
        let guest_time = Stat::of(self.pid())
            .and_then(|stat| guest_time(&stat))
            .unwrap_or_default();
        let mut unreaped = lock(&self.unreaped);
        // Its descendants end with it, while its process number is still its own.
        if let Some(unreaped) = &*unreaped {
            unreaped.kill_group();
        }
        let usage = wait_for_usage(self.pid);
        *unreaped = None;
        drop(unreaped);
        let usage = usage?;
        Ok(exit.map(|exit| Ended {
            exit,
            usage: Usage {
                guest_time,
                ..usage
            },
        }))
    }
}

/// The time in which the process ran its guest.
fn guest_time(stat: &Stat) -> Option<Duration> {
    let per_second = rustix::param::clock_ticks_per_second();
    let ticks = stat.guest_ticks()?;
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
            return Err(Error::io(format!("cannot wait for process {pid}"), error));
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
        self.kill();
        if lock(&self.unreaped).is_some() {
            let _ = self.wait();
        }
    }
}

/// The right to kill one process, and no later one with its number.
#[derive(Debug)]
pub struct Killer {
    pidfd: OwnedFd,
    unreaped: Shared,
}

impl Killer {
    /// Kills the process and what it has started. It has no effect on one that was reaped.
    pub fn kill(&self) {
        if let Some(unreaped) = &*lock(&self.unreaped) {
            unreaped.kill(self.pidfd.as_fd());
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

    /// The process whose number the shell `child` prints.
    fn grandchild(child: &Child) -> OwnedFd {
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            let mut fds = [rustix::event::PollFd::from_borrowed_fd(
                child.stderr(),
                rustix::event::PollFlags::IN,
            )];
            rustix::event::poll(&mut fds, None).unwrap();
            let mut buffer = [0; 64];
            let count = rustix::io::read(child.stderr(), &mut buffer).unwrap();
            assert_ne!(count, 0, "the shell has ended");
            line.extend_from_slice(&buffer[..count]);
        }
        let pid = String::from_utf8(line).unwrap().trim().parse().unwrap();
        let pid = Pid::from_raw(pid).unwrap();
        rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap()
    }

    /// Waits until the process of `pidfd` has ended.
    fn expect_end(pidfd: &OwnedFd) {
        let mut fds = [rustix::event::PollFd::new(
            pidfd,
            rustix::event::PollFlags::IN,
        )];
        let minute = rustix::event::Timespec {
            tv_sec: 60,
            tv_nsec: 0,
        };
        assert_eq!(
            rustix::event::poll(&mut fds, Some(&minute)).unwrap(),
            1,
            "it lives"
        );
    }

    fn shell(script: &str) -> Child {
        let mut launch = Launch::new("/bin/sh".into());
        launch.args(["-c", script]);
        launch.spawn().unwrap()
    }

    #[test]
    fn what_a_child_started_is_killed_with_it() {
        let child = shell("sleep 1000 & echo $!; wait");
        let started = grandchild(&child);
        child.killer().unwrap().kill();
        expect_end(&started);
        assert_eq!(child.wait().unwrap().exit, Exit::Signal(libc::SIGKILL));
    }

    #[test]
    fn what_a_child_started_ends_when_the_child_does() {
        let child = shell("sleep 1000 & echo $!; exit 0");
        let started = grandchild(&child);
        assert_eq!(child.wait().unwrap().exit, Exit::Code(0));
        expect_end(&started);
        // A killer that comes late does no harm.
        child.kill();
    }

    #[test]
    fn a_child_begins_with_no_signal_blocked() {
        // The mask is this thread's alone.
        let set = crate::mask::of(&[libc::SIGTERM]);
        crate::mask::change(libc::SIG_BLOCK, &set).unwrap();
        let child = shell("kill -TERM $$; exit 7");
        assert_eq!(
            child.wait().unwrap().exit,
            Exit::Signal(libc::SIGTERM),
            "the signal was blocked"
        );
    }

    #[test]
    fn a_child_that_was_reaped_elsewhere_is_not_killed() {
        let child = shell("exit 0");
        let options = rustix::process::WaitOptions::empty();
        rustix::process::waitpid(Some(child.pid), options).unwrap();
        let killer = child.killer().unwrap();
        child.try_wait().unwrap_err();
        assert!(
            lock(&killer.unreaped).is_none(),
            "a process group with a reused number could be killed"
        );
    }

    #[test]
    fn guest_time_is_found_after_any_name() {
        let per_second = rustix::param::clock_ticks_per_second();
        let fields: Vec<String> = (3..=52).map(|n| (n * per_second).to_string()).collect();
        let stat = format!("17 (a) b) 99 {}", fields[1..].join(" "));
        let time = |text: &str| guest_time(&Stat::parse(text)?);
        assert_eq!(time(&stat), Some(Duration::from_secs(43 + 44)));
        assert_eq!(time("17 (a) 1 2 3"), None);
    }
}
