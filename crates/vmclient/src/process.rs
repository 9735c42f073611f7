// SPDX-License-Identifier: Apache-2.0
//! The manager's process for as long as a [`Manager`](crate::Manager) or a VM of it is there.

use crate::error::{CallError, Error};
use crate::launch::Launched;
use crate::options::ManagerOptions;
use rsbinder::{Status, StatusCode};
use rustix::net::Shutdown;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// A running manager.
#[derive(Debug)]
pub(crate) struct Process {
    launched: Launched,
    end_timeout: Duration,
}

impl Process {
    /// Starts the manager and waits until it is ready.
    pub(crate) fn start(options: &ManagerOptions) -> Result<Self, Error> {
        Ok(Self {
            launched: Launched::start(options)?,
            end_timeout: options.end_timeout,
        })
    }

    /// The manager's program.
    pub(crate) fn program(&self) -> &PathBuf {
        &self.launched.program
    }

    /// The manager's process id.
    pub(crate) fn id(&self) -> u32 {
        self.launched.exit.pid()
    }

    /// The bootstrap socket.
    pub(crate) fn socket(&self) -> &OwnedFd {
        &self.launched.socket
    }

    /// Tells the manager to end: for it, the client is gone.
    pub(crate) fn hang_up(&self) {
        // It fails if the manager is gone, which is what was wanted.
        let _ = rustix::net::shutdown(&self.launched.socket, Shutdown::Both);
    }

    /// Hangs up and waits for the manager's end; kills it if it does not come.
    pub(crate) fn end(&self) -> Option<ExitStatus> {
        self.hang_up();
        let exit = &self.launched.exit;
        let status = exit.within(self.end_timeout).or_else(|| exit.kill());
        self.launched.log.end();
        status
    }

    /// Kills the manager, which has no VM yet.
    pub(crate) fn kill(&self) {
        self.launched.exit.kill();
    }

    /// How the manager ended, for an error's text, if it does so now.
    pub(crate) fn how_it_ended(&self) -> String {
        self.launched.how_it_ended()
    }

    /// The error for a call of `method` that was answered by `status`.
    pub(crate) fn failed(&self, method: &'static str, status: Status) -> Error {
        match status.transaction_error() {
            StatusCode::DeadObject => Error::ManagerLost {
                how: self.how_it_ended(),
            },
            _ => Error::Call(CallError { method, status }),
        }
    }

    /// What the manager wrote, if that was kept.
    pub(crate) fn log(&self) -> String {
        self.launched.log.text()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}
