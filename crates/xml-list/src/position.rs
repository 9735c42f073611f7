// SPDX-License-Identifier: Apache-2.0
//! Lines and columns.

use std::fmt;

/// A position in a text. It is printed as `line:column`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line, from 1.
    pub line: u32,
    /// The column, in bytes from 1.
    pub column: u32,
}

impl Position {
    /// The position of a fault that concerns the whole text.
    pub const START: Self = Self { line: 1, column: 1 };
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// Converts byte offsets to positions without reading the text again for each.
pub(crate) struct Lines {
    /// The offset of each line's first byte.
    starts: Vec<usize>,
}

impl Lines {
    pub(crate) fn new(text: &[u8]) -> Self {
        let ends = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        let starts = ends.map(|(offset, _)| offset + 1);
        Self {
            starts: std::iter::once(0).chain(starts).collect(),
        }
    }

    pub(crate) fn position(&self, offset: usize) -> Position {
        // The first line starts at 0, so at least one line starts at or before any offset.
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts.get(line.saturating_sub(1)).copied();
        let column = offset.saturating_sub(start.unwrap_or(0)) + 1;
        Position {
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(column).unwrap_or(u32::MAX),
        }
    }
}

/// The byte offset of a position of the event reader, which counts rows and characters from 0, and
/// a lone carriage return as a line's end.
pub(crate) fn offset_of(text: &str, row: u64, column: u64) -> usize {
    let (mut at_row, mut at_column) = (0, 0);
    let mut chars = text.char_indices().peekable();
    while let Some((offset, c)) = chars.next() {
        if (at_row, at_column) >= (row, column) {
            return offset;
        }
        let is_end = match c {
            '\n' => true,
            '\r' => chars.peek().is_none_or(|(_, next)| *next != '\n'),
            _ => false,
        };
        if is_end {
            (at_row, at_column) = (at_row + 1, 0);
        } else if c != '\r' {
            at_column += 1;
        }
    }
    text.len()
}
