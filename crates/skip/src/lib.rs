// SPDX-License-Identifier: Apache-2.0
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// Names the file to which skips are appended, one line each.
pub const SKIPS_VARIABLE: &str = "AVF_SKIPS";
/// With the value `all`, a skip fails its test.
pub const TESTS_VARIABLE: &str = "AVF_TESTS";
/// Names the file with the skips that are allowed nevertheless.
pub const ALLOWED_VARIABLE: &str = "AVF_ALLOWED_SKIPS";

/// Records that the running test is skipped, with the reason as for [`format!`]. The caller returns.
#[macro_export]
macro_rules! skip {
    ($($reason:tt)+) => {
        $crate::record(::core::module_path!(), &::std::format!($($reason)+))
    };
}

/// What [`skip!`] calls, with the module in which it stands.
///
/// # Panics
/// If every test has to run and this one may not be skipped.
#[track_caller]
pub fn record(module: &str, reason: &str) {
    let program = module.split("::").next().unwrap_or(module);
    let thread = std::thread::current();
    let skip = Skip {
        program,
        // The harness names a test's thread after the test. In other threads the module must do.
        test: thread
            .name()
            .filter(|name| *name != "main")
            .unwrap_or(module),
        reason,
    };
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let must_run = variable(TESTS_VARIABLE).is_some_and(|value| value == "all");
    let allowed = variable(ALLOWED_VARIABLE);
    #[allow(clippy::panic, reason = "this is how a test fails")]
    if must_run && !is_allowed(&skip.name(), allowed.as_deref().map(Path::new)) {
        panic!("{TESTS_VARIABLE}=all, but this test is skipped: {reason}");
    }
    let told = match variable(SKIPS_VARIABLE) {
        Some(file) => skip.append(Path::new(&file)),
        None => io::stderr().write_all(skip.line().as_bytes()),
    };
    // The test itself is not at fault.
    if let Err(e) = told {
        eprintln!("cannot record a skipped test: {e}");
    }
}

/// A test that does not run, or not in full.
struct Skip<'a> {
    program: &'a str,
    test: &'a str,
    reason: &'a str,
}

impl Skip<'_> {
    /// As it is recorded.
    fn line(&self) -> String {
        let reason = self.reason.replace('\n', " ");
        format!("skipped: {}: {reason}\n", self.name())
    }

    /// The program's name and the test's.
    fn name(&self) -> String {
        format!("{} {}", self.program, self.test)
    }

    /// Other processes append at the same time, so the line is one write.
    fn append(&self, file: &Path) -> io::Result<()> {
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(file)?
            .write_all(self.line().as_bytes())
    }
}

/// Whether `file` has a line `NAME: REASON`, where a name is `PROGRAM TEST`.
#[must_use]
pub fn is_allowed(name: &str, file: Option<&Path>) -> bool {
    let Some(text) = file.and_then(|file| fs::read_to_string(file).ok()) else {
        return false;
    };
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .any(|line| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(": "))
        })
}
