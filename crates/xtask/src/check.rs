// SPDX-License-Identifier: Apache-2.0
//! `check`: what needs neither a guest nor another program than those of the Rust toolchain, and no
//! network once the dependencies are there.

use crate::audit;
use crate::packages::exists;
use crate::steps::{output, run as run_program, step};
use crate::tally::Tally;
use crate::test::{SYSTEM, test};
use crate::workspace::{Workspace, cargo};
use anyhow::{Context, Result};
use std::process::{Command, ExitCode};

/// The other profile of the manager; without it, the manager is `virtmgr`.
pub(crate) const EARLY: &[&str] = &[
    "-p",
    "virtmgr",
    "--no-default-features",
    "--features",
    "early,wire-15,wire-16,wire-17",
];
/// `virtmgr` with nothing that can be left out, for clients of one release.
const BARE: &[&str] = &[
    "-p",
    "virtmgr",
    "--no-default-features",
    "--features",
    "full,wire-16",
];
const ALL: &[&str] = &["--workspace"];

/// `cargo xtask check`.
pub(crate) fn run() -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    let mut tally = Tally::new(&workspace)?;
    checks(&workspace, &mut tally)?;
    let crates = ["--workspace", "--exclude", SYSTEM];
    for (name, packages) in [
        ("tests of the crates", &crates[..]),
        ("tests of early_virtmgr", EARLY),
    ] {
        test(name, packages, &[], &[], &workspace, &mut tally)?;
    }
    tally.finish()
}

/// What needs no test to run.
pub(crate) fn checks(workspace: &Workspace, tally: &mut Tally) -> Result<()> {
    let cargo = |name: &str, arguments: &[&[&str]]| {
        step(name, || {
            let mut command = cargo();
            command
                .args(arguments.concat())
                .env("RUSTDOCFLAGS", "-D warnings");
            run_program(command.current_dir(&workspace.root))
        })
    };
    let deny: &[&str] = &["--", "-D", "warnings"];
    let clippy: &[&str] = &["clippy", "--all-targets"];
    let doc: &[&str] = &["doc", "--no-deps"];
    cargo("format", &[&["fmt", "--all", "--check"]])?;
    cargo("clippy", &[clippy, ALL, deny])?;
    cargo(
        "clippy, virtmgr without its features",
        &[clippy, BARE, deny],
    )?;
    cargo("clippy, early_virtmgr", &[clippy, EARLY, deny])?;
    cargo("documentation", &[doc, ALL])?;
    cargo("documentation, early_virtmgr", &[doc, EARLY])?;
    step("dependencies and packages", || audit::run(workspace))?;
    oldest_compiler(workspace, tally)?;
    if exists("cargo-deny") {
        // Advisories come from the network; where that is wanted: `cargo deny check`.
        let checked = ["deny", "check", "bans", "licenses", "sources"];
        cargo("licences and sources", &[&checked])
    } else {
        tally.skip(
            "cargo-deny",
            "no cargo-deny (cargo install cargo-deny --locked)",
        );
        Ok(())
    }
}

/// Checks everything with the oldest compiler that `Cargo.toml` promises to work.
fn oldest_compiler(workspace: &Workspace, tally: &mut Tally) -> Result<()> {
    let version = audit::minimum(workspace)?;
    let known = output(Command::new("rustup").args(["toolchain", "list"])).unwrap_or_default();
    // Cargo's own metadata leaves the patch number out where it is 0.
    let Some(toolchain) = known
        .lines()
        .find(|line| is_toolchain(line, &version))
        .and_then(|line| line.split_whitespace().next())
    else {
        tally.skip(
            "oldest-compiler",
            &format!("no Rust {version} (rustup toolchain install {version})"),
        );
        return Ok(());
    };
    step(&format!("check with Rust {version}"), || {
        let mut command = Command::new("rustup");
        command
            .args([
                "run",
                toolchain,
                "cargo",
                "check",
                "--locked",
                "--workspace",
            ])
            .args(["--target-dir"])
            .arg(workspace.target.join("oldest-compiler"))
            .env_remove("CARGO")
            .env_remove("RUSTUP_TOOLCHAIN")
            .current_dir(&workspace.root);
        run_program(&mut command).context("`rust-version` in Cargo.toml is not true")
    })
}

/// Whether a line of `rustup toolchain list` is about the compiler `version`, such as `1.89`.
fn is_toolchain(line: &str, version: &str) -> bool {
    line.strip_prefix(version)
        .is_some_and(|rest| rest.starts_with(".0-") || rest.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toolchains_are_found_by_their_version() {
        assert!(is_toolchain(
            "1.89.0-x86_64-unknown-linux-gnu (default)",
            "1.89"
        ));
        assert!(is_toolchain("1.89-x86_64-unknown-linux-gnu", "1.89"));
        for other in ["1.89.1-x86_64", "stable-x86_64", "1.8-x86_64", "1.890.0-x"] {
            assert!(!is_toolchain(other, "1.89"), "{other}");
        }
    }
}
