// SPDX-License-Identifier: Apache-2.0
//! Starting a child process with inherited descriptors.

use crate::Error;
use crate::child::Child;
use command_fds::CommandFdExt;
use rustix::process::{Pid, PidfdFlags, Signal};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A command line and the descriptors that it refers to by number.
#[derive(Debug)]
pub struct Launch {
    program: PathBuf,
    args: Vec<OsString>,
    fds: Vec<OwnedFd>,
}

impl Launch {
    /// A command line of `program` alone.
    #[must_use]
    pub fn new(program: PathBuf) -> Self {
        Self {
            program,
            args: Vec::new(),
            fds: Vec::new(),
        }
    }

    /// Adds one argument.
    pub fn arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds several arguments.
    pub fn args<A: AsRef<OsStr>>(&mut self, args: impl IntoIterator<Item = A>) -> &mut Self {
        self.args
            .extend(args.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }

    /// Hands `fd` to the child and returns its number there.
    ///
    /// The number is that of this process: it is in use here, so nothing that the standard library
    /// opens for the start can have it.
    pub fn pass(&mut self, fd: OwnedFd) -> RawFd {
        let number = fd.as_raw_fd();
        self.fds.push(fd);
        number
    }

    /// The arguments so far, without the program.
    #[must_use]
    pub fn arguments(&self) -> &[OsString] {
        &self.args
    }

    /// Starts the child. It is killed when the *calling thread* ends, and its output and errors go
    /// to [`Child::stderr`].
    ///
    /// Returns when the program has been executed.
    ///
    /// # Errors
    /// If a pipe or the process cannot be made, or the program cannot be executed.
    pub fn spawn(self) -> Result<Child, Error> {
        let what = || format!("start {}", self.program.display());
        let (stderr, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
            .map_err(|e| Error::io("make a pipe for the errors of a child", e))?;
        rustix::io::ioctl_fionbio(&stderr, true)
            .map_err(|e| Error::io("make a pipe non-blocking", e))?;
        let stdout = write
            .try_clone()
            .map_err(|e| Error::io("duplicate a pipe", e))?;
        let mut command = Command::new(&self.program);
        command
            .args(&self.args)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(write);
        command.preserved_fds(self.fds);
        die_with_parent(&mut command);
        let child = command.spawn().map_err(|e| Error::io(what(), e))?;
        let pid = Pid::from_child(&child);
        // Not reaped yet, so the number is still the child's.
        let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())
            .map_err(|e| Error::io("open a pidfd", e))?;
        Ok(Child::new(pid, pidfd, stderr))
    }
}

/// Has the kernel kill the child when the thread that started it ends, on whatever path.
#[expect(unsafe_code, reason = "code between fork and exec has no safe form")]
fn die_with_parent(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    let parent = rustix::process::getpid();
    let hook = move || {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // The parent may have died before the line above.
        if rustix::process::getppid() != Some(parent) {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        Ok(())
    };
    // SAFETY: the hook makes two system calls, allocates nothing and takes no lock, so it may run
    // between fork and exec of a process with several threads.
    unsafe { command.pre_exec(hook) };
}
