// SPDX-License-Identifier: Apache-2.0
//! `vm early check`: every list of a system at once.

use crate::cli::CheckArgs;
use crate::out;
use crate::paint::Paint;
use anyhow::{Context, Result, ensure};
use host::printable;
use std::process::ExitCode;

/// Checks the lists. The faults are the result, so they go to standard output.
pub(crate) fn check(args: &CheckArgs) -> Result<ExitCode> {
    let root = args.root.display();
    let meta = std::fs::metadata(&args.root).with_context(|| format!("--root {root}"))?;
    ensure!(meta.is_dir(), "--root {root}: it must be a directory");
    let report = early_vms::check_all(&args.root);
    let paint = Paint::stdout();
    let mut errors = 0;
    let mut text = String::new();
    for fault in &report.faults {
        let place = format!("{}:{}:", fault.location.file.display(), fault.location.line);
        let (place, message) = (printable(&place), printable(&fault.message));
        if fault.warning {
            text += &format!("{} warning: {message}\n", paint.odd(place));
        } else {
            errors += 1;
            text += &format!("{} {message}\n", paint.bad(place));
        }
    }
    out::print(&text)?;
    out::tell(&format!(
        "{}: {}, {}, {}, {}",
        printable(&root.to_string()),
        count(report.files, "list"),
        count(report.vms.len(), "usable VM"),
        count(errors, "error"),
        count(report.faults.len() - errors, "warning")
    ));
    Ok(if report.is_good() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A number of things: `1 list`, `2 lists`.
fn count(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}
