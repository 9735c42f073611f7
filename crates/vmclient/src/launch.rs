// SPDX-License-Identifier: Apache-2.0
//! Starting a manager's process: with two descriptors, until it says that it is ready.

use crate::error::{Error, NotReady};
use crate::options::{LogHandler, ManagerOptions, Stderr};
use crate::reader::{Lines, Reader, TAIL_BYTES, Tail};
use command_fds::CommandFdExt;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, Signal};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Tells this project's managers which release their client speaks; others do not know it.
const WIRE_VARIABLE: &str = "VIRTMGR_WIRE";

/// How long a manager whose channels are closed may take to be a dead process.
const EXIT_GRACE: Duration = Duration::from_secs(2);

/// A manager that said that it is ready. Dropping this leaves it running.
///
/// The process is signalled and waited for by its pidfd alone: a program that reaps children it
/// does not know, as some written in C do, may have freed the number for another process.
#[derive(Debug)]
pub(crate) struct Launched {
    pub(crate) program: PathBuf,
    pub(crate) socket: OwnedFd,
    pub(crate) exit: Exit,
    pub(crate) log: Log,
}

impl Launched {
    /// Starts the manager and waits until it is ready. If it does not get ready, no process is left.
    pub(crate) fn start(options: &ManagerOptions) -> Result<Self, Error> {
        let (socket, server) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )
        .map_err(Error::system("cannot make the bootstrap socketpair"))?;
        let (ready, ready_writer) =
            pipe_with(PipeFlags::CLOEXEC).map_err(Error::system("cannot make the ready pipe"))?;
        let [socket, server, ready_writer] = [socket, server, ready_writer].map(past_standard);
        let (socket, server, ready_writer) = (socket?, server?, ready_writer?);
        // The reader runs before there is a process, so that no failure of it leaves one.
        let (log, stderr) = Log::start(options.stderr, options.on_log.clone())?;

        let (program, mut args) = options.command_line();
        args.extend([
            "--rpc-server-fd".into(),
            server.as_raw_fd().to_string().into(),
            "--ready-fd".into(),
            ready_writer.as_raw_fd().to_string().into(),
        ]);
        let mut command = Command::new(&program);
        if let Some(release) = options.release {
            // What this client speaks is known, so calls that do not show it are understood, too.
            command.env(WIRE_VARIABLE, release.name());
        }
        command
            .args(args)
            .envs(options.env.iter().map(|(k, v)| (k, v)));
        if options.own_process_group {
            command.process_group(0);
        }
        if let Some(writer) = stderr {
            command.stderr(writer);
        }
        command.preserved_fds(vec![server, ready_writer]);
        let child = command.spawn().map_err(|source| Error::Spawn {
            program: program.clone(),
            source,
        })?;
        // The command holds the manager's ends: only without them the ends mean anything.
        drop(command);

        let launched = Self {
            program: options.program.clone(),
            socket,
            exit: Exit::of(child)?,
            log,
        };
        launched
            .wait_ready(&ready, options.ready_timeout)
            .inspect_err(|_| {
                launched.exit.kill();
            })?;
        Ok(launched)
    }

    /// Waits for the byte `o`.
    fn wait_ready(&self, ready: &OwnedFd, timeout: Duration) -> Result<(), Error> {
        let deadline = Instant::now().checked_add(timeout);
        // Both at once: a child of the manager's might keep the pipe open after its death.
        if !poll_any(&[ready, &self.exit.pidfd], deadline)
            .map_err(Error::system("cannot wait for the VM manager"))?
        {
            return Err(self.not_ready(NotReady::Silent(timeout)));
        }
        let mut byte = [0u8];
        let got = if poll_any(&[ready], Some(Instant::now())).unwrap_or(false) {
            rustix::io::read(ready, &mut byte)
                .map_err(Error::system("cannot read the ready pipe"))?
        } else {
            0
        };
        match (got, byte[0]) {
            (1, b'o') => Ok(()),
            (1, other) => Err(self.not_ready(NotReady::Word(other))),
            _ => Err(self.not_ready(match self.exit.within(EXIT_GRACE) {
                Some(status) => NotReady::Ended(status),
                None => NotReady::Closed,
            })),
        }
    }

    fn not_ready(&self, cause: NotReady) -> Error {
        self.exit.kill();
        Error::NotReady {
            program: self.program.clone(),
            cause,
            log: self.last_words(),
        }
    }

    /// How the manager ended, for an error's text, if it does so now.
    pub(crate) fn how_it_ended(&self) -> String {
        match self.exit.within(EXIT_GRACE) {
            Some(status) => status.to_string() + &self.last_words(),
            // It may write more, so its log is read on.
            None => "it runs, but has closed its session".to_owned(),
        }
    }

    /// The end of a dead manager's log in one line, to be appended to an error's text.
    fn last_words(&self) -> String {
        self.log.end();
        if self.log.is_told {
            return String::new();
        }
        let lines = last_lines(&self.log.text());
        if lines.is_empty() {
            return lines;
        }
        format!("; it wrote: {lines}")
    }
}

/// The last lines of `text` in one, without control characters: a log may quote a guest.
fn last_lines(text: &str) -> String {
    const LINES: usize = 3;
    let mut lines: Vec<&str> = text
        .lines()
        .rev()
        .filter(|line| !line.trim().is_empty())
        .take(LINES)
        .collect();
    lines.reverse();
    let mut shown = String::new();
    for c in lines.join("; ").chars() {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Moves a descriptor out of the numbers of standard input, output and error, which are free in a
/// program that closed its own.
fn past_standard(fd: OwnedFd) -> Result<OwnedFd, Error> {
    const FIRST: i32 = 3;
    if fd.as_raw_fd() >= FIRST {
        return Ok(fd);
    }
    rustix::io::fcntl_dupfd_cloexec(&fd, FIRST)
        .map_err(Error::system("cannot duplicate a descriptor"))
}

/// What is kept of a manager's standard error.
#[derive(Debug)]
pub(crate) struct Log {
    words: Arc<Mutex<Tail>>,
    /// A handler has received it line by line, so errors need not repeat it.
    is_told: bool,
    reader: Mutex<Option<Reader>>,
}

impl Log {
    /// A log, and what the manager gets as its standard error, unless that of the client.
    fn start(kind: Stderr, on_log: Option<LogHandler>) -> Result<(Self, Option<OwnedFd>), Error> {
        let is_told = on_log.is_some();
        let words = Arc::new(Mutex::new(Tail::new(TAIL_BYTES)));
        let copy = match kind {
            Stderr::Inherit => {
                let reader = Mutex::new(None);
                let log = Self {
                    words,
                    is_told,
                    reader,
                };
                return Ok((log, None));
            }
            Stderr::Keep => None,
            // A client without standard error has nowhere to copy to.
            Stderr::KeepAndCopy => io::stderr().as_fd().try_clone_to_owned().ok(),
        };
        let (read_end, write_end) = pipe_with(PipeFlags::CLOEXEC)
            .map_err(Error::system("cannot make a pipe for the VM manager's log"))?;
        let kept = Arc::clone(&words);
        let mut lines = on_log.map(Lines::new);
        let reader = Reader::start("manager-stderr", read_end, move |chunk| {
            if let Some(copy) = &copy {
                write_all(copy, chunk);
            }
            kept.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(chunk);
            if let Some(lines) = &mut lines {
                lines.push(chunk);
            }
        })?;
        let reader = Mutex::new(Some(reader));
        let log = Self {
            words,
            is_told,
            reader,
        };
        Ok((log, Some(write_end)))
    }

    /// The end of what the manager wrote so far.
    pub(crate) fn text(&self) -> String {
        self.words
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .text()
    }

    /// Reads what is still in the pipe, and joins the thread.
    pub(crate) fn end(&self) {
        self.reader
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }
}

/// Writes `bytes` as far as possible. If the client's standard error is closed, reading goes on
/// nevertheless, as the manager would block otherwise.
fn write_all(fd: &OwnedFd, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match rustix::io::write(fd, bytes) {
            Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

/// The end of a child process, held by its pidfd.
#[derive(Debug)]
pub(crate) struct Exit {
    pid: u32,
    pidfd: OwnedFd,
    status: OnceLock<Option<ExitStatus>>,
}

impl Exit {
    #[allow(
        clippy::needless_pass_by_value,
        reason = "nothing else may wait for it"
    )]
    fn of(mut child: std::process::Child) -> Result<Self, Error> {
        match rustix::process::pidfd_open(Pid::from_child(&child), PidfdFlags::empty()) {
            Ok(pidfd) => Ok(Self {
                pid: child.id(),
                pidfd,
                status: OnceLock::new(),
            }),
            Err(e) => {
                // No such process: it ended, and someone else has reaped it.
                if e != Errno::SRCH {
                    // It is our child and not reaped, so this is it; it may have ended already.
                    let _ = child.kill();
                    let _ = child.wait();
                }
                Err(Error::System {
                    what: "cannot open the VM manager's pidfd",
                    source: e.into(),
                })
            }
        }
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// The exit status, if the process ends within `time`.
    pub(crate) fn within(&self, time: Duration) -> Option<ExitStatus> {
        let exited = poll_any(&[&self.pidfd], Instant::now().checked_add(time)).unwrap_or(false);
        if exited { self.wait() } else { None }
    }

    /// Waits for the end and reaps the process. `None` if someone else did.
    pub(crate) fn wait(&self) -> Option<ExitStatus> {
        *self.status.get_or_init(|| {
            loop {
                match waitid(Id::PIDFd(self.pidfd.as_fd()), WaitPidFlag::WEXITED) {
                    Ok(WaitStatus::Exited(_, code)) => {
                        return Some(ExitStatus::from_raw((code & 0xff) << 8));
                    }
                    Ok(WaitStatus::Signaled(_, signal, core)) => {
                        let core = if core { 0x80 } else { 0 };
                        return Some(ExitStatus::from_raw(signal as i32 | core));
                    }
                    Err(nix::errno::Errno::EINTR) => {}
                    Ok(_) | Err(_) => return None,
                }
            }
        })
    }

    /// Kills the process and reaps it.
    pub(crate) fn kill(&self) -> Option<ExitStatus> {
        // It fails if the process is dead already, which is what was wanted.
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
        self.wait()
    }
}

/// Whether one of `fds` is readable or closed before `deadline`. Without one it waits forever.
fn poll_any(fds: &[&OwnedFd], deadline: Option<Instant>) -> io::Result<bool> {
    let mut fds: Vec<_> = fds
        .iter()
        .map(|fd| PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN))
        .collect();
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        // A time too long for the kernel is not a limit.
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut fds, left.as_ref()) {
            Ok(n) => return Ok(n > 0),
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::last_lines;

    #[test]
    fn a_log_ends_in_one_line_that_no_terminal_obeys() {
        assert_eq!(last_lines("\n \n"), "");
        assert_eq!(last_lines("a\nb\n\nc\nd\x1b[2J\n"), "b; c; d\\u{1b}[2J");
    }
}
