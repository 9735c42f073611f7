// SPDX-License-Identifier: Apache-2.0
//! How much memory a process takes.

use std::fs;

/// The proportional set size of process `pid`, in KiB: what would be free without it.
///
/// # Panics
/// If the process does not exist.
#[must_use]
pub fn proportional_kib(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    text.lines()
        .find_map(|line| {
            line.strip_prefix("Pss:")?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        })
        .unwrap()
}
