// SPDX-License-Identifier: Apache-2.0
//! `cargo xtask`: builds, packs, tests and demonstrates this workspace.
//!
//! | command | what it does |
//! | --- | --- |
//! | `check` | format, lints, documentation, tests of the crates: what a change has to pass first |
//! | `dist` | all programs, static, with their pages, the C library, a guest and the demo's root, in `target/dist` |
//! | `pages` | only the manual pages and the shell completions |
//! | `guest-image` | only a guest: kernel and initial RAM disk |
//! | `demo` | `dist`, then the demo |
//! | `test` | `dist`, then every check and test of the workspace |
//! | `device` | a command in an emulated machine that has KVM, vsock and binder |
//! | `fuzz` | each parser of untrusted bytes under a fuzzer |
//! | `bench` | `dist`, then what the managers cost, as a table |
#![forbid(unsafe_code)]

mod apk;
mod audit;
mod bench;
mod check;
mod demo;
mod device;
mod dist;
mod files;
mod fuzz;
mod guest;
mod initrd;
mod kernel;
mod library;
mod modules;
mod packages;
mod pages;
mod programs;
mod steps;
mod tally;
mod test;
mod vmlinux;
mod workspace;

use clap::{Parser, Subcommand};
use packages::Installer;
use std::process::ExitCode;
use steps::tell;

/// Builds, packs, tests and demonstrates this workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    command: Command,
    /// Install missing packages without asking; nothing is ever removed
    #[arg(long, global = true)]
    install: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check format, lints and documentation, and run the tests that need no guest
    Check,
    /// Build all programs, static, and pack them with their manual pages, the library for C, a guest
    /// and the demo's root into target/dist
    Dist(dist::Args),
    /// Make only the manual pages and the shell completions
    Pages(pages::Args),
    /// Pack only a guest, that is, a kernel and an initial RAM disk
    GuestImage(guest::Args),
    /// Build, then run an early VM whose payload adds two numbers
    Demo(demo::Args),
    /// Build, then run every check and test of the workspace
    Test(test::Args),
    /// Run a command in an emulated machine that has KVM, the kernel's vsock and binder
    Device(device::Args),
    /// Run the fuzz targets of the parsers, each for some seconds
    Fuzz(fuzz::Args),
    /// Build, then print what the managers cost
    Bench(bench::Args),
}

fn main() -> ExitCode {
    let Args { command, install } = Args::parse();
    let installer = Installer { consent: install };
    let success = |()| ExitCode::SUCCESS;
    let done = match command {
        Command::Check => check::run(),
        Command::Dist(args) => dist::run(&args, installer).map(success),
        Command::Pages(args) => pages::run(&args).map(success),
        Command::GuestImage(args) => guest::run(&args, installer).map(success),
        Command::Demo(args) => demo::run(&args, installer).map(success),
        Command::Test(args) => test::run(&args, installer),
        Command::Device(args) => device::run(&args, installer),
        Command::Fuzz(args) => fuzz::run(&args, installer).map(success),
        Command::Bench(args) => bench::run(&args, installer).map(success),
    };
    done.unwrap_or_else(|error| {
        tell!("cargo xtask: {error:#}");
        ExitCode::FAILURE
    })
}
