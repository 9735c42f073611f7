// SPDX-License-Identifier: Apache-2.0
//! The host's part of the demo: from the fork of a manager to an answer from a VM.
//!
//! `app` makes an app config, `args` is the command line, `demo` the sequence of steps, `timeline` when
//! each was done, and `watchdog` bounds them all.

mod app;
mod args;
mod demo;
mod timeline;
mod watchdog;

use args::Args;
use clap::Parser;
use std::process::ExitCode;

/// The whole program.
pub(crate) fn main() -> ExitCode {
    let args = Args::parse();
    match demo::run(&args).and_then(|outcome| demo::show_outcome(&args, &outcome)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            vm_demo::output::note(format_args!("vm_demo_native_early: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
