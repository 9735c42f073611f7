// SPDX-License-Identifier: Apache-2.0
//! Counts tests: those that pass, those that fail, and those that say that they cannot run here.

use crate::files::{make_dir, remove};
use crate::steps::{heading, say};
use crate::workspace::Workspace;
use anyhow::{Context, Result};
use skip::{ALLOWED_VARIABLE, SKIPS_VARIABLE, TESTS_VARIABLE};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The skips that CI allows, in the source tree: on the machine itself, and in the device.
const ALLOWED: &str = "tests/allowed-skips";
const ALLOWED_IN_DEVICE: &str = "tests/allowed-skips-in-device";
/// How a skip is recorded; see the crate `skip`.
const SKIPPED: &str = "skipped: ";

/// The tests of one call of `cargo xtask`.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Where tests record their skips.
    file: PathBuf,
    /// The skips that are allowed, if other skips are failures.
    allowed: Option<PathBuf>,
    passed: usize,
    /// What failed, and where.
    failed: Vec<String>,
    /// Reasons by test. A test that skips in several processes is skipped once.
    skipped: BTreeMap<String, String>,
    /// The tests that the device has run. Skips of them on this machine do not count.
    in_device: BTreeSet<String>,
}

impl Tally {
    /// Nothing is counted yet.
    pub(crate) fn new(workspace: &Workspace) -> Result<Self> {
        make_dir(&workspace.target)?;
        let file = workspace.target.join("skips");
        remove(&file)?;
        let is_all = std::env::var_os(TESTS_VARIABLE).is_some_and(|value| value == "all");
        Ok(Self {
            file,
            allowed: is_all.then(|| workspace.root.join(ALLOWED)),
            ..Self::default()
        })
    }

    /// Has the tests that `command` runs record their skips here.
    pub(crate) fn watch(&self, command: &mut Command) {
        command.env(SKIPS_VARIABLE, &self.file);
        if let Some(allowed) = &self.allowed {
            command.env(ALLOWED_VARIABLE, allowed);
        }
    }

    /// The variables for tests in the device, as words of a shell. The file of skips would be lost
    /// with the device; what is printed is not.
    pub(crate) fn variables_in_device(&self) -> String {
        format!("{SKIPS_VARIABLE}= {ALLOWED_VARIABLE}={ALLOWED_IN_DEVICE}")
    }

    /// Adds what `cargo test` printed.
    pub(crate) fn add(&mut self, name: &str, printed: &str, is_success: bool) {
        let (passed, failed) = count(printed);
        self.passed += passed;
        if failed.is_empty() && !is_success {
            self.failed.push(format!("{name}: it ended with an error"));
        }
        self.failed.extend(failed);
    }

    /// Adds what a test program printed in the device, with its skips among that.
    pub(crate) fn add_of_device(&mut self, name: &str, printed: &str, is_success: bool) {
        self.add(name, printed, is_success);
        self.add_skips(printed);
        self.in_device.extend(names(printed).map(str::to_owned));
    }

    /// Adds a test that is a step of our own.
    pub(crate) fn add_step(&mut self, name: &str, done: Result<()>) {
        match done {
            Ok(()) => self.passed += 1,
            Err(error) => self.failed.push(format!("{name}: {error:#}")),
        }
    }

    /// Adds a check of our own that cannot be made here.
    pub(crate) fn skip(&mut self, name: &str, reason: &str) {
        let name = format!("xtask {name}");
        let is_allowed = |file: &PathBuf| skip::is_allowed(&name, Some(file));
        if self.allowed.as_ref().is_none_or(is_allowed) {
            self.skipped.insert(name, reason.to_owned());
        } else {
            self.failed
                .push(format!("{name}: {TESTS_VARIABLE}=all, but {reason}"));
        }
    }

    fn add_skips(&mut self, text: &str) {
        for line in text.lines() {
            let skip = line.strip_prefix(SKIPPED);
            if let Some((test, reason)) = skip.and_then(|skip| skip.split_once(": "))
                && self
                    .skipped
                    .insert(test.to_owned(), reason.to_owned())
                    .is_none()
            {
                // The harness takes it for one that passed.
                self.passed = self.passed.saturating_sub(1);
            }
        }
    }

    /// As [`Tally::add_skips`], of tests on this machine: those that ran in the device are counted there.
    fn add_skips_here(&mut self, text: &str) {
        let mut elsewhere = BTreeSet::new();
        let mut rest = String::new();
        for line in text.lines() {
            let test = line
                .strip_prefix(SKIPPED)
                .and_then(|skip| skip.split_once(": ")?.0.split_once(' '));
            match test {
                Some((_, test)) if self.in_device.contains(test) => {
                    elsewhere.insert(test.to_owned());
                }
                _ => {
                    rest.push_str(line);
                    rest.push('\n');
                }
            }
        }
        self.passed = self.passed.saturating_sub(elsewhere.len());
        self.add_skips(&rest);
    }

    /// Lists what failed and what was skipped, and says how many there are of each.
    pub(crate) fn finish(mut self) -> Result<ExitCode> {
        if let Some(text) = read(&self.file)? {
            self.add_skips_here(&text);
        }
        heading("results");
        for (test, reason) in &self.skipped {
            say!("{SKIPPED}{test}: {reason}");
        }
        for test in &self.failed {
            say!("failed: {test}");
        }
        say!(
            "{} passed, {} failed, {} skipped",
            self.passed,
            self.failed.len(),
            self.skipped.len()
        );
        Ok(if self.failed.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

fn read(file: &Path) -> Result<Option<String>> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).with_context(|| format!("read {}", file.display())),
    }
}

/// The number of tests that passed, and the names of those that failed, in the output of `cargo test`
/// or of one test program. A system test runs its program again, whose results come before those of
/// the program itself; the last ones count.
fn count(printed: &str) -> (usize, Vec<String>) {
    let (mut passed, mut failed) = (0, Vec::new());
    let mut program = "";
    let mut is_doc = false;
    let mut result = (0, Vec::new());
    let mut names = None::<Vec<String>>;
    for line in printed.lines() {
        let text = line.trim_start();
        let head = |head| text.strip_prefix(head).filter(|_| line.starts_with("  "));
        if let Some(name) = head("Running ").or_else(|| head("Doc-tests ")) {
            passed += result.0;
            failed.append(&mut result.1);
            result = (0, Vec::new());
            is_doc = text.starts_with("Doc-tests");
            program = name;
        } else if line == "failures:" {
            // The second of these heads the names alone.
            names = Some(Vec::new());
        } else if let Some(counts) = line.strip_prefix("test result: ") {
            let number = |what| {
                counts
                    .split(['.', ';'])
                    .find_map(|part| part.trim().strip_suffix(what)?.trim().parse().ok())
            };
            let names = names.take().unwrap_or_default().into_iter();
            let names = names.map(|name| format!("{program}: {name}"));
            if is_doc {
                result.0 += number("passed").unwrap_or(0);
                result.1.extend(names);
            } else {
                result = (number("passed").unwrap_or(0), names.collect());
            }
        } else if let (Some(names), Some(name)) = (&mut names, line.strip_prefix("    ")) {
            names.push(name.to_owned());
        }
    }
    passed += result.0;
    failed.append(&mut result.1);
    (passed, failed)
}

/// The tests that a program names while it runs them.
fn names(printed: &str) -> impl Iterator<Item = &str> {
    printed
        .lines()
        .filter_map(|line| line.strip_prefix("test ")?.split_once(" ... "))
        .map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "   Compiling a v1
     Running unittests src/lib.rs (target/debug/deps/a-1)

running 2 tests
test x ... ok
test y ... ok

test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

     Running tests/guests.rs (target/debug/deps/guests-1)

running 2 tests
test boots ... \nrunning 1 test
test boots ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 1 filtered out; finished in 9.00s

ok
test stops ... FAILED

failures:

---- stops stdout ----
    indented: not a name

failures:
    stops

test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 9.00s

   Doc-tests a

running 1 test
test src/lib.rs - (line 3) ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

running 1 test
test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
";

    #[test]
    fn results_are_counted_once() {
        let (passed, failed) = count(PRINTED);
        assert_eq!(passed, 5);
        assert_eq!(
            failed,
            ["tests/guests.rs (target/debug/deps/guests-1): stops"]
        );
        assert_eq!(count("error: could not compile"), (0, Vec::new()));
    }

    #[test]
    fn a_skip_is_not_a_pass() {
        let mut tally = Tally::default();
        tally.add(
            "all",
            "test result: ok. 3 passed; 0 failed; 0 ignored",
            true,
        );
        tally.add_skips("skipped: a x: no y: z\nnoise\nskipped: a x: no y: z\n");
        assert_eq!((tally.passed, tally.skipped.len()), (2, 1));
        assert_eq!(tally.skipped["a x"], "no y: z");
        tally.add_of_device(
            "d",
            "skipped: b z: no c\ntest result: ok. 1 passed; 0",
            true,
        );
        assert_eq!((tally.passed, tally.skipped.len()), (2, 2));
    }

    /// A test that this machine skips and the device runs is one test, and runs.
    #[test]
    fn a_skip_here_is_none_where_the_device_runs_it() {
        let mut tally = Tally::default();
        tally.add("here", "test result: ok. 2 passed; 0 failed; 0", true);
        let printed = "test a::x ... 1 2 3\nok\ntest result: ok. 1 passed; 0 failed; 0";
        tally.add_of_device("device", printed, true);
        tally.add_skips_here("skipped: d a::x: no KVM\nskipped: d y: no moon\n");
        assert_eq!(tally.skipped.keys().collect::<Vec<_>>(), ["d y"]);
        assert_eq!(tally.passed, 1);
    }

    #[test]
    fn what_ends_without_a_result_is_a_failure() {
        let mut tally = Tally::default();
        tally.add("all", "error: could not compile", false);
        assert_eq!(tally.failed, ["all: it ended with an error"]);
        tally.add("all", PRINTED, false);
        assert_eq!(tally.failed.len(), 2);
        tally.add_step("boot", Err(anyhow::anyhow!("no")));
        assert_eq!(tally.failed[2], "boot: no");
        tally.add_step("boot", Ok(()));
        assert_eq!(tally.passed, 6);
    }

    /// Where all tests must run, a check that cannot be made is one of the failures.
    #[test]
    fn only_allowed_skips_are_skips() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("allowed");
        fs::write(&file, "xtask one: CI has none\n").unwrap();
        let mut tally = Tally {
            allowed: Some(file),
            ..Tally::default()
        };
        tally.skip("one", "why");
        tally.skip("other", "why");
        assert_eq!(tally.skipped.keys().collect::<Vec<_>>(), ["xtask one"]);
        assert_eq!(tally.failed, ["xtask other: AVF_TESTS=all, but why"]);
    }
}
