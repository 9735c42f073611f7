// SPDX-License-Identifier: Apache-2.0
//! Reports: on the console and the log for people, on the failure line and in the session with the
//! manager for the host.

use crate::devices::{CONSOLE, FAILURE, writer};
use crate::failure::{Failure, Kind};
use crate::uevents::{TIMEOUT, Uevents};
use host::chain;
use rustix::time::{ClockId, clock_gettime};
use std::fs::File;
use std::io::Write;
use vm_payload::Host;

/// Where reports go.
pub(crate) struct Report {
    console: Option<File>,
    log: Option<File>,
    /// What was said before there was a log.
    early: String,
    host: Option<Host>,
}

impl Report {
    /// Opens the console and says that the init has started.
    pub(crate) fn new() -> Self {
        let console = writer(CONSOLE).ok();
        let mut report = Self {
            console,
            log: None,
            early: String::new(),
            host: None,
        };
        let up = clock_gettime(ClockId::Boottime);
        report.say(&format!(
            "started (kernel up {}.{:03} s)",
            up.tv_sec,
            up.tv_nsec / 1_000_000
        ));
        report
    }

    /// Writes a line to the console and the log.
    pub(crate) fn say(&mut self, text: &str) {
        let line = format!("avf-init: {text}\n");
        // If one of these fails, there is nowhere else to report it.
        if let Some(console) = &mut self.console {
            let _ = console.write_all(line.as_bytes());
        }
        match &mut self.log {
            Some(log) => {
                let _ = log.write_all(line.as_bytes());
            }
            None => self.early.push_str(&line),
        }
    }

    /// Writes to the log what was said so far, and everything that follows. A console in place of the
    /// log has it already.
    pub(crate) fn log_to(&mut self, log: &File) -> Result<(), Failure> {
        let failed = |e| Failure::io(Kind::Runtime, "open the log device again", &e);
        if self
            .console
            .as_ref()
            .is_some_and(|console| same_device(console, log))
        {
            return Ok(());
        }
        let mut log = log.try_clone().map_err(failed)?;
        let _ = log.write_all(std::mem::take(&mut self.early).as_bytes());
        self.log = Some(log);
        Ok(())
    }

    /// Connects to the manager, as soon as there is a vsock device.
    pub(crate) fn connect(&mut self, uevents: &Uevents) -> Result<(), Failure> {
        let device = uevents.wait_for(TIMEOUT, || {
            Ok(std::path::Path::new("/dev/vsock").exists().then_some(()))
        })?;
        if device.is_none() {
            return Err(Failure::new(
                Kind::NoHost,
                format!(
                    "no /dev/vsock after {} s: the VM has no vsock device",
                    TIMEOUT.as_secs()
                ),
            ));
        }
        self.host = Some(Host::connect().map_err(|e| Failure::new(Kind::NoHost, chain(&e)))?);
        Ok(())
    }

    /// The payload runs.
    pub(crate) fn started(&mut self) {
        self.tell(Host::notify_started);
    }

    /// The payload has ended.
    pub(crate) fn finished(&mut self, code: i32) {
        self.say(&format!("the payload ended with exit code {code}"));
        self.tell(|host| host.notify_finished(code));
    }

    /// Reports a failure everywhere.
    pub(crate) fn failed(&mut self, failure: &Failure) {
        self.say(&format!("failed: {failure}"));
        write_reason(failure);
        self.tell(|host| host.notify_error(failure.kind.code(), &failure.to_string()));
    }

    /// If the host refuses a report, people are told; the payload's work goes on.
    fn tell(&mut self, report: impl FnOnce(&Host) -> Result<(), vm_payload::Error>) {
        if let Some(Err(e)) = self.host.as_ref().map(report) {
            self.say(&chain(&e));
        }
    }
}

/// Reports a failure without a [`Report`]: for a panic, and before there is one.
pub(crate) fn last_words(failure: &Failure) {
    let line = format!("avf-init: failed: {failure}\n");
    // Standard error is the console that the kernel opened for its first process.
    let _ = std::io::stderr().write_all(line.as_bytes());
    write_reason(failure);
}

fn write_reason(failure: &Failure) {
    if let Ok(mut tty) = writer(FAILURE) {
        let _ = writeln!(tty, "{}", failure.line());
    }
}

fn same_device(a: &File, b: &File) -> bool {
    match (rustix::fs::fstat(a), rustix::fs::fstat(b)) {
        (Ok(a), Ok(b)) => a.st_rdev == b.st_rdev,
        _ => false,
    }
}
