// SPDX-License-Identifier: Apache-2.0
//! The command line tool for virtual machines.
//!
//! * The command line is in the crate `vm-cli`.
//! * `run` runs a VM that a file describes, `app` one that runs an APK's payload; both by `run::life`.
//! * `machines` finds the VMs that run; `list`, `inspect`, `pause`, `logs` and `console` work on them.
//! * `images` and `feature` ask a manager for a file or an answer, `info` looks at the host, `early`
//!   checks the lists of early VMs.
#![forbid(unsafe_code)]

mod app;
mod console;
mod early;
mod earlycon;
mod feature;
mod images;
mod info;
mod inspect;
mod list;
mod logs;
mod machines;
mod manager;
mod out;
mod paint;
mod pause;
mod pipes;
mod run;
mod signals;
mod table;
mod terminal;
mod users;

use clap::Parser;
use std::process::ExitCode;
use vm_cli as cli;
use vm_cli::{Cli, Command, EarlyCommand, size};

/// The whole program. What went wrong is told on standard error; then the exit status is 1.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(error) = host::root() {
        print_error(&error.into());
        return ExitCode::FAILURE;
    }
    let done = match &cli.command {
        Command::Run(args) => run::run(args, cli.verbose),
        Command::RunApp(args) => app::run_app(args, cli.verbose),
        Command::RunMicrodroid(args) => app::run_microdroid(args, cli.verbose),
        Command::List(args) => list::list(args),
        Command::Inspect(args) => inspect::inspect(args),
        Command::Stop(args) => pause::stop(args),
        Command::Suspend(args) => pause::suspend(args),
        Command::Resume(args) => pause::resume(args),
        Command::Logs(args) => logs::logs(args),
        Command::Console(args) => console::console(args),
        Command::Info(args) => info::info(args),
        Command::CreatePartition(args) => images::create_partition(args),
        Command::CreateIdsig(args) => images::create_idsig(args),
        Command::CheckFeatureEnabled(args) => feature::check(args),
        Command::Early {
            command: EarlyCommand::Check(args),
        } => early::check(args),
    };
    done.unwrap_or_else(|error| {
        print_error(&error);
        ExitCode::FAILURE
    })
}

/// Tells an error with its causes.
fn print_error(error: &anyhow::Error) {
    let paint = paint::Paint::stderr();
    out::tell(&format!("{} {error:#}", paint.bad("error:")));
}

/// The exit status of a program that a signal ended, as shells count it.
fn exit_by_signal(signal: i32) -> ExitCode {
    u8::try_from(signal).map_or(ExitCode::FAILURE, |signal| {
        ExitCode::from(signal.saturating_add(128))
    })
}
