// SPDX-License-Identifier: Apache-2.0
//! Tells a user at a terminal how far a VM is.
//!
//! Steps that are done are lines that stay. Below them, until the payload is up, one line shows
//! what is being waited for, with the last line of the guest's console: the guest itself is the
//! clock, nothing here wakes up on its own. Where standard error is not a terminal there is neither.

use crate::out::{tell, tell_raw};
use crate::paint::{Paint, can_draw};
use host::printable;
use std::fmt::Display;
use std::io::IsTerminal;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The status line is not drawn more often than a reader can follow.
const BETWEEN: Duration = Duration::from_millis(50);
/// Bytes of the guest's present line that are kept.
const LONGEST_LINE: usize = 512;
/// The columns of a terminal that does not say how many it has.
const COLUMNS: usize = 80;
/// How a line of a kernel's begins that has panicked.
const PANIC: &str = "Kernel panic - not syncing";
/// To the start of the line, and clear it.
const CLEAR: &str = "\r\x1b[K";

/// The progress of one VM.
#[derive(Debug)]
pub(super) struct Progress {
    begin: Instant,
    is_shown: bool,
    paint: Paint,
    line: Mutex<Line>,
}

/// The status line.
#[derive(Debug, Default)]
struct Line {
    /// What is being waited for; empty when there is no such line.
    step: String,
    /// The guest's present line, and the last that was not empty.
    partial: Vec<u8>,
    last: String,
    is_drawn: bool,
    drawn_at: Option<Instant>,
    /// The guest has the terminal.
    is_muted: bool,
    /// How the user can read the console.
    reads_console: String,
    /// The guest's kernel has panicked.
    has_panicked: bool,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            begin: Instant::now(),
            is_shown: std::io::stderr().is_terminal(),
            paint: Paint::stderr(),
            line: Mutex::default(),
        }
    }

    /// A step is done. Shown at a terminal only.
    pub(super) fn done(&self, at: Instant, what: impl Display) {
        if self.is_shown && !self.line().is_muted {
            self.note(at, what);
        }
    }

    /// Something that the user must know, terminal or not.
    pub(super) fn note(&self, at: Instant, what: impl Display) {
        let seconds = at.saturating_duration_since(self.begin).as_secs_f64();
        self.tell(&self.paint.dim(format_args!("vm: {seconds:7.3} s  {what}")));
    }

    /// A whole line, above the status line.
    pub(super) fn tell(&self, text: &str) {
        let mut line = self.line();
        self.erase(&mut line);
        if line.is_muted {
            // A terminal in raw mode does not return by itself.
            tell(&format!("\r{}\r", text.replace('\n', "\r\n")));
        } else {
            tell(text);
            self.draw(&mut line);
        }
    }

    /// What is being waited for from now on; nothing if it is empty.
    pub(super) fn wait_for(&self, step: &str) {
        let mut line = self.line();
        step.clone_into(&mut line.step);
        self.draw(&mut line);
    }

    /// How the user can read the console, for hints.
    pub(super) fn console_is_read_by(&self, command: String) {
        self.line().reads_console = command;
    }

    /// The guest has been silent for long while it was waited for.
    pub(super) fn silent(&self, time: Duration) {
        let line = self.line();
        if line.step.is_empty() || line.has_panicked {
            return;
        }
        let hint = format!(
            "the guest has written nothing for {} s; `{}` prints its console",
            time.as_secs(),
            line.reads_console
        );
        drop(line);
        self.done(Instant::now(), hint);
    }

    /// The guest has the terminal, or has it no more.
    pub(super) fn mute(&self, is_muted: bool) {
        let mut line = self.line();
        self.erase(&mut line);
        line.is_muted = is_muted;
        self.draw(&mut line);
    }

    /// The guest wrote this to its console.
    pub(super) fn console(&self, bytes: &[u8]) {
        if !self.is_shown {
            return;
        }
        let mut line = self.line();
        for byte in bytes {
            if *byte == b'\n' {
                line.end_of_line();
                if line.last.contains(PANIC) && !line.has_panicked {
                    line.has_panicked = true;
                    let hint = format!(
                        "the guest's kernel has panicked; `{}` prints why, and with panic=-1 in its \
                         parameters the VM ends then",
                        line.reads_console
                    );
                    drop(line);
                    self.done(Instant::now(), hint);
                    line = self.line();
                }
            } else if line.partial.len() < LONGEST_LINE {
                line.partial.push(*byte);
            }
        }
        if line.drawn_at.is_none_or(|at| at.elapsed() >= BETWEEN) {
            self.draw(&mut line);
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn draw(&self, line: &mut Line) {
        if !self.is_shown || line.is_muted || !can_draw() {
            return;
        }
        if line.step.is_empty() {
            self.erase(line);
            return;
        }
        let size = rustix::termios::tcgetwinsize(std::io::stderr());
        let columns = size.map_or(COLUMNS, |size| usize::from(size.ws_col));
        let text = line.text(if columns == 0 { COLUMNS } else { columns });
        tell_raw(&format!("{CLEAR}{}", self.paint.dim(text)));
        line.is_drawn = true;
        line.drawn_at = Some(Instant::now());
    }

    fn erase(&self, line: &mut Line) {
        if line.is_drawn {
            tell_raw(CLEAR);
            line.is_drawn = false;
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        let mut line = self.line();
        self.erase(&mut line);
    }
}

impl Line {
    fn end_of_line(&mut self) {
        let text = String::from_utf8_lossy(&self.partial).trim().to_owned();
        if !text.is_empty() {
            self.last = printable(&text).into_owned();
        }
        self.partial.clear();
    }

    /// The line, which leaves the last column free: some terminals wrap there.
    fn text(&self, columns: usize) -> String {
        let whole = if self.last.is_empty() {
            format!("vm: {} ...", self.step)
        } else {
            format!("vm: {} ...  {}", self.step, self.last)
        };
        whole.chars().take(columns.saturating_sub(1)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_the_guest_is_harmless_and_short() {
        let mut line = Line {
            step: "booting".to_owned(),
            ..Line::default()
        };
        assert_eq!(line.text(80), "vm: booting ...");
        line.partial.extend_from_slice(b"\x1b[31mred\r");
        line.end_of_line();
        line.end_of_line();
        assert_eq!(line.text(80), "vm: booting ...  \u{fffd}[31mred");
        assert_eq!(line.text(10), "vm: booti");
        line.partial.extend_from_slice("a\u{202e}b".as_bytes());
        line.end_of_line();
        assert_eq!(line.last, "a\u{fffd}b");
    }
}
