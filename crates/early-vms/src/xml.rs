// SPDX-License-Identifier: Apache-2.0
//! From bytes to an XML tree, more strictly than the XML crate does it by itself.

use std::str::from_utf8;

use roxmltree::{Document, TextPos};

/// A place in a text, both numbers from 1, the column in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

impl Position {
    /// The place of what concerns a whole file.
    pub(crate) const START: Self = Self { line: 1, column: 1 };
}

/// Finds lines by byte offset without reading the text again for each.
pub(crate) struct LineIndex {
    /// The offset of each line's first byte.
    starts: Vec<usize>,
}

impl LineIndex {
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

    /// The XML crate counts columns in characters.
    fn in_bytes(&self, text: &str, position: TextPos) -> Position {
        let line = usize::try_from(position.row).unwrap_or(usize::MAX);
        let start = self.starts.get(line.saturating_sub(1)).copied();
        let rest = start
            .and_then(|start| text.get(start..))
            .unwrap_or_default();
        let before = usize::try_from(position.col)
            .unwrap_or(usize::MAX)
            .saturating_sub(1);
        let column: usize = rest.chars().take(before).map(char::len_utf8).sum();
        Position {
            line: position.row,
            column: u32::try_from(column + 1).unwrap_or(u32::MAX),
        }
    }
}

/// Why bytes are no XML text that is read here.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) position: Position,
    pub(crate) message: String,
}

impl Broken {
    fn new(position: Position, message: impl Into<String>) -> Self {
        Self {
            position,
            message: message.into(),
        }
    }
}

/// Checks that the bytes are UTF-8 and do not declare to be anything else.
pub(crate) fn text(bytes: &[u8]) -> Result<&str, Broken> {
    let text = from_utf8(bytes).map_err(|error| {
        let position = LineIndex::new(bytes).position(error.valid_up_to());
        Broken::new(position, "not UTF-8; save the file as UTF-8")
    })?;
    let known = ["utf-8", "us-ascii"];
    match declared_encoding(text) {
        Some(encoding) if !known.contains(&encoding.to_ascii_lowercase().as_str()) => {
            let message = format!("declared as '{encoding}', not UTF-8; save the file as UTF-8");
            Err(Broken::new(Position::START, message))
        }
        _ => Ok(text),
    }
}

/// The encoding that the XML declaration names.
fn declared_encoding(text: &str) -> Option<&str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (declaration, _) = text.strip_prefix("<?xml")?.split_once("?>")?;
    let (_, value) = declaration.split_once("encoding")?;
    let value = value.trim_start().strip_prefix('=')?.trim_start();
    let quote = value
        .chars()
        .next()
        .filter(|quote| matches!(quote, '"' | '\''))?;
    let (encoding, _) = value.strip_prefix(quote)?.split_once(quote)?;
    Some(encoding)
}

/// The most namespace declarations in a file. None is needed; the XML crate's time and memory grow
/// with their number times that of the elements in them.
const MAX_NAMESPACES: usize = 16;

/// Builds the tree. The XML crate refuses a document type declaration at its first byte, so that
/// no entity is ever defined, let alone expanded.
pub(crate) fn parse(text: &str) -> Result<Document<'_>, Broken> {
    if let Some((offset, _)) = text.match_indices("xmlns").nth(MAX_NAMESPACES) {
        let position = LineIndex::new(text.as_bytes()).position(offset);
        let message = format!("more than {MAX_NAMESPACES} times 'xmlns'; remove the namespaces");
        return Err(Broken::new(position, message));
    }
    let document = Document::parse(text).map_err(|error| explain(text, &error))?;

    for node in document.descendants() {
        let Some(instruction) = node.pi() else {
            continue;
        };
        let start = node.range().start;
        let data = text.get(start + "<?".len() + instruction.target.len()..);
        let message = if instruction.target.eq_ignore_ascii_case("xml") {
            // The crate knows the declaration only with a space after `<?xml`.
            "not XML: '<?xml version=...?>' may stand only at the start of the file"
        } else if !data
            .is_some_and(|data| data.starts_with("?>") || data.starts_with([' ', '\t', '\r', '\n']))
        {
            "not XML: an instruction's name must end with a blank"
        } else {
            continue;
        };
        let position = LineIndex::new(text.as_bytes()).position(start);
        return Err(Broken::new(position, message));
    }
    Ok(document)
}

/// Gives an error of the XML crate its place. Some come without one.
fn explain(text: &str, error: &roxmltree::Error) -> Broken {
    let lines = LineIndex::new(text.as_bytes());
    match error {
        roxmltree::Error::DtdDetected => {
            let offset = text.find("<!DOCTYPE").unwrap_or(0);
            let message = "a DOCTYPE is refused, as it may define entities; remove it";
            Broken::new(lines.position(offset), message)
        }
        roxmltree::Error::UnclosedRootNode | roxmltree::Error::UnexpectedEndOfStream => {
            let message = "not XML: the file ends too early";
            Broken::new(lines.position(text.len()), message)
        }
        other => {
            let place = format!(" at {}", other.pos());
            let message = other.to_string().replace(&place, "");
            let position = lines.in_bytes(text, other.pos());
            Broken::new(position, format!("not XML: {message}"))
        }
    }
}
