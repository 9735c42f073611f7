// SPDX-License-Identifier: Apache-2.0
//! Starting a child process with inherited descriptors.

use crate::Error;
use crate::child::{Child, Kill};
use crate::{mask, supervise};
use command_fds::CommandFdExt;
use host::with_remedy;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A command line and the descriptors that it refers to by number.
#[derive(Debug)]
pub struct Launch {
    program: PathBuf,
    name: Option<OsString>,
    args: Vec<OsString>,
    variables: Vec<(&'static str, OsString)>,
    fds: Vec<OwnedFd>,
    directory: Option<PathBuf>,
    discards_stderr: bool,
    has_own_group: bool,
}

impl Launch {
    /// A command line of `program` alone.
    #[must_use]
    pub fn new(program: PathBuf) -> Self {
        Self {
            program,
            name: None,
            args: Vec::new(),
            variables: Vec::new(),
            fds: Vec::new(),
            directory: None,
            discards_stderr: false,
            has_own_group: true,
        }
    }

    /// Has process lists show `name` in place of the program's path. A script keeps its path.
    pub fn name(&mut self, name: impl Into<OsString>) -> &mut Self {
        self.name = Some(name.into());
        self
    }

    /// Sets a variable of the child's environment.
    pub fn variable(&mut self, name: &'static str, value: impl Into<OsString>) -> &mut Self {
        self.variables.push((name, value.into()));
        self
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
    /// The number is the same as in this process: it is in use here, so nothing that the standard
    /// library opens for the start can have it.
    pub fn pass(&mut self, fd: OwnedFd) -> RawFd {
        let number = fd.as_raw_fd();
        self.fds.push(fd);
        number
    }

    /// Hands `fd` to the child and returns the path by which the child can open it.
    pub fn pass_path(&mut self, fd: OwnedFd) -> String {
        format!("/proc/self/fd/{}", self.pass(fd))
    }

    /// Runs the child in `directory`.
    pub fn current_dir(&mut self, directory: &Path) -> &mut Self {
        self.directory = Some(directory.to_owned());
        self
    }

    /// Keeps the child's errors out of [`Child::stderr`].
    pub fn discard_stderr(&mut self) -> &mut Self {
        self.discards_stderr = true;
        self
    }

    /// Leaves the child in this process's process group: a terminal may be read from the
    /// foreground group only. What the child itself starts may then outlive it.
    pub fn stay_in_group(&mut self) -> &mut Self {
        self.has_own_group = false;
        self
    }

    /// The arguments so far, without the program.
    #[must_use]
    pub fn arguments(&self) -> &[OsString] {
        &self.args
    }

    /// The variables that the child gets besides this process's own.
    #[must_use]
    pub fn variables(&self) -> &[(&'static str, OsString)] {
        &self.variables
    }

    /// Starts the child. It is killed when the *calling thread* ends, and its output and errors go
    /// to [`Child::stderr`].
    ///
    /// The child is the leader of a process group, which is killed with it. Returns when the
    /// program has been executed.
    ///
    /// # Errors
    /// If a pipe or the process cannot be made, or the program cannot be executed.
    pub fn spawn(self) -> Result<Child, Error> {
        let program = self.program.clone();
        self.start(&program, &[], Signal::KILL)
    }

    /// As [`Launch::spawn`], but a program that is a script runs under a supervisor: this program,
    /// by its command [`supervise::COMMAND`]. The kernel ends no more than the script itself when
    /// the calling thread ends; the supervisor ends everything that the script has started.
    ///
    /// # Errors
    /// As for [`Launch::spawn`].
    pub fn spawn_supervised(mut self) -> Result<Child, Error> {
        if !supervise::is_needed(&self.program) {
            return self.spawn();
        }
        // The supervisor keeps its own name, and a script's interpreter gets the script's path.
        self.name = None;
        let arguments = supervise::arguments(&self.program);
        self.start(Path::new("/proc/self/exe"), &arguments, Signal::TERM)
    }

    fn start(
        self,
        program: &Path,
        first_arguments: &[OsString],
        signal: Signal,
    ) -> Result<Child, Error> {
        let (stderr, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
            .map_err(|e| Error::io("cannot make a pipe for a program's errors", e))?;
        rustix::io::ioctl_fionbio(&stderr, true)
            .map_err(|e| Error::io("cannot make a pipe non-blocking", e))?;
        let mut command = Command::new(program);
        command
            .args(first_arguments)
            .args(&self.args)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        if let Some(name) = &self.name {
            command.arg0(name);
        }
        if self.discards_stderr {
            command.stdout(write).stderr(Stdio::null());
        } else {
            let stdout = write
                .try_clone()
                .map_err(|e| Error::io("cannot duplicate a pipe", e))?;
            command.stdout(stdout).stderr(write);
        }
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        if self.has_own_group {
            command.process_group(0);
        }
        command.preserved_fds(self.fds);
        signal_with_parent(&mut command, signal);
        let mut child = command
            .spawn()
            .map_err(|e| Error::io(format!("cannot start {}", self.program.display()), e))?;
        let pid = Pid::from_child(&child);
        // Not reaped yet, so the number is still the child's.
        match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => Ok(Child::new(
                pid,
                pidfd,
                stderr,
                Kill {
                    signal,
                    has_own_group: self.has_own_group,
                },
            )),
            Err(e) => {
                if self.has_own_group {
                    let _ = rustix::process::kill_process_group(pid, Signal::KILL);
                }
                let _ = child.kill();
                let _ = child.wait();
                let remedy = match e {
                    Errno::NOSYS => "use Linux 5.4 or later",
                    Errno::PERM | Errno::ACCESS => "have the sandbox allow pidfd_open",
                    Errno::MFILE | Errno::NFILE => "raise the limit on descriptors (ulimit -n)",
                    _ => "",
                };
                Err(Error::Pidfd {
                    program: self.program,
                    source: with_remedy(e.into(), remedy),
                })
            }
        }
    }
}

/// Has the kernel send `signal` to the child when the thread that started it ends, however it ends;
/// the child begins with no signal blocked.
#[expect(unsafe_code, reason = "code between fork and exec has no safe form")]
fn signal_with_parent(command: &mut Command, signal: Signal) {
    let parent = rustix::process::getpid();
    let none = mask::empty();
    let hook = move || {
        // The manager blocks the signals that end it, and a child inherits that.
        mask::change(libc::SIG_SETMASK, &none)?;
        rustix::process::set_parent_process_death_signal(Some(signal))?;
        // The parent may have died before the line above.
        if rustix::process::getppid() != Some(parent) {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        Ok(())
    };
    // SAFETY: the hook makes three system calls, allocates nothing and takes no lock, so it may run
    // between fork and exec of a process with several threads.
    unsafe { command.pre_exec(hook) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run;

    #[test]
    fn a_child_has_its_name_and_its_variables() {
        let mut launch = Launch::new("/bin/sh".into());
        launch.name("a name").variable("VARIABLE", "value");
        launch.args(["-c", "cat /proc/$$/cmdline; echo \" $VARIABLE\""]);
        let child = launch.spawn().unwrap();
        let output = run::to_end(&child, std::time::Duration::from_secs(60)).unwrap();
        assert!(output.text.starts_with("a name\0-c\0"), "{}", output.text);
        assert!(output.text.ends_with(" value\n"), "{}", output.text);
    }
}
