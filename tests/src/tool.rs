// SPDX-License-Identifier: Apache-2.0
//! The tool `vm`, run as users run it: with pipes, or at a terminal.

use crate::host::{Dist, Outside};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};
use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take on a busy machine. No test waits this long unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(300);
/// Kernel parameters of the guests.
const PARAMS: &str = "console=ttyS0 loglevel=4 cryptomgr.notests noreplace-smp panic=-1 8250.nr_uarts=4 avf.payload=/payload/vm_demo_payload";

/// The tool in a root directory of its own.
#[derive(Debug)]
pub struct Tool {
    dist: Dist,
    outside: Outside,
}

impl Tool {
    /// The tool of the distribution; none where there is no distribution.
    #[must_use]
    pub fn new(test: &str) -> Option<Self> {
        match Dist::find() {
            Ok(dist) => Some(Self {
                dist,
                outside: Outside::new(test),
            }),
            Err(reason) => {
                skip::skip!("{reason}");
                None
            }
        }
    }

    /// The distribution.
    #[must_use]
    pub fn dist(&self) -> &Dist {
        &self.dist
    }

    /// What is around it.
    #[must_use]
    pub fn outside(&self) -> &Outside {
        &self.outside
    }

    /// The directory for the test's files.
    #[must_use]
    pub fn scratch(&self) -> PathBuf {
        self.outside.root().join("scratch")
    }

    /// The description of a guest that runs the demo's payload with `args`.
    ///
    /// # Panics
    /// If it cannot be written.
    #[must_use]
    pub fn guest(&self, name: &str, args: &str) -> PathBuf {
        let file = self.scratch().join(format!("{name}.json"));
        let args = if args.is_empty() {
            String::new()
        } else {
            format!(" avf.args={args}")
        };
        let text = format!(
            r#"{{ "kernel": {:?}, "initrd": {:?}, "params": "{PARAMS}{args}", "memory_mib": 256, "platform_version": "~1.0" }}"#,
            self.dist.path("guest/kernel"),
            self.dist.path("guest/initrd.img"),
        );
        fs::write(&file, text).unwrap();
        file
    }

    /// The command `vm`.
    #[must_use]
    pub fn command(&self) -> Command {
        self.command_of(&self.dist.path("vm"))
    }

    /// A copy of the tool, elsewhere.
    #[must_use]
    pub fn command_of(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env("VIRTMGR_ROOT", self.outside.root())
            .env("TERM", "xterm")
            .env_remove("VIRTMGR_LOG")
            .env_remove("NO_COLOR")
            .stdin(Stdio::null());
        command
    }

    /// Runs `vm` to its end.
    ///
    /// # Panics
    /// If it cannot be run.
    #[must_use]
    pub fn output(&self, args: &[&str]) -> Output {
        self.command().args(args).output().unwrap()
    }

    /// Runs `vm`, which must succeed, and returns what it printed.
    ///
    /// # Panics
    /// If it fails.
    #[must_use]
    pub fn success(&self, args: &[&str]) -> String {
        let output = self.output(args);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs `vm`, which must fail, and returns its error.
    ///
    /// # Panics
    /// If it does not fail.
    #[must_use]
    pub fn failure(&self, args: &[&str]) -> String {
        let output = self.output(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        String::from_utf8(output.stderr).unwrap()
    }
}

/// A program whose output is read as it comes.
#[derive(Debug)]
pub struct Running {
    child: Child,
    from: OwnedFd,
    seen: String,
}

impl Running {
    /// Starts `command` with its standard output in a pipe.
    ///
    /// # Panics
    /// If that fails.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let from = child.stdout.take().unwrap().into();
        Self {
            child,
            from,
            seen: String::new(),
        }
    }

    /// Waits until `text` has appeared since the last wait.
    ///
    /// # Panics
    /// If the output ends before, or it takes too long.
    pub fn expect(&mut self, text: &str) {
        while !self.seen.contains(text) {
            assert!(
                read(&self.from, &mut self.seen),
                "{text:?} does not come: {:?}",
                self.seen
            );
        }
        let at = self.seen.find(text).unwrap() + text.len();
        self.seen.drain(..at);
    }

    /// Reads to the end and waits for that of the program.
    ///
    /// # Panics
    /// If it takes too long.
    #[must_use]
    pub fn finish(mut self) -> (ExitStatus, String) {
        while read(&self.from, &mut self.seen) {}
        (self.child.wait().unwrap(), std::mem::take(&mut self.seen))
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// If it is gone.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // After a failed test; else it is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program at a terminal.
#[derive(Debug)]
pub struct Terminal {
    master: fs::File,
    /// The program's side, held open so that its modes can be looked at.
    slave: OwnedFd,
    /// The program.
    pub program: Running,
}

impl Terminal {
    /// Starts `command` with a terminal as its standard input, output and error.
    ///
    /// # Panics
    /// If that fails.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let slave = ioctl_tiocgptpeer(&master, flags).unwrap();
        let end = || Stdio::from(slave.try_clone().unwrap());
        let child = command
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        // The command would keep the slave open.
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Self {
            program: Running {
                child,
                from: master.try_clone().unwrap(),
                seen: String::new(),
            },
            master: master.into(),
            slave,
        }
    }

    /// Types `text`.
    ///
    /// # Panics
    /// If the terminal is gone.
    pub fn type_in(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).unwrap();
    }

    /// Whether the terminal is in raw mode.
    ///
    /// # Panics
    /// If it is gone.
    #[must_use]
    pub fn is_raw(&self) -> bool {
        let modes = tcgetattr(&self.slave).unwrap().local_modes;
        !modes.intersects(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG)
    }

    /// Waits for the program's end. Returns its status, what it wrote since, and whether it left the
    /// terminal as it was.
    ///
    /// # Panics
    /// If it takes too long.
    #[must_use]
    pub fn finish(self) -> (ExitStatus, String, bool) {
        let is_restored = {
            // The end of the process, not of the terminal, which this side holds open.
            let pid = rustix::process::Pid::from_child(&self.program.child);
            let pidfd =
                rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
            let mut seen = Vec::new();
            wait_while(&pidfd, &self.master, &mut seen);
            let text = String::from_utf8_lossy(&seen).into_owned();
            (
                tcgetattr(&self.slave)
                    .unwrap()
                    .local_modes
                    .contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG),
                text,
            )
        };
        let Self {
            mut program, slave, ..
        } = self;
        drop(slave);
        program.seen += &is_restored.1;
        let (status, text) = program.finish();
        (status, text, is_restored.0)
    }
}

/// Reads the terminal, so that its program is not stuck, until that has ended.
fn wait_while(pidfd: &OwnedFd, mut master: &fs::File, seen: &mut Vec<u8>) {
    let end = Instant::now() + PATIENCE;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let mut fds = [
            PollFd::new(pidfd, PollFlags::IN),
            PollFd::new(master, PollFlags::IN),
        ];
        let count = poll(&mut fds, Some(&Timespec::try_from(left).unwrap())).unwrap();
        assert!(
            count > 0,
            "it does not end: {}",
            String::from_utf8_lossy(seen)
        );
        let is_over = !fds[0].revents().is_empty();
        if !fds[1].revents().is_empty() {
            let mut chunk = [0; 4096];
            let count = master.read(&mut chunk).unwrap();
            seen.extend_from_slice(&chunk[..count]);
        } else if is_over {
            return;
        }
    }
}

/// Reads what comes next; false at the end.
fn read(from: &OwnedFd, seen: &mut String) -> bool {
    let timeout = Timespec::try_from(PATIENCE).unwrap();
    let count = poll(&mut [PollFd::new(from, PollFlags::IN)], Some(&timeout)).unwrap();
    assert!(count > 0, "nothing more comes: {seen:?}");
    let mut chunk = [0; 4096];
    // EIO is the end of a terminal.
    let count = rustix::io::read(from, &mut chunk).unwrap_or(0);
    *seen += &String::from_utf8_lossy(&chunk[..count]);
    count > 0
}
