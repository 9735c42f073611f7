// SPDX-License-Identifier: Apache-2.0
//! How a manager is started, and which descriptors a VM gets.

use crate::release::Release;
use std::ffi::OsString;
use std::fmt;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What is called for each line of a manager's log.
#[derive(Clone)]
pub(crate) struct LogHandler(pub(crate) Arc<dyn Fn(&str) + Send + Sync>);

impl fmt::Debug for LogHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogHandler")
    }
}

/// How a manager is started.
#[derive(Debug, Clone)]
pub struct ManagerOptions {
    pub(crate) program: PathBuf,
    pub(crate) wrapper: Vec<OsString>,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) stderr: Stderr,
    pub(crate) on_log: Option<LogHandler>,
    pub(crate) ready_timeout: Duration,
    pub(crate) end_timeout: Duration,
    pub(crate) own_process_group: bool,
    pub(crate) release: Option<Release>,
}

/// Where a manager's log goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stderr {
    /// To the client's own standard error.
    Inherit,
    /// To the client, which keeps the end of it for errors and for `Manager::log`.
    Keep,
    /// To both: kept, and copied to the client's own standard error as it was at the start.
    KeepAndCopy,
}

impl ManagerOptions {
    /// The manager `program`, with the client's environment and standard error.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            wrapper: Vec::new(),
            env: Vec::new(),
            stderr: Stderr::Inherit,
            on_log: None,
            ready_timeout: Duration::from_secs(30),
            end_timeout: Duration::from_secs(10),
            own_process_group: false,
            release: None,
        }
    }

    /// Sets a variable of the manager's environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Says where the manager's log goes.
    #[must_use]
    pub fn stderr(mut self, stderr: Stderr) -> Self {
        self.stderr = stderr;
        self
    }

    /// Keeps the manager's log, as [`Stderr::Keep`] does, and calls `handler` with each line when it
    /// arrives, on a thread of its own. Long lines come in pieces. Errors do not repeat the log then.
    #[must_use]
    pub fn on_log(mut self, handler: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.stderr = Stderr::Keep;
        self.on_log = Some(LogHandler(Arc::new(handler)));
        self
    }

    /// How long each wait of the manager's start may take, until it is ready and until its session
    /// is set up; 30 s if not set.
    #[must_use]
    pub fn ready_timeout(mut self, timeout: Duration) -> Self {
        self.ready_timeout = timeout;
        self
    }

    /// How long the manager may take to end its VMs, clean up and exit before it is killed; 10 s
    /// if not set.
    #[must_use]
    pub fn end_timeout(mut self, timeout: Duration) -> Self {
        self.end_timeout = timeout;
        self
    }

    /// Puts the manager into a process group of its own, so that Ctrl-C on the terminal reaches only
    /// the client. When the client goes, the manager ends its VMs in order. Without this the manager
    /// gets the signal too, and ends its VMs in order at once.
    #[must_use]
    pub fn own_process_group(mut self) -> Self {
        self.own_process_group = true;
        self
    }

    /// The release of Android whose interfaces the manager serves. If not set, it is that of the system
    /// on Android, and the newest elsewhere: this project's own managers serve every release.
    #[must_use]
    pub fn release(mut self, release: Release) -> Self {
        self.release = Some(release);
        self
    }

    /// A command that runs the manager, such as `strace -f -o FILE`. It gets the manager's path and
    /// arguments after its own, and must pass descriptors on.
    #[must_use]
    pub fn wrapper(mut self, command: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.wrapper = command.into_iter().map(Into::into).collect();
        self
    }

    /// The program to run, and the arguments before those of the interface.
    pub(crate) fn command_line(&self) -> (PathBuf, Vec<OsString>) {
        let mut words = self.wrapper.clone();
        words.push(self.program.clone().into());
        (words.remove(0).into(), words)
    }
}

/// The descriptors that a VM writes to and reads from. The manager logs an output that is `None`; an
/// input that is `None` is empty.
#[derive(Debug, Default)]
pub struct Streams {
    /// The console's output.
    pub console_out: Option<OwnedFd>,
    /// The console's input.
    pub console_in: Option<OwnedFd>,
    /// The guest's log.
    pub log: Option<OwnedFd>,
    /// Where the guest's device tree is written before it starts; managers since Android 15 QPR2, and
    /// VMMs that can write it.
    pub device_tree: Option<OwnedFd>,
}
