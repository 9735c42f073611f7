// SPDX-License-Identifier: Apache-2.0
//! The log: lines on standard error, one `write` each.

use log::{Level, LevelFilter, Log, Metadata, Record};
use std::io::Write;

/// The environment variable that sets the level.
pub(crate) const LEVEL_VARIABLE: &str = "VIRTMGR_LOG";

struct Stderr;

impl Log for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // The binder library's own notes matter to its developers only.
        metadata.level() <= Level::Warn || !metadata.target().starts_with("rsbinder")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let line = format!(
                "virtualizationservice[{}] {}: {}\n",
                std::process::id(),
                record.level().as_str().to_ascii_lowercase(),
                record.args()
            );
            // Where standard error is closed there is no one to tell.
            let _ = std::io::stderr().write_all(line.as_bytes());
        }
    }

    fn flush(&self) {}
}

/// Starts logging at the level of `VIRTMGR_LOG`, or `info`.
pub(crate) fn install() {
    let level = std::env::var(LEVEL_VARIABLE)
        .ok()
        .and_then(|text| text.parse::<LevelFilter>().ok())
        .unwrap_or(LevelFilter::Info);
    if log::set_logger(&Stderr).is_ok() {
        log::set_max_level(level);
    }
}
