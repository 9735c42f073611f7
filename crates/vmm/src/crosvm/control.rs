// SPDX-License-Identifier: Apache-2.0
//! Control of a running crosvm by its own front ends, such as `crosvm suspend SOCKET`. crosvm calls
//! the messages on that socket unstable; its front ends are always of the same version.

use super::NAME;
use super::status::from_extended_status;
use crate::child::{Child, Exit};
use crate::death::Status;
use crate::launch::Launch;
use crate::plan::Balloon;
use crate::run::{self, RunError};
use crate::{Control, Error, Event};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use serde::Deserialize;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The control socket's name in the VM's directory.
const SOCKET: &str = "crosvm.sock";
/// How long a command may take before crosvm counts as hung. The size of a balloon is asked of the
/// guest, which may not answer at all.
const ANSWER: Duration = Duration::from_secs(30);
/// Requests that may wait for crosvm to begin.
const BACKLOG: i32 = 16;

/// Control of one crosvm.
#[derive(Debug)]
pub(super) struct Frontend {
    program: PathBuf,
    /// The VM's directory, by a descriptor: its path may be too long for a socket's address.
    directory: OwnedFd,
    balloon: Balloon,
    /// Whether the guest's start waits for a debugger.
    waits: bool,
    /// A command that crosvm answers when it runs the guest.
    probe: OnceLock<Child>,
    answered: AtomicBool,
}

/// The answer of `balloon_stats`.
#[derive(Debug, Deserialize)]
struct Stats {
    #[serde(rename = "BalloonStats")]
    stats: Actual,
}

#[derive(Debug, Deserialize)]
struct Actual {
    balloon_actual: u64,
}

impl Frontend {
    /// Makes the control socket and adds it to `launch`.
    pub(super) fn attach(
        launch: &mut Launch,
        program: &Path,
        directory: &Path,
        balloon: Balloon,
        waits: bool,
    ) -> Result<Self, Error> {
        let what = || format!("cannot listen on {}/{SOCKET}", directory.display());
        let io = |e: Errno| Error::io(what(), e);
        let flags =
            rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
        let folder = rustix::fs::open(directory, flags, rustix::fs::Mode::empty()).map_err(io)?;
        let listener = rustix::net::socket_with(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .map_err(io)?;
        let short = format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd());
        let address = SocketAddrUnix::new(short).map_err(io)?;
        rustix::net::bind(&listener, &address).map_err(io)?;
        rustix::net::listen(&listener, BACKLOG).map_err(io)?;
        let socket = launch.pass_path(listener);
        launch.args(["--socket", &socket]);
        Ok(Self {
            program: program.to_owned(),
            directory: folder,
            balloon,
            waits,
            probe: OnceLock::new(),
            answered: AtomicBool::new(false),
        })
    }

    /// Starts a front end.
    fn spawn(&self, arguments: &[&str]) -> Result<Child, Error> {
        let directory = self
            .directory
            .try_clone()
            .map_err(|e| Error::io("cannot duplicate a directory's descriptor", e))?;
        let mut launch = Launch::new(self.program.clone());
        launch.args(["--log-level", "warn", "--no-syslog"]);
        launch.args(arguments);
        let socket = format!("{}/{SOCKET}", launch.pass_path(directory));
        launch.arg(socket);
        launch.spawn()
    }

    /// Runs a front end and returns what it printed.
    fn command(&self, name: &'static str, arguments: &[&str]) -> Result<String, Error> {
        let child = self.spawn(arguments)?;
        let gone = || Error::Gone { command: name };
        let output = run::to_end(&child, ANSWER).map_err(|e| match e {
            RunError::Failed(e) => e,
            RunError::TimedOut(_) => gone(),
        })?;
        let text = output.text.trim();
        match output.exit {
            Exit::Code(0) => Ok(text.to_owned()),
            _ if text.contains("failed to connect") || text.contains("failed to recv") => {
                Err(gone())
            }
            _ => Err(Error::Refused {
                command: name,
                answer: one_line(text),
            }),
        }
    }

    fn has_balloon(&self) -> Result<(), Error> {
        if self.balloon == Balloon::Absent {
            return Err(Error::NoBalloon);
        }
        Ok(())
    }
}

/// What a front end printed, as a part of a message of one line.
fn one_line(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .collect();
    lines.join("; ")
}

impl Control for Frontend {
    /// Asks crosvm to resume the guest, which changes nothing, and is answered when the guest runs.
    /// A crosvm that waits for a debugger would not wait any more, so it is asked something else.
    fn spawned(&self) -> Result<(), Error> {
        let arguments: &[&str] = if self.waits {
            &["usb", "list"]
        } else {
            &["resume"]
        };
        let child = self.spawn(arguments)?;
        self.probe.get_or_init(|| child);
        Ok(())
    }

    fn event_fd(&self) -> Option<BorrowedFd<'_>> {
        let probe = self.probe.get()?;
        (!self.answered.load(Ordering::Acquire)).then(|| probe.pidfd())
    }

    fn events(&self) -> Result<Vec<Event>, Error> {
        let Some(probe) = self.probe.get() else {
            return Ok(Vec::new());
        };
        // Only the thread that owns the VM calls this.
        if self.answered.load(Ordering::Acquire) {
            return Ok(Vec::new());
        }
        let Some(ended) = probe.try_wait()? else {
            return Ok(Vec::new());
        };
        self.answered.store(true, Ordering::Release);
        let exit = ended.exit;
        let mut said = Vec::new();
        run::drain(probe, &mut said);
        let said = String::from_utf8_lossy(&said);
        // Any answer will do; without one, crosvm has ended or is about to.
        if exit == Exit::Code(0) || (self.waits && !said.contains("failed to")) {
            return Ok(vec![Event::Ready]);
        }
        log::debug!("{NAME} did not answer: {}", said.trim());
        Ok(vec![Event::Closed])
    }

    fn suspend(&self) -> Result<(), Error> {
        self.command("suspend", &["suspend"]).map(drop)
    }

    fn resume(&self) -> Result<(), Error> {
        self.command("resume", &["resume"]).map(drop)
    }

    fn balloon(&self) -> Result<u64, Error> {
        self.has_balloon()?;
        let answer = self.command("balloon_stats", &["balloon_stats"])?;
        let json = answer.find('{').map_or("", |start| &answer[start..]);
        let mut stream = serde_json::Deserializer::from_str(json).into_iter::<Stats>();
        match stream.next() {
            Some(Ok(stats)) => Ok(stats.stats.balloon_actual),
            _ => Err(Error::Protocol {
                what: format!("answer to balloon_stats: {}", one_line(&answer)),
            }),
        }
    }

    fn set_balloon(&self, bytes: u64) -> Result<(), Error> {
        self.has_balloon()?;
        self.command("balloon", &["balloon", &bytes.to_string()])
            .map(drop)
    }

    fn exit_status(&self, code: i32) -> Status {
        Status::Means(from_extended_status(code))
    }
}
