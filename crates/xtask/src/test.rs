// SPDX-License-Identifier: Apache-2.0
//! `test`: every check and test of the workspace, in an order that fails early.

use crate::device::{self, on_device};
use crate::dist;
use crate::kernel::KernelArgs;
use crate::packages::{PACKING, TESTING, provide};
use crate::place::{Arch, Place, cargo};
use crate::steps::{heading, run_and_keep, step};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::process::Command;

/// Arguments of `test`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run only tests whose names contain one of these, and no other checks
    filters: Vec<String>,
    /// Use the programs and the guest that are in target/dist already
    #[arg(long, conflicts_with_all = ["kernel_series", "kernel"])]
    no_dist: bool,
    /// Run only what runs in the emulated device; with CROSVM=PATH in the environment also the
    /// tests of whole guests, there, on that crosvm
    #[arg(long)]
    device: bool,
    #[command(flatten)]
    kernel: KernelArgs,
}

/// The manager is compiled once per profile, so it is left out of what is done for all at once.
const ALL: &[&str] = &["--workspace", "--exclude", "virtmgr"];
const FULL: &[&str] = &["-p", "virtmgr"];
/// `virtmgr` with nothing that can be left out.
const BARE: &[&str] = &[
    "-p",
    "virtmgr",
    "--no-default-features",
    "--features",
    "full",
];
const EARLY: &[&str] = &[
    "-p",
    "virtmgr",
    "--no-default-features",
    "--features",
    "early",
];
/// The tests that boot guests come last.
const SYSTEM: &str = "system-tests";
/// Where their sources are.
const SYSTEM_SOURCES: &str = "tests/tests";

/// The series of the second kernel with which the system tests boot guests.
const SERIES: &str = "6.12";

/// Shows also what passing tests print, for those that say that they were skipped.
const SHOW: &[&str] = &["--show-output"];

/// `cargo xtask test`.
pub(crate) fn run(args: &Args) -> Result<()> {
    let arch = Arch::host()?;
    let place = Place::find()?;
    let needs: Vec<_> = [(arch.qemu, arch.qemu_package)]
        .into_iter()
        .chain(PACKING)
        .chain(TESTING)
        .collect();
    step("programs that the tests need", || provide(&needs))?;
    if !args.no_dist {
        dist::run(&dist::Args {
            kernel: args.kernel.clone(),
        })?;
        // Whoever brings a kernel may have no distribution that others can be fetched from.
        if args.kernel.kernel.is_none() {
            dist::another_guest(SERIES, &place)?;
        }
    }
    if args.device {
        return on_device::run(place, &args.filters);
    }
    if args.filters.is_empty() {
        checks(&place)?;
    }
    let mut results = Vec::new();
    let mut test = |name: &str, packages: &[&str], tail: &[&str]| {
        step(name, || {
            let mut command = cargo();
            command
                .arg("test")
                .args(packages)
                .arg("--")
                .args(tail)
                .args(&args.filters);
            command.env("VIRTMGR_DIST", place.dist());
            let printed = run_and_keep(command.current_dir(&place.workspace))?;
            results.extend(summary(&printed));
            Ok(())
        })
    };
    test(
        "tests of the crates",
        &[ALL, &["--exclude", SYSTEM]].concat(),
        SHOW,
    )?;
    test("tests of virtmgr", FULL, SHOW)?;
    test("tests of early_virtmgr", EARLY, SHOW)?;
    // Guests under emulation want the machine for themselves.
    let targets = system_targets(&place)?;
    let targets: Vec<_> = targets.iter().flat_map(|name| ["--test", name]).collect();
    test(
        "system tests",
        &[ALL, &targets].concat(),
        &["--test-threads=1", "--nocapture"],
    )?;
    heading("results");
    for line in results {
        println!("{line}");
    }
    match device::is_possible() {
        Ok(()) => on_device::run(place, &args.filters),
        Err(reason) => {
            println!("skipped: {reason:#}");
            Ok(())
        }
    }
}

/// The names of the system tests' programs. Asked for by these names among all packages, their
/// dependencies have the features that they were built with before; for the package alone, Cargo
/// would choose fewer and build all of them again.
fn system_targets(place: &Place) -> Result<Vec<String>> {
    let dir = place.workspace.join(SYSTEM_SOURCES);
    let list = || format!("list {}", dir.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(&dir).with_context(list)? {
        let path = entry.with_context(list)?.path();
        let is_target = path.extension().is_some_and(|extension| extension == "rs")
            || path.join("main.rs").is_file();
        if let (true, Some(name)) = (is_target, path.file_stem().and_then(|name| name.to_str())) {
            names.push(name.to_owned());
        }
    }
    ensure!(!names.is_empty(), "{}: no tests", dir.display());
    names.sort();
    Ok(names)
}

/// What needs no test to run.
fn checks(place: &Place) -> Result<()> {
    let cargo = |name: &str, arguments: &[&[&str]]| {
        step(name, || {
            let mut command: Command = cargo();
            command
                .args(arguments.concat())
                .env("RUSTDOCFLAGS", "-D warnings");
            crate::steps::run(command.current_dir(&place.workspace))
        })
    };
    let deny: &[&str] = &["--", "-D", "warnings"];
    let clippy: &[&str] = &["clippy", "--all-targets"];
    let doc: &[&str] = &["doc", "--no-deps"];
    cargo("format", &[&["fmt", "--all", "--check"]])?;
    cargo("clippy, crates", &[clippy, ALL, deny])?;
    cargo("clippy, virtmgr", &[clippy, FULL, deny])?;
    cargo(
        "clippy, virtmgr without its features",
        &[clippy, BARE, deny],
    )?;
    cargo("clippy, early_virtmgr", &[clippy, EARLY, deny])?;
    cargo("documentation, crates", &[doc, ALL])?;
    cargo("documentation, virtmgr", &[doc, FULL])?;
    cargo("documentation, early_virtmgr", &[doc, EARLY])
}

/// Cargo's own lines: which program, and its result.
fn summary(printed: &str) -> Vec<String> {
    let is_kept = |line: &&str| {
        let line = line.trim_start();
        ["Running ", "Doc-tests ", "test result: ", "skipped: "]
            .iter()
            .any(|head| line.starts_with(head))
    };
    printed.lines().filter(is_kept).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_picked_from_the_rest() {
        let printed = "   Compiling a v1\n     Running unittests src/lib.rs (target/a)\n\nrunning 1 test\n\
                       test x ... ok\nskipped: no y\n\ntest result: ok. 1 passed; 0 failed\n\n   Doc-tests a\n";
        assert_eq!(
            summary(printed),
            [
                "     Running unittests src/lib.rs (target/a)",
                "skipped: no y",
                "test result: ok. 1 passed; 0 failed",
                "   Doc-tests a",
            ]
        );
    }
}
