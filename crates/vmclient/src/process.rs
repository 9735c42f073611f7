// SPDX-License-Identifier: Apache-2.0
//! The manager's process: started with two descriptors, waited for, ended.

use crate::manager::{ManagerOptions, Stderr};
use crate::reader::{Lines, Reader, Tail};
use crate::{Error, TAIL_BYTES};
use command_fds::CommandFdExt;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a manager whose channels are closed may take to be a dead process.
const EXIT_GRACE: Duration = Duration::from_secs(2);

/// A running manager.
#[derive(Debug)]
pub(crate) struct Process {
    program: PathBuf,
    child: Mutex<Child>,
    pidfd: OwnedFd,
    socket: OwnedFd,
    end_timeout: Duration,
    words: Arc<Mutex<Tail>>,
    /// Someone has been given the log line by line, and need not be told again in an error.
    is_told: bool,
    reader: Mutex<Option<Reader>>,
}

impl Process {
    /// Starts the manager and waits until it is ready.
    pub(crate) fn start(options: &ManagerOptions) -> Result<Self, Error> {
        let (socket, server) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )
        .map_err(Error::system("make the bootstrap socketpair"))?;
        let (ready, ready_writer) =
            pipe_with(PipeFlags::CLOEXEC).map_err(Error::system("make the ready pipe"))?;
        let (stderr, stderr_writer) = match options.stderr {
            Stderr::Inherit => (None, None),
            Stderr::Keep => {
                let (read_end, write_end) = pipe_with(PipeFlags::CLOEXEC)
                    .map_err(Error::system("make a pipe for the manager's log"))?;
                (Some(read_end), Some(write_end))
            }
        };

        let (program, mut args) = options.command_line();
        args.extend([
            "--rpc-server-fd".into(),
            server.as_raw_fd().to_string().into(),
            "--ready-fd".into(),
            ready_writer.as_raw_fd().to_string().into(),
        ]);
        let mut command = Command::new(&program);
        command
            .args(args)
            .envs(options.env.iter().map(|(k, v)| (k, v)));
        if options.own_process_group {
            command.process_group(0);
        }
        if let Some(writer) = stderr_writer {
            command.stderr(writer);
        }
        command.preserved_fds(vec![server, ready_writer]);
        let child = command.spawn().map_err(|source| Error::Spawn {
            program: program.clone(),
            source,
        })?;
        // The command holds the manager's ends: only without them the ends mean anything.
        drop(command);

        let pidfd = rustix::process::pidfd_open(Pid::from_child(&child), PidfdFlags::empty());
        let pidfd = match pidfd {
            Ok(pidfd) => pidfd,
            Err(e) => {
                let mut child = child;
                // It is our child and not reaped, so this is it; it may have ended already.
                let _ = child.kill();
                let _ = child.wait();
                return Err(Error::System {
                    what: "open the manager's pidfd",
                    source: e.into(),
                });
            }
        };
        let process = Self {
            program: options.program.clone(),
            child: Mutex::new(child),
            pidfd,
            socket,
            end_timeout: options.end_timeout,
            words: Arc::new(Mutex::new(Tail::new(TAIL_BYTES))),
            is_told: options.on_log.is_some(),
            reader: Mutex::new(None),
        };
        if let Some(stderr) = stderr {
            let words = Arc::clone(&process.words);
            let mut lines = options.on_log.clone().map(Lines::new);
            let reader = Reader::start("manager-stderr", stderr, move |chunk| {
                words
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(chunk);
                if let Some(lines) = &mut lines {
                    lines.push(chunk);
                }
            })?;
            *process
                .reader
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Some(reader);
        }
        process.wait_ready(&ready, options.ready_timeout)?;
        Ok(process)
    }

    /// Waits for the byte `o`.
    fn wait_ready(&self, ready: &OwnedFd, timeout: Duration) -> Result<(), Error> {
        let not_ready = |what: String| {
            Err(Error::NotReady {
                program: self.program.clone(),
                what: what + &self.last_words(),
            })
        };
        let deadline = Instant::now().checked_add(timeout);
        // Both at once: a child of the manager's might keep the pipe open after its death.
        if !poll_any(&[ready, &self.pidfd], deadline)
            .map_err(Error::system("wait for the manager"))?
        {
            self.kill();
            return not_ready(format!("no word from it in {} s", timeout.as_secs_f32()));
        }
        let mut byte = [0u8];
        let got = if poll_any(&[ready], Some(Instant::now())).unwrap_or(false) {
            rustix::io::read(ready, &mut byte).map_err(Error::system("read the ready pipe"))?
        } else {
            0
        };
        match (got, byte[0]) {
            (1, b'o') => Ok(()),
            (1, other) => {
                self.kill();
                not_ready(format!(
                    "it said {:?} where `o` was due; is it a VM manager?",
                    char::from(other)
                ))
            }
            _ => match self.exit_within(EXIT_GRACE) {
                Some(status) => not_ready(format!("it ended at once ({status})")),
                None => {
                    self.kill();
                    not_ready("it closed the ready pipe without a word".into())
                }
            },
        }
    }

    /// The manager's program.
    pub(crate) fn program(&self) -> &PathBuf {
        &self.program
    }

    /// The manager's process id.
    pub(crate) fn id(&self) -> u32 {
        self.child
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .id()
    }

    /// The bootstrap socket.
    pub(crate) fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    /// Tells the manager to end: for it, the client is gone.
    pub(crate) fn hang_up(&self) {
        // It fails if the manager is gone, which is what was wanted.
        let _ = rustix::net::shutdown(&self.socket, Shutdown::Both);
    }

    /// Hangs up and waits for the manager's end; kills it if it does not come.
    pub(crate) fn end(&self) -> Option<ExitStatus> {
        self.hang_up();
        let status = self.exit_within(self.end_timeout).or_else(|| self.kill());
        self.reader
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        status
    }

    /// How the manager ended, for an error's text, if it does so now.
    pub(crate) fn how_it_ended(&self) -> String {
        match self.exit_within(EXIT_GRACE) {
            Some(status) => status.to_string() + &self.last_words(),
            // It may have more to say, so its log is read on.
            None => "it runs, but its session has ended".to_owned(),
        }
    }

    /// What the manager wrote, if that was kept.
    pub(crate) fn log(&self) -> String {
        self.words
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .text()
    }

    /// The end of a dead manager's log, to be appended to an error's text.
    fn last_words(&self) -> String {
        // This reads what is still in the pipe.
        self.reader
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let log = self.log();
        let text = log.trim_end();
        if text.is_empty() || self.is_told {
            String::new()
        } else {
            format!("; it wrote:\n{text}")
        }
    }

    fn exit_within(&self, time: Duration) -> Option<ExitStatus> {
        let exited = poll_any(&[&self.pidfd], Instant::now().checked_add(time)).unwrap_or(false);
        if !exited {
            return None;
        }
        self.child
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .try_wait()
            .ok()
            .flatten()
    }

    fn kill(&self) -> Option<ExitStatus> {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        // It fails if the manager is dead already, which is what was wanted.
        let _ = child.kill();
        child.wait().ok()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// Whether one of `fds` gets readable or closed before `deadline` (none: waits for ever).
fn poll_any(fds: &[&OwnedFd], deadline: Option<Instant>) -> io::Result<bool> {
    let mut fds: Vec<_> = fds
        .iter()
        .map(|fd| PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN))
        .collect();
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        // A time too long for the kernel is no limit.
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut fds, left.as_ref()) {
            Ok(n) => return Ok(n > 0),
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}
