// SPDX-License-Identifier: Apache-2.0
//! `vm early check`: every list of a system at once.

use crate::cli::CheckArgs;
use crate::paint::Paint;
use anyhow::{Context, Result, ensure};
use std::process::ExitCode;

/// Checks the lists. The faults are the result, so they go to standard output.
pub(crate) fn check(args: &CheckArgs) -> Result<ExitCode> {
    let root = args.root.display();
    let meta = std::fs::metadata(&args.root).with_context(|| format!("--root {root}"))?;
    ensure!(meta.is_dir(), "--root {root}: it must be a directory");
    let report = early_vms::check_all(&args.root);
    let paint = Paint::stdout();
    let mut errors = 0;
    for fault in &report.faults {
        let place = format!("{}:{}:", fault.location.file.display(), fault.location.line);
        if fault.warning {
            println!("{} warning: {}", paint.odd(place), fault.message);
        } else {
            errors += 1;
            println!("{} {}", paint.bad(place), fault.message);
        }
    }
    eprintln!(
        "{root}: {}, {}, {}, {}",
        counted(report.files, "list"),
        counted(report.vms.len(), "usable VM"),
        counted(errors, "error"),
        counted(report.faults.len() - errors, "warning")
    );
    Ok(if report.is_good() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// `1 list`, `2 lists`.
fn counted(count: usize, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_many() {
        assert_eq!(counted(1, "usable VM"), "1 usable VM");
        assert_eq!(counted(0, "error"), "0 errors");
        assert_eq!(counted(2, "list"), "2 lists");
    }
}
