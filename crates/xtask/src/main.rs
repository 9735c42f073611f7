// SPDX-License-Identifier: Apache-2.0
//! `cargo xtask`: builds, packs, tests and demonstrates this workspace.
//!
//! | command | what it does |
//! | --- | --- |
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
mod bench;
mod demo;
mod device;
mod dist;
mod fuzz;
mod initrd;
mod kernel;
mod library;
mod modules;
mod packages;
mod pages;
mod place;
mod steps;
mod test;
mod vmlinux;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Builds, packs, tests and demonstrates this workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build all programs, static, and pack them with their manual pages, the library for C, a guest
    /// and the demo's root into target/dist
    Dist(dist::Args),
    /// Make only the manual pages and the shell completions
    Pages(pages::Args),
    /// Pack only a guest, that is, a kernel and an initial RAM disk
    GuestImage(dist::GuestArgs),
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
    let done = match Args::parse().command {
        Command::Dist(args) => dist::run(&args),
        Command::Pages(args) => pages::run(&args),
        Command::GuestImage(args) => dist::guest(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Device(args) => match device::run(&args) {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        Command::Fuzz(args) => fuzz::run(&args),
        Command::Bench(args) => bench::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cargo xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
