// SPDX-License-Identifier: Apache-2.0
//! Which of the RPC library's log records a program shows.
//!
//! The library logs every bad handshake and every failed send. A peer causes those as often as it
//! likes, and some of them are the ordinary end of a session. A program that serves peers asks
//! [`admit`] about each record in its logger.

use crate::log_limit::{LogLimit, Number};
use log::{Level, Record};
use std::sync::{Mutex, PoisonError};

/// Kinds of records that are counted each; the library has fewer.
const KINDS: usize = 256;

/// Whether a program's logger shows `record`, and what it appends to its text. Records of other
/// libraries and of programs are all shown. Of the RPC library's, these are not:
///
/// - those below the level of warnings, which are for its own developers;
/// - the end of a session whose peer has closed its connection;
/// - most of those that come in numbers, counted by where the library logs them.
pub fn admit(record: &Record<'_>) -> Option<Number> {
    static COUNTS: Mutex<Vec<(String, u32, LogLimit)>> = Mutex::new(Vec::new());
    if !record.target().starts_with("rsbinder") {
        return Some(Number::FIRST);
    }
    if record.level() > Level::Warn || is_ordinary_end(&record.args().to_string()) {
        return None;
    }
    let (file, line) = (record.target(), record.line().unwrap_or_default());
    let mut counts = COUNTS.lock().unwrap_or_else(PoisonError::into_inner);
    let known = counts
        .iter()
        .position(|(other, number, _)| *number == line && other == file);
    let at = known.unwrap_or_else(|| {
        if counts.len() < KINDS {
            counts.push((file.to_owned(), line, LogLimit::new()));
        }
        counts.len() - 1
    });
    counts.get(at)?.2.admit()
}

/// As [`admit`], with what follows the text as a string: for loggers that do not depend on this crate.
pub fn suffix(record: &Record<'_>) -> Option<String> {
    admit(record).map(|number| number.to_string())
}

/// Whether the library says no more than that a peer has closed its connection.
fn is_ordinary_end(text: &str) -> bool {
    const ENDS: [(&str, &str); 3] = [
        ("android-13+ RPC handshake failed", "RPC stream ended"),
        ("android-13+ RPC handshake failed", "RPC frame truncated"),
        ("RPC session ended", "stream lost (Truncated)"),
    ];
    ENDS.iter()
        .any(|(start, cause)| text.starts_with(start) && text.contains(cause))
}
