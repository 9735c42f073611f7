// SPDX-License-Identifier: Apache-2.0
//! Colours, for terminals only.

use std::fmt::Display;
use std::io::IsTerminal;

/// Whether text is coloured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint(bool);

impl Paint {
    /// As fits standard output.
    pub(crate) fn stdout() -> Self {
        Self(std::io::stdout().is_terminal() && wanted())
    }

    /// As fits standard error.
    pub(crate) fn stderr() -> Self {
        Self(std::io::stderr().is_terminal() && wanted())
    }

    /// Whether text is coloured at all.
    pub(crate) fn is_on(self) -> bool {
        self.0
    }

    /// What is as it should be: green.
    pub(crate) fn good(self, text: impl Display) -> String {
        self.with("32", text)
    }

    /// What is wrong: red and bold.
    pub(crate) fn bad(self, text: impl Display) -> String {
        self.with("1;31", text)
    }

    /// What is odd: yellow.
    pub(crate) fn odd(self, text: impl Display) -> String {
        self.with("33", text)
    }

    /// What is beside the point: dim.
    pub(crate) fn dim(self, text: impl Display) -> String {
        self.with("2", text)
    }

    fn with(self, code: &str, text: impl Display) -> String {
        if self.0 {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_string()
        }
    }
}

/// Whether the terminal can do more than print lines.
pub(crate) fn can_draw() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Whether the user wants colours: <https://no-color.org>, and whether the terminal has them.
fn wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && can_draw()
}
