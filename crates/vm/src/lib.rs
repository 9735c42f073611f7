// SPDX-License-Identifier: Apache-2.0
//! The command line tool for virtual machines.
//!
//! * The command line is in the crate `vm-cli`.
//! * `run` runs a VM that a file describes, `app` one that runs an APK's payload; both by `run::life`.
//! * `machines` finds the VMs that run; `list`, `inspect`, `control`, `logs` and `console` work on them.
//! * `images` and `feature` ask a manager for a file or an answer, `info` looks at the host, `early`
//!   checks the lists of early VMs.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::print_stdout, clippy::print_stderr))]

mod app;
mod console;
mod control;
mod early;
mod earlycon;
mod feature;
mod harmless;
mod images;
mod info;
mod inspect;
mod limits;
mod list;
mod logs;
mod machines;
mod manager;
mod out;
mod paint;
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

/// The whole program. Errors go to standard error; the exit status is 1 then.
#[must_use]
pub fn main() -> ExitCode {
    limits::prepare();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => return usage(&e),
    };
    if let Err(error) = host::root() {
        out::tell_error(&error.into());
        return ExitCode::FAILURE;
    }
    let done = match &cli.command {
        Command::Run(args) => run::run(args, cli.verbose),
        Command::RunApp(args) => app::run_app(args, cli.verbose),
        Command::RunMicrodroid(args) => app::run_microdroid(args, cli.verbose),
        Command::List(args) => list::list(args),
        Command::Inspect(args) => inspect::inspect(args),
        Command::Stop(args) => control::stop(args),
        Command::Suspend(args) => control::suspend(args),
        Command::Resume(args) => control::resume(args),
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
        out::tell_error(&error);
        ExitCode::FAILURE
    })
}

/// Prints a help text, the version, or what is wrong with the arguments.
fn usage(error: &clap::Error) -> ExitCode {
    let text = error.render();
    if error.use_stderr() {
        // It quotes the arguments.
        let lines: Vec<_> = text.to_string().lines().map(quoted).collect();
        out::tell(&lines.join("\n"));
        return ExitCode::from(2);
    }
    let text = if paint::Paint::stdout().is_on() {
        text.ansi().to_string()
    } else {
        text.to_string()
    };
    match out::print(&text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            out::tell_error(&error);
            ExitCode::FAILURE
        }
    }
}

fn quoted(line: &str) -> String {
    let line = host::printable(line);
    match line.strip_prefix("error:") {
        Some(rest) => format!("{}{rest}", paint::Paint::stderr().bad("error:")),
        None => line.into_owned(),
    }
}

/// The exit status of a program that a signal ended, as shells count it.
fn exit_by_signal(signal: i32) -> ExitCode {
    u8::try_from(signal).map_or(ExitCode::FAILURE, |signal| {
        ExitCode::from(signal.saturating_add(128))
    })
}
