// SPDX-License-Identifier: Apache-2.0
//! The command line tool for virtual machines.
//!
//! * [`cli`] is the command line, also for programs that make manual pages of it.
//! * `run` runs a VM, `info` looks at the host, `early` checks the lists of early VMs.
#![forbid(unsafe_code)]

pub mod cli;

mod early;
mod info;
mod paint;
mod run;

use clap::Parser;
use cli::{Cli, Command, EarlyCommand};
use std::process::ExitCode;

/// The whole program. What went wrong is told on standard error; then the exit status is 1.
#[must_use]
pub fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Info(args) => info::info(&args),
        Command::Early {
            command: EarlyCommand::Check(args),
        } => early::check(&args),
    };
    done.unwrap_or_else(|error| {
        let paint = paint::Paint::stderr();
        eprintln!("{} {error:#}", paint.bad("error:"));
        ExitCode::FAILURE
    })
}
