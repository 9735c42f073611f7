// SPDX-License-Identifier: Apache-2.0
//! Control of a running crosvm by its own front ends, such as `crosvm suspend SOCKET`. crosvm calls
//! the messages on that socket unstable; its front ends are always of the same version.

use super::displays::{self, UPDATED};
use super::status::from_extended_status;
use super::{NAME, unsupported};
use crate::child::{Child, Exit};
use crate::death::Status;
use crate::launch::Launch;
use crate::plan::{Balloon, Display, UsbDevice};
use crate::run::{self, RunError};
use crate::{Control, Error, Event};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use serde::Deserialize;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
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
    has_graphics: bool,
    /// What has to be answered before the guest counts as running, in order.
    steps: Vec<Step>,
    /// How many of them are.
    done: AtomicUsize,
}

/// What the front end has to know of a guest.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) balloon: Balloon,
    /// Whether the guest's start waits for a debugger.
    pub(super) waits: bool,
    pub(super) has_graphics: bool,
    /// What is plugged in once crosvm runs.
    pub(super) usb_devices: Vec<UsbDevice>,
}

/// One front end that runs while the VM starts.
#[derive(Debug)]
struct Step {
    task: Task,
    child: OnceLock<Child>,
}

#[derive(Debug)]
enum Task {
    /// Asks crosvm to resume the guest, which changes nothing, and is answered when the guest runs.
    Resume,
    /// A crosvm that waits for a debugger would not wait any more if it were asked to resume the
    /// guest, so it is asked something else. Any answer will do.
    Ask,
    /// Plugs in a device.
    Attach(UsbDevice),
}

/// The command that plugs in a device, for errors.
const ATTACH: &str = "usb attach";

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
        guest: Guest,
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
        let first = if guest.waits { Task::Ask } else { Task::Resume };
        let attach = guest.usb_devices.into_iter().map(Task::Attach);
        let steps = std::iter::once(first).chain(attach).map(|task| Step {
            task,
            child: OnceLock::new(),
        });
        Ok(Self {
            program: program.to_owned(),
            directory: folder,
            balloon: guest.balloon,
            has_graphics: guest.has_graphics,
            steps: steps.collect(),
            done: AtomicUsize::new(0),
        })
    }

    /// The step that is not answered yet.
    fn step(&self) -> Option<&Step> {
        self.steps.get(self.done.load(Ordering::Acquire))
    }

    /// Starts the front end of a step.
    fn begin(&self, step: &Step) -> Result<(), Error> {
        let child = match &step.task {
            Task::Resume => self.spawn(&["resume"], None)?,
            Task::Ask => self.spawn(&["usb", "list"], None)?,
            Task::Attach(device) => {
                let node = device.node.try_clone();
                let node = node.map_err(|e| Error::io("cannot duplicate a USB device", e))?;
                // crosvm does not look at the numbers.
                self.spawn(&["usb", "attach", "0:0:0:0"], Some(node))?
            }
        };
        step.child.get_or_init(|| child);
        Ok(())
    }

    /// What the end of a step's front end means: whether crosvm has answered it.
    fn answered(task: &Task, exit: Exit, said: &str) -> Result<bool, Error> {
        let is_reached = !said.contains("failed to connect") && !said.contains("failed to recv");
        match task {
            Task::Resume => Ok(exit == Exit::Code(0)),
            Task::Ask => Ok(exit == Exit::Code(0) || !said.contains("failed to")),
            // Whatever the answer is, the front end ends well.
            Task::Attach(_) if said.lines().any(|line| line.starts_with("ok ")) => Ok(true),
            Task::Attach(device) if is_reached => Err(Error::Refused {
                command: ATTACH,
                answer: format!(
                    "{:04x}:{:04x}: {}",
                    device.vendor,
                    device.product,
                    one_line(said)
                ),
            }),
            Task::Attach(_) => Ok(false),
        }
    }

    /// Starts a front end, with the path of `file` after the arguments.
    fn spawn(&self, arguments: &[&str], file: Option<OwnedFd>) -> Result<Child, Error> {
        let directory = self
            .directory
            .try_clone()
            .map_err(|e| Error::io("cannot duplicate a directory's descriptor", e))?;
        let mut launch = Launch::new(self.program.clone());
        launch.args(["--log-level", "warn", "--no-syslog"]);
        launch.args(arguments);
        if let Some(file) = file {
            let file = launch.pass_path(file);
            launch.arg(file);
        }
        let socket = format!("{}/{SOCKET}", launch.pass_path(directory));
        launch.arg(socket);
        launch.spawn()
    }

    /// Runs a front end and returns what it printed.
    fn command(&self, name: &'static str, arguments: &[&str]) -> Result<String, Error> {
        let child = self.spawn(arguments, None)?;
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

    fn check_balloon(&self) -> Result<(), Error> {
        match self.balloon {
            Balloon::PageReporting => Ok(()),
            Balloon::Absent => Err(Error::NoBalloon),
        }
    }

    /// Runs the front end for displays.
    fn gpu(&self, call: &str, name: &'static str, arguments: &[&str]) -> Result<String, Error> {
        if !self.has_graphics {
            return Err(unsupported(format!(
                "{call}: the VM has no graphics processor; create it with gpuConfig or displayConfig"
            )));
        }
        self.command(name, &[&["gpu"], arguments].concat())
    }

    /// The same, for a command that changes the displays.
    fn change_displays(
        &self,
        call: &str,
        name: &'static str,
        arguments: &[&str],
    ) -> Result<(), Error> {
        let answer = self.gpu(call, name, arguments)?;
        // Whatever the answer is, the front end ends well.
        if answer.lines().any(|line| line.trim() == UPDATED) {
            return Ok(());
        }
        Err(Error::Refused {
            command: name,
            answer: one_line(&answer),
        })
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
    fn spawned(&self) -> Result<(), Error> {
        self.step().map_or(Ok(()), |step| self.begin(step))
    }

    fn event_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.step()?.child.get()?.pidfd())
    }

    fn events(&self) -> Result<Vec<Event>, Error> {
        // Only the thread that owns the VM calls this.
        let Some(step) = self.step() else {
            return Ok(Vec::new());
        };
        let Some(child) = step.child.get() else {
            return Ok(Vec::new());
        };
        let Some(ended) = child.try_wait()? else {
            return Ok(Vec::new());
        };
        let mut said = Vec::new();
        run::drain(child, &mut said);
        let said = String::from_utf8_lossy(&said);
        let answered = Self::answered(&step.task, ended.exit, &said);
        if !matches!(answered, Ok(true)) {
            // No further step begins.
            self.done.store(self.steps.len(), Ordering::Release);
            answered?;
            // crosvm has ended or is about to.
            log::debug!("{NAME} did not answer: {}", said.trim());
            return Ok(vec![Event::Closed]);
        }
        self.done.fetch_add(1, Ordering::AcqRel);
        match self.step() {
            Some(next) => self.begin(next).map(|()| Vec::new()),
            None => Ok(vec![Event::Ready]),
        }
    }

    fn suspend(&self) -> Result<(), Error> {
        self.command("suspend", &["suspend"]).map(drop)
    }

    fn resume(&self) -> Result<(), Error> {
        self.command("resume", &["resume"]).map(drop)
    }

    fn balloon(&self) -> Result<u64, Error> {
        self.check_balloon()?;
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
        self.check_balloon()?;
        self.command("balloon", &["balloon", &bytes.to_string()])
            .map(drop)
    }

    fn add_display(&self, display: &Display) -> Result<(), Error> {
        let display = displays::argument(display);
        self.change_displays(
            "addDisplay",
            "gpu add-displays",
            &["add-displays", &display],
        )
    }

    fn remove_display(&self, number: u32) -> Result<(), Error> {
        let number = format!("--display-id={number}");
        self.change_displays(
            "removeDisplay",
            "gpu remove-displays",
            &["remove-displays", &number],
        )
    }

    fn displays(&self) -> Result<Vec<(u32, Display)>, Error> {
        let answer = self.gpu("getDisplays", "gpu list-displays", &["list-displays"])?;
        displays::listed(&answer).map_err(|e| Error::Protocol {
            what: format!("answer to gpu list-displays: {e}: {}", one_line(&answer)),
        })
    }

    fn exit_status(&self, code: i32) -> Status {
        Status::Means(from_extended_status(code))
    }
}
