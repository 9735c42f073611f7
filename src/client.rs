// SPDX-License-Identifier: Apache-2.0
//! The client: the process that started this one.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags};
use std::io;
use std::os::fd::OwnedFd;

/// The client's process, held by a pidfd so that its number cannot come to mean another.
#[derive(Debug)]
pub struct Client {
    pid: Pid,
    pidfd: OwnedFd,
    uid: u32,
}

impl Client {
    /// The parent of this process.
    ///
    /// # Errors
    /// If the parent is already gone, or is outside this pid namespace.
    pub fn parent() -> io::Result<Self> {
        let parent = || {
            rustix::process::getppid().ok_or_else(|| {
                io::Error::other(
                    "the client is not in this process's pid namespace, so it cannot be identified",
                )
            })
        };
        let pid = parent()?;
        let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
        // Still the parent after the pidfd was made: the pidfd is the parent's. Had it died in
        // between, another process would be the parent now.
        if parent()? != pid {
            return Err(io::Error::other(
                "the client died while this program started",
            ));
        }
        Ok(Self {
            pid,
            pidfd,
            uid: rustix::process::getuid().as_raw(),
        })
    }

    /// The client's process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// The client's user, which is this process's own.
    #[must_use]
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// Whether the process still runs.
    ///
    /// # Errors
    /// If the pidfd cannot be polled.
    pub fn is_alive(&self) -> io::Result<bool> {
        let mut fds = [PollFd::new(&self.pidfd, PollFlags::IN)];
        poll(
            &mut fds,
            Some(&Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            }),
        )?;
        Ok(fds[0].revents().is_empty())
    }
}
