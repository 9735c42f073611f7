// SPDX-License-Identifier: Apache-2.0
//! The one way to standard output and standard error.
//!
//! Nothing here panics: a reader that has gone, as `head` does, is not an error, a full device is one.
//! Bytes go to the descriptor at once, so that none are left in a buffer when the program ends.

use crate::paint::Paint;
use anyhow::{Context, Result};
use host::printable;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use serde::Serialize;
use std::fmt::Write;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// Whether someone reads what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    /// Yes, as far as is known.
    Present,
    /// No: the other end of the pipe or socket is closed.
    Gone,
}

/// Standard output.
pub(crate) fn stdout() -> BorrowedFd<'static> {
    rustix::stdio::stdout()
}

/// Writes all of `bytes` to `fd`, also where that is non-blocking.
///
/// # Errors
/// Any but that the reader has gone.
pub(crate) fn write(fd: impl AsFd, mut bytes: &[u8]) -> io::Result<Reader> {
    while !bytes.is_empty() {
        match rustix::io::write(&fd, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => match poll(&mut [PollFd::new(&fd, PollFlags::OUT)], None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            },
            Err(Errno::PIPE) => return Ok(Reader::Gone),
            Err(e) => return Err(e.into()),
        }
    }
    Ok(Reader::Present)
}

/// Prints a command's result. That the reader has gone is not an error.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn print(text: &str) -> Result<()> {
    print_bytes(text.as_bytes()).map(drop)
}

/// Prints bytes as they are.
///
/// # Errors
/// If they cannot be written.
pub(crate) fn print_bytes(bytes: &[u8]) -> Result<Reader> {
    write(stdout(), bytes).context("cannot write to standard output")
}

/// Prints `value` as JSON.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn print_json(value: &impl Serialize) -> Result<()> {
    print(&(harmless_json(&serde_json::to_string_pretty(value)?) + "\n"))
}

/// JSON in which every character that could control a terminal is escaped. Those below U+0020 are
/// already, and outside of strings there are none but line breaks.
fn harmless_json(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut buffer = [0; 4];
    for c in text.chars() {
        let is_harmless = c == '\n' || printable(c.encode_utf8(&mut buffer)).chars().eq([c]);
        if is_harmless {
            shown.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string does not fail.
                let _ = write!(shown, "\\u{unit:04x}");
            }
        }
    }
    shown
}

/// Tells the user something on standard error. If that is closed, nobody can be told.
pub(crate) fn tell(text: &str) {
    tell_raw(&format!("{text}\n"));
}

/// The same without a line break at the end.
pub(crate) fn tell_raw(text: &str) {
    let _ = write(rustix::stdio::stderr(), text.as_bytes());
}

/// Tells an error with its causes: on one line, each once, with what helps where that is known.
pub(crate) fn tell_error(error: &anyhow::Error) {
    tell_failure(&host::chain(error.as_ref()));
}

/// Tells an error that is a text already.
pub(crate) fn tell_failure(text: &str) {
    // What was wrapped for the eye in a longer text is one line here.
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = format!("{}{}", printable(&text), remedy(&text));
    tell(&format!("{} {text}", Paint::stderr().bad("error:")));
}

/// What to do about an error of the system, if it is one that every call can meet.
fn remedy(text: &str) -> &'static str {
    if text.contains("ulimit") {
        ""
    } else if text.contains("(os error 24)") {
        "; raise the limit on open files: ulimit -n 1024"
    } else if text.contains("(os error 27)") {
        "; raise the limit on the size of files: ulimit -f unlimited"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_has_gone_is_told_from_a_full_device() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        assert_eq!(write(&writer, b"x").unwrap(), Reader::Present);
        drop(reader);
        assert_eq!(write(&writer, b"x").unwrap(), Reader::Gone);
        let full = std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let error = write(&full, b"x").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        // Nothing is nothing.
        assert_eq!(write(&full, b"").unwrap(), Reader::Present);
    }

    #[test]
    fn json_has_no_character_that_controls_a_terminal() {
        let text = "a\u{1b}[2Jb\u{9b}c\u{202e}d\u{7f}\u{e9}";
        let json = harmless_json(&serde_json::to_string_pretty(&[text]).unwrap());
        assert!(
            json.chars().all(|c| c == '\n' || !c.is_control()) && !json.contains('\u{202e}'),
            "{json:?}"
        );
        let read: Vec<String> = serde_json::from_str(&json).unwrap();
        assert_eq!(read, [text]);
    }

    #[test]
    fn limits_are_named_with_the_command_that_raises_them() {
        let emfile = io::Error::from_raw_os_error(24).to_string();
        assert!(remedy(&emfile).contains("ulimit -n"));
        let efbig = io::Error::from_raw_os_error(27).to_string();
        assert!(remedy(&efbig).contains("ulimit -f"));
        assert_eq!(remedy("no such file"), "");
    }
}
