// SPDX-License-Identifier: Apache-2.0
//! The log: lines on standard error, one `write` each.

use log::{Level, LevelFilter, Log, Metadata, Record};
use std::ffi::OsStr;
use std::io::Write;
use std::sync::OnceLock;

/// The environment variable that sets the level.
pub const LEVEL_VARIABLE: &str = "VIRTMGR_LOG";

/// `VIRTMGR_LOG` is not a level.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "cannot use {LEVEL_VARIABLE}={0}: it is not a level; set it to off, error, warn, info, debug or trace"
)]
pub struct LevelError(String);

/// The level that `VIRTMGR_LOG` names, or `info` if it is unset or empty.
///
/// # Errors
/// If it names none.
pub fn level() -> Result<LevelFilter, LevelError> {
    parse(std::env::var_os(LEVEL_VARIABLE).as_deref())
}

fn parse(value: Option<&OsStr>) -> Result<LevelFilter, LevelError> {
    let Some(value) = value.filter(|value| !value.is_empty()) else {
        return Ok(LevelFilter::Info);
    };
    let text = value.to_string_lossy();
    text.parse()
        .map_err(|_| LevelError(crate::printable(&text).into_owned()))
}

/// Says whether a message is shown: `None` if it is not, else what follows its text.
pub type Admit = fn(&Record<'_>) -> Option<String>;

/// Logs to standard error from now on, each line as `PROGRAM[PID] LEVEL: TEXT`, if `admit` lets it
/// through.
pub fn install(program: &'static str, level: LevelFilter, admit: Admit) {
    static STDERR: OnceLock<Stderr> = OnceLock::new();
    if log::set_logger(STDERR.get_or_init(|| Stderr { program, admit })).is_ok() {
        log::set_max_level(level);
    }
}

struct Stderr {
    program: &'static str,
    admit: Admit,
}

impl Log for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_ours(metadata.target()) || metadata.level() <= Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let Some(suffix) = (self.admit)(record) else {
            return;
        };
        let text = record.args().to_string();
        if is_library_advice(record.target(), &text) {
            return;
        }
        let text = text + &suffix;
        // If standard error is closed, nobody can be told.
        let _ = std::io::stderr().write_all(self.line(record.level(), &text).as_bytes());
    }

    fn flush(&self) {}
}

impl Stderr {
    fn line(&self, level: Level, text: &str) -> String {
        format!(
            "{}[{}] {}: {}\n",
            self.program,
            std::process::id(),
            level.as_str().to_ascii_lowercase(),
            crate::printable(text)
        )
    }
}

/// Whether a message is of this workspace, and not of the binder or property library: their lesser
/// notes are for their own developers.
fn is_ours(target: &str) -> bool {
    !target.starts_with("rsbinder") && !target.starts_with("rsproperties")
}

/// Whether this is the binder library's advice on how to start its own service manager, which it
/// gives where the kernel's binder has none. A host without one is not at fault, and what we do
/// without a service manager is told by ourselves.
fn is_library_advice(target: &str, text: &str) -> bool {
    target.starts_with("rsbinder") && text.contains("rsb_hub")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test() -> Stderr {
        Stderr {
            program: "test",
            admit: |_| Some(String::new()),
        }
    }

    #[test]
    fn a_level_that_is_none_is_an_error_with_the_right_ones() {
        let level = |text: &str| parse(Some(OsStr::new(text)));
        assert_eq!(parse(None), Ok(LevelFilter::Info));
        assert_eq!(level(""), Ok(LevelFilter::Info));
        assert_eq!(level("debug"), Ok(LevelFilter::Debug));
        assert_eq!(level("Off"), Ok(LevelFilter::Off));
        assert_eq!(
            level("fo\no").unwrap_err().to_string(),
            "cannot use VIRTMGR_LOG=fo\u{fffd}o: it is not a level; \
             set it to off, error, warn, info, debug or trace"
        );
    }

    #[test]
    fn a_message_is_one_line_that_cannot_control_a_terminal() {
        let line = test().line(Level::Error, "a\nb\u{1b}[0m");
        let pid = std::process::id();
        assert_eq!(line, format!("test[{pid}] error: a\u{fffd}b\u{fffd}[0m\n"));
    }

    #[test]
    fn libraries_tell_their_faults_and_not_their_advice() {
        let logger = test();
        let enabled = |target: &str, level| {
            logger.enabled(&Metadata::builder().target(target).level(level).build())
        };
        assert!(enabled("virtmgr::vm", Level::Debug));
        assert!(enabled("rsbinder::rpc", Level::Warn));
        assert!(!enabled("rsbinder::rpc", Level::Info));
        assert!(!enabled("rsproperties", Level::Info));
        assert!(is_library_advice("rsbinder::hub", "please start rsb_hub"));
        assert!(!is_library_advice("virtmgr", "please start rsb_hub"));
    }
}
