// SPDX-License-Identifier: Apache-2.0
//! Writing to standard output and error without a panic: either may be closed, or full.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};

/// Writes a line to standard output.
///
/// # Errors
/// If it cannot be written. A reader that has gone has seen enough, which is not an error.
pub fn print(text: Arguments<'_>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Writes a line to standard output, for programs that have other work to do if that fails.
pub fn say(text: Arguments<'_>) {
    // There is nobody else to tell.
    let _ = print(text);
}

/// Writes a line to standard error.
pub fn note(text: Arguments<'_>) {
    // There is nobody else to tell.
    let _ = writeln!(io::stderr().lock(), "{text}");
}
