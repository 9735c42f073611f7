// SPDX-License-Identifier: Apache-2.0
//! The VM manager: what is compiled twice, once for each profile.
//!
//! ```text
//!   main ─ args ─▶ inherited fds ─▶ limits ─▶ serve IVirtualizationService until the client hangs up
//!                                                │ createVm
//!          service ──▶ vm::plan ──▶ profile's context (CID, directory) ──▶ vm::Instance
//!                                                                            │ start
//!                                              vm::driver: one thread that spawns, waits, cleans up
//! ```
//!
//! * [`profile`] is the one place where the two programs differ.
//! * [`service`] holds the binder objects; they know no command lines.
//! * [`vm`] holds a VM's life.
#![deny(unsafe_code)]

pub mod app_config;
pub mod args;
pub mod capabilities;
pub mod client;
pub mod device_tree;
pub mod error;
mod fd;
pub mod origin;
pub mod profile;
pub mod reports;
pub mod requested;
pub mod service;
pub mod settings;
pub mod signals;
pub mod start;
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "a function of the C library")]
mod static_libc;
pub mod status;
pub mod vm;

use host::{chain, logger, printable};
use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

/// The exit status for want of a permission, `EX_NOPERM` of `sysexits.h`: clients tell their
/// callers so in another way than other failures.
pub const NOT_PERMITTED: u8 = 77;

/// The whole program. What went wrong is one line on standard error and exit status 1, or
/// [`NOT_PERMITTED`].
#[must_use]
pub fn run() -> ExitCode {
    let level = match logger::level() {
        Ok(level) => level,
        Err(e) => return failed(&e),
    };
    logger::install(profile::NAME, level, avf_rpc::library_log::suffix);
    signals::ignore_file_size_limit();
    signals::reap_children();
    let success = |()| ExitCode::SUCCESS;
    args::parse(std::env::args_os())
        .map_err(start::Error::from)
        .and_then(|command| match command {
            args::Command::Help => print(&args::help()),
            args::Command::Version => print(&args::version()),
            args::Command::Serve(fds, wire) => start::serve(fds, wire).map(|end| match end {
                start::End::HungUp => ExitCode::SUCCESS,
                start::End::Signalled(signal) => ExitCode::from(signal.exit_status()),
            }),
            args::Command::VsockDevice(fds) => start::vsock_device(&fds).map(success),
            args::Command::Supervise(arguments) => start::supervise(arguments).map(success),
        })
        .unwrap_or_else(|e| failed(&e))
}

/// Says why the program ends, and gives the exit status that tells so.
fn failed(error: &(dyn Error + 'static)) -> ExitCode {
    say(&format!("{}: {}", profile::NAME, printable(&chain(error))));
    ExitCode::from(if is_for_want_of_permission(error) {
        NOT_PERMITTED
    } else {
        1
    })
}

/// Ends a program that cannot do its work, with the reason.
#[must_use]
pub fn refuse(why: &str) -> ExitCode {
    say(why);
    ExitCode::FAILURE
}

/// Writes a line to standard error. If that is closed or full, nobody can be told.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Writes a line to standard output. A reader that has gone has had enough.
fn print(line: &str) -> Result<ExitCode, start::Error> {
    let mut out = io::stdout();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(start::Error::System {
            what: "cannot write to standard output",
            source: e,
        }),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Whether the system denied something, at the root of `error`.
fn is_for_want_of_permission(error: &(dyn Error + 'static)) -> bool {
    let is_denied = error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied);
    is_denied || error.source().is_some_and(is_for_want_of_permission)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;

    #[test]
    fn what_the_system_denied_has_its_own_exit_status() {
        let failed = |errno: Errno| start::Error::System {
            what: "identify the client",
            source: errno.into(),
        };
        assert!(is_for_want_of_permission(&failed(Errno::PERM)));
        assert!(is_for_want_of_permission(&failed(Errno::ACCESS)));
        assert!(!is_for_want_of_permission(&failed(Errno::SRCH)));
        assert!(!is_for_want_of_permission(&io::Error::other("x")));
    }
}
