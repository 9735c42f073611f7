// SPDX-License-Identifier: Apache-2.0
//! `fuzz`: the fuzz targets of the parsers, each for some seconds. A stable compiler can instrument
//! for libFuzzer; what it cannot do is AddressSanitizer, of which code without `unsafe` has no need.

use crate::packages::Installer;
use crate::steps::{heading, output, run as run_program, run_and_keep, say, step};
use crate::workspace::{Workspace, cargo, host_triple};
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Arguments of `fuzz`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these targets
    targets: Vec<String>,
    /// How long each one runs
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

/// What makes the compiler count branches and comparisons for libFuzzer; the same as `cargo fuzz
/// --sanitizer none` has.
const FLAGS: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Ccodegen-units=1";
/// The longest input, the most seconds for one, and the most memory in MiB.
const LIMITS: [&str; 3] = ["-max_len=65536", "-timeout=10", "-rss_limit_mb=1024"];

/// `cargo xtask fuzz`.
pub(crate) fn run(args: &Args, installer: Installer) -> Result<()> {
    // libFuzzer is built with it.
    installer.provide(&[("c++", "g++")])?;
    let workspace = Workspace::find()?;
    let fuzz = workspace.root.join("fuzz");
    let triple = host_triple()?;
    let corpus = fuzz.join("corpus");
    let known = step("write the seeds", || {
        let mut command = cargo();
        command
            .args([
                "run",
                "--quiet",
                "-p",
                "parser-checks",
                "--example",
                "seeds",
            ])
            .arg("--")
            .arg(&corpus)
            .current_dir(&workspace.root);
        let names = output(&mut command)?;
        Ok(names.lines().map(str::to_owned).collect::<Vec<_>>())
    })?;
    let chosen = choose(&args.targets, &known)?;
    step("build the fuzz targets", || {
        // With an explicit target these flags stay away from build scripts.
        run_program(
            cargo()
                .args(["build", "--release", "--bins", "--target", &triple])
                .env("RUSTFLAGS", FLAGS)
                .current_dir(&fuzz),
        )
    })?;
    let programs = fuzz.join("target").join(&triple).join("release");
    let mut results = Vec::new();
    for name in &chosen {
        let printed = step(&format!("fuzz {name}"), || {
            one(
                &programs.join(name),
                &corpus.join(name),
                &fuzz.join("artifacts").join(name),
                args.seconds,
            )
        })?;
        let runs = executions(&printed).with_context(|| format!("{name} tells no executions"))?;
        results.push(format!("{runs:>12}  {name}"));
    }
    heading("executions without a finding");
    for line in results {
        say!("{line}");
    }
    Ok(())
}

/// The targets that were asked for, or all.
fn choose(asked: &[String], known: &[String]) -> Result<Vec<String>> {
    if let Some(unknown) = asked.iter().find(|name| !known.contains(name)) {
        bail!(
            "there is no fuzz target {unknown}; there are {}",
            known.join(", ")
        );
    }
    Ok(if asked.is_empty() { known } else { asked }.to_vec())
}

/// Runs one target. What it finds is in `artifacts`, and is an error that says so.
fn one(program: &Path, corpus: &Path, artifacts: &Path, seconds: u32) -> Result<String> {
    ensure!(
        program.is_file(),
        "{} was not built: name the target in fuzz/Cargo.toml",
        program.display()
    );
    fs::create_dir_all(artifacts).with_context(|| format!("make {}", artifacts.display()))?;
    let mut command = Command::new(program);
    command
        .arg(corpus)
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .arg(format!("-max_total_time={seconds}"))
        .args(LIMITS)
        .arg("-print_final_stats=1");
    run_and_keep(&mut command).with_context(|| {
        format!(
            "a finding is in {}; mend it, and keep it in crates/parser-checks/regressions",
            artifacts.display()
        )
    })
}

/// How many inputs were run, as libFuzzer prints it at its end.
fn executions(printed: &str) -> Option<u64> {
    let line = printed
        .lines()
        .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_targets_are_run() {
        let known = ["a".to_owned(), "b".to_owned()];
        assert_eq!(choose(&[], &known).unwrap(), known);
        assert_eq!(choose(&known[1..], &known).unwrap(), ["b"]);
        let error = choose(&["c".to_owned()], &known).unwrap_err().to_string();
        assert!(
            error.contains("no fuzz target c; there are a, b"),
            "{error}"
        );
    }

    #[test]
    fn executions_are_counted() {
        let printed =
            "Done 10 runs\nstat::number_of_executed_units: 1234\nstat::new_units_added: 5\n";
        assert_eq!(executions(printed), Some(1234));
        assert_eq!(executions("nothing"), None);
    }

    /// Every check has a fuzz target, whose file runs the check of its name.
    #[test]
    fn every_check_has_a_target() {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
        let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
        let checks = fs::read_to_string(fuzz.join("../crates/parser-checks/README.md")).unwrap();
        let names: Vec<_> = checks
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
            .map(|(name, _)| name)
            .collect();
        assert!(names.len() > 10, "{names:?}");
        for name in names {
            assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
            let source = fuzz.join("fuzz_targets").join(format!("{name}.rs"));
            let source = fs::read_to_string(source).unwrap();
            assert!(source.contains(&format!("target!(\"{name}\")")), "{name}");
        }
    }
}
