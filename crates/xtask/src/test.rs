// SPDX-License-Identifier: Apache-2.0
//! `test`: every check and test of the workspace, in an order that fails early.

use crate::check::{self, EARLY};
use crate::device::{self, on_device};
use crate::dist;
use crate::guest::Guest;
use crate::kernel::KernelArgs;
use crate::packages::{Installer, TESTING, packing};
use crate::steps::{output, run_and_watch, say, step};
use crate::tally::Tally;
use crate::workspace::{Arch, Workspace, cargo};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

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

/// The package of the tests that boot guests. They come last, and want the machine for themselves.
pub(crate) const SYSTEM: &str = "system-tests";
/// The series of the second kernel with which the system tests boot guests.
const SERIES: &str = "6.12";

/// `cargo xtask test`.
pub(crate) fn run(args: &Args, installer: Installer) -> Result<ExitCode> {
    let arch = Arch::host()?;
    let device = device::is_possible();
    let mut needs = vec![(arch.qemu, arch.qemu_package)];
    needs.extend(packing());
    needs.extend(TESTING);
    if device.is_ok() {
        needs.extend(device::needs()?);
    }
    installer.provide(&needs)?;
    let workspace = Workspace::find()?;
    let mut tally = Tally::new(&workspace)?;
    if !args.device && args.filters.is_empty() {
        check::checks(&workspace, &mut tally)?;
    }
    let programs = Programs::list(&workspace, &args.filters)?;
    if !args.no_dist && (args.device || programs.boot_guests()) {
        make_dist(args, &workspace, installer)?;
    }
    if !args.device {
        run_here(&args.filters, &programs, &workspace, &mut tally)?;
    }
    match device {
        Ok(()) if args.device || programs.some(&on_device::DEVICE) => on_device::run(
            workspace,
            &args.filters,
            |name| args.filters.is_empty() || programs.has(name),
            installer,
            &mut tally,
        )?,
        Ok(()) => {}
        Err(reason) if args.device => return Err(reason),
        Err(reason) => tally.skip("device", &format!("{reason:#}")),
    }
    tally.finish()
}

/// Builds the distribution, and a guest with a second kernel beside its own.
fn make_dist(args: &Args, workspace: &Workspace, installer: Installer) -> Result<()> {
    let made = dist::Args {
        kernel: args.kernel.clone(),
        dev: false,
    };
    let guest = Guest::prepare(&made.kernel, workspace, installer)?;
    // With a kernel of the user's own there may be no distribution to fetch others from.
    let other = match &args.kernel.kernel {
        Some(_) => None,
        None => {
            let series = KernelArgs {
                kernel_series: Some(SERIES.to_owned()),
                ..KernelArgs::default()
            };
            Some(Guest::prepare(&series, workspace, installer)?)
        }
    };
    dist::make(&made, &guest, workspace)?;
    if let Some(other) = other {
        dist::pack_another(SERIES, &other, workspace)?;
    }
    Ok(())
}

/// Runs what this machine runs itself.
fn run_here(
    filters: &[String],
    programs: &Programs,
    workspace: &Workspace,
    tally: &mut Tally,
) -> Result<()> {
    // Examples in the documentation have no names to choose by.
    let named: &[&str] = if filters.is_empty() {
        &[]
    } else {
        &["--tests"]
    };
    if programs.crates {
        let tests = [&["--workspace", "--exclude", SYSTEM], named].concat();
        test(
            "tests of the crates",
            &tests,
            &[],
            filters,
            workspace,
            tally,
        )?;
    }
    if programs.early {
        let tests = [EARLY, named].concat();
        test(
            "tests of early_virtmgr",
            &tests,
            &[],
            filters,
            workspace,
            tally,
        )?;
    }
    if programs.boot_guests() {
        // Asked for by these names among all packages, their dependencies have the features that
        // they were built with before; for the package alone, Cargo would choose fewer and build all
        // of them again.
        let names: Vec<_> = programs
            .system
            .keys()
            .flat_map(|name| ["--test", name.as_str()])
            .collect();
        let tests = [&["--workspace"], &names[..]].concat();
        let serial = ["--test-threads=1", "--nocapture"];
        test("system tests", &tests, &serial, filters, workspace, tally)?;
    }
    Ok(())
}

/// Runs `cargo test` to its end and counts its tests.
pub(crate) fn test(
    name: &str,
    packages: &[&str],
    options: &[&str],
    filters: &[String],
    workspace: &Workspace,
    tally: &mut Tally,
) -> Result<()> {
    step(name, || {
        let mut command = cargo();
        command
            .args(["test", "--no-fail-fast"])
            .args(packages)
            .arg("--")
            .args(options)
            .args(filters)
            .env("VIRTMGR_DIST", workspace.dist())
            .current_dir(&workspace.root);
        tally.watch(&mut command);
        let (printed, status) = run_and_watch(&mut command)?;
        tally.add(name, &printed, status.success());
        Ok(())
    })
}

/// Which test programs have tests with the names that were asked for.
#[derive(Debug)]
struct Programs {
    /// Whether one that needs no guest has.
    crates: bool,
    /// Whether one of `early_virtmgr` has.
    early: bool,
    /// The system tests, with the number of tests in each.
    system: BTreeMap<String, usize>,
    /// The names of all others that can run in the device.
    others: Vec<String>,
}

impl Programs {
    /// Builds the tests and asks them. Without filters, all of them have.
    ///
    /// # Errors
    /// If no test has such a name.
    fn list(workspace: &Workspace, filters: &[String]) -> Result<Self> {
        let all = step("build the tests", || {
            executables(&["--workspace"], workspace)
        })?;
        let mut programs = Self {
            crates: filters.is_empty(),
            early: filters.is_empty(),
            system: BTreeMap::new(),
            others: Vec::new(),
        };
        for program in &all {
            let count = program.count(filters)?;
            if count == 0 {
                continue;
            }
            if program.is_system {
                programs.system.insert(program.name.clone(), count);
            } else {
                programs.crates = true;
                programs.others.push(program.name.clone());
            }
        }
        if !filters.is_empty() {
            let early = step("build the tests of early_virtmgr", || {
                executables(EARLY, workspace)
            })?;
            for program in &early {
                programs.early |= program.count(filters)? > 0;
            }
            ensure!(
                programs.crates || programs.early || programs.boot_guests(),
                "no test's name contains {}; `cargo test -- --list` names those of the crates, \
                 `cargo test -p {SYSTEM} -- --list` those that boot guests",
                filters.join(" or ")
            );
            say!("system tests with such names: {:?}", programs.system);
        }
        Ok(programs)
    }

    fn boot_guests(&self) -> bool {
        !self.system.is_empty()
    }

    /// Whether the program `name` has such tests.
    fn has(&self, name: &str) -> bool {
        self.system.contains_key(name) || self.others.iter().any(|other| other == name)
    }

    fn some(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.has(name))
    }
}

/// A test program.
#[derive(Debug)]
struct Executable {
    name: String,
    path: PathBuf,
    is_system: bool,
}

impl Executable {
    /// How many of its tests have one of `filters` in their names.
    fn count(&self, filters: &[String]) -> Result<usize> {
        let mut command = Command::new(&self.path);
        command.arg("--list").args(filters);
        let text = output(&mut command)?;
        Ok(text.lines().filter(|line| line.ends_with(": test")).count())
    }
}

/// Builds the tests of `packages` and returns their programs.
fn executables(packages: &[&str], workspace: &Workspace) -> Result<Vec<Executable>> {
    let mut command = cargo();
    command
        .args(["test", "--no-run", "--tests", "--message-format=json"])
        .args(packages)
        .stderr(std::process::Stdio::inherit())
        .current_dir(&workspace.root);
    let messages = output(&mut command)?;
    let system = format!("{}/tests/", workspace.root.display());
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| {
            let path = PathBuf::from(message.get("executable")?.as_str()?);
            message.pointer("/profile/test")?.as_bool()?.then_some(())?;
            Some((message, path))
        })
        .map(|(message, path)| {
            let text = |pointer| {
                let value = message.pointer(pointer);
                value
                    .and_then(serde_json::Value::as_str)
                    .with_context(|| format!("Cargo names no {pointer} of {}", path.display()))
            };
            Ok(Executable {
                name: text("/target/name")?.to_owned(),
                is_system: text("/manifest_path")?.starts_with(&system),
                path,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_of_the_device_are_found_by_name() {
        let programs = Programs {
            crates: true,
            early: false,
            system: [("device".to_owned(), 1)].into(),
            others: vec!["binder".to_owned()],
        };
        assert!(programs.boot_guests() && programs.some(&on_device::DEVICE));
        assert!(programs.has("binder") && programs.has("device") && !programs.has("apps"));
        assert!(!programs.some(&["apps"]));
    }

    /// This program's own tests, asked by their names.
    #[test]
    fn tests_are_counted_by_their_names() {
        let program = Executable {
            name: "xtask".to_owned(),
            path: std::env::current_exe().unwrap(),
            is_system: false,
        };
        let count = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(ToString::to_string).collect();
            program.count(&names).unwrap()
        };
        assert!(count(&[]) > 10);
        assert_eq!(count(&["tests_are_counted_by_their_names"]), 1);
        assert_eq!(count(&["no_such_test_name"]), 0);
    }
}
