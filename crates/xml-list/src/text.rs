// SPDX-License-Identifier: Apache-2.0
//! From bytes to text, and text as it is shown.

use std::str::from_utf8;

use crate::Fault;
use crate::position::{Lines, Position};

/// The blanks of XML.
pub(crate) const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

/// Removes blanks at both ends and makes those between words one space, as the schema type
/// `xs:token` does.
#[must_use]
pub fn collapse(text: &str) -> String {
    text.split(BLANKS)
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Bytes of a value that a message shows at most.
const MAX_SHOWN: usize = 256;

/// The text as a message shows it: control and direction characters escaped, and a long text cut.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars() {
        if shown.len() >= MAX_SHOWN {
            shown.push_str("...");
            break;
        }
        if is_hidden(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Whether a terminal would act on the character instead of showing it: control characters, and
/// those that change the direction of the text.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Checks that the bytes are UTF-8 and do not declare another encoding.
pub(crate) fn decode(bytes: &[u8]) -> Result<&str, Fault> {
    let text = from_utf8(bytes).map_err(|error| Fault {
        position: Lines::new(bytes).position(error.valid_up_to()),
        message: "not UTF-8; save the file as UTF-8".to_owned(),
    })?;
    let known = ["utf-8", "us-ascii"];
    match declared_encoding(text) {
        Some(encoding) if !known.contains(&encoding.to_ascii_lowercase().as_str()) => Err(Fault {
            position: Position::START,
            message: format!(
                "declared as '{}', not UTF-8; save the file as UTF-8",
                printable(encoding)
            ),
        }),
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

/// Where the declaration ends, or 0 without one, and the offset of a DOCTYPE.
///
/// A DOCTYPE can stand only in front of the root element, among comments and instructions. It is
/// found here, so that no parser ever sees an entity's definition.
pub(crate) fn prolog(text: &str) -> (usize, Option<usize>) {
    let bom = text.len() - text.strip_prefix('\u{feff}').unwrap_or(text).len();
    let mut start = bom;
    let mut rest = &text[bom..];
    if rest.starts_with("<?xml")
        && rest[5..].starts_with(BLANKS)
        && let Some((declaration, _)) = rest.split_once("?>")
    {
        start = bom + declaration.len() + 2;
        rest = &text[start..];
    }
    loop {
        rest = rest.trim_start_matches(BLANKS);
        let end = if rest.starts_with("<!--") {
            "-->"
        } else if rest.starts_with("<?") {
            "?>"
        } else {
            break;
        };
        match rest.split_once(end) {
            Some((_, after)) => rest = after,
            None => return (start, None),
        }
    }
    let doctype = rest.starts_with("<!DOCTYPE");
    (start, doctype.then(|| text.len() - rest.len()))
}
