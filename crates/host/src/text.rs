// SPDX-License-Identifier: Apache-2.0
//! Texts for people.

use std::borrow::Cow;
use std::error::Error;
use std::io;

/// An error and its causes on one line. A cause that the text before it ends with is not repeated.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !cause_text.is_empty() && !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

/// `cause` with `remedy`, if there is one, after it: the last thing that a reader should see.
#[must_use]
pub fn with_remedy(cause: io::Error, remedy: &str) -> io::Error {
    if remedy.is_empty() {
        return cause;
    }
    io::Error::new(cause.kind(), format!("{cause}; {remedy}"))
}

/// `text` with each character that could control a terminal or reorder a line replaced by U+FFFD.
///
/// These are the control characters (escape sequences begin with one), the line and paragraph
/// separators, and the marks that change the direction of writing. Spaces and tabs stay; a line break
/// does not, so that a name cannot forge a line of a log.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.chars().any(is_harmful) {
        let clean = |c| if is_harmful(c) { '\u{fffd}' } else { c };
        Cow::Owned(text.chars().map(clean).collect())
    } else {
        Cow::Borrowed(text)
    }
}

fn is_harmful(c: char) -> bool {
    match c {
        '\t' => false,
        // Line and paragraph separator; marks, embeddings, overrides and isolates of direction.
        '\u{2028}' | '\u{2029}' | '\u{061c}' | '\u{200e}' | '\u{200f}' => true,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        _ => c.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Link {
        text: &'static str,
        source: Option<Box<Link>>,
    }

    fn link(texts: &[&'static str]) -> Link {
        Link {
            text: texts[0],
            source: (texts.len() > 1).then(|| Box::new(link(&texts[1..]))),
        }
    }

    #[test]
    fn causes_stand_on_one_line_and_none_twice() {
        assert_eq!(chain(&link(&["a"])), "a");
        assert_eq!(chain(&link(&["a", "b", "c"])), "a: b: c");
        assert_eq!(chain(&link(&["a: b", "b", "c"])), "a: b: c");
        assert_eq!(chain(&link(&["a", "", "c"])), "a: c");
    }

    #[test]
    fn what_controls_a_terminal_is_replaced() {
        for (text, printed) in [
            ("plain\ttext, ümläut, 漢字", "plain\ttext, ümläut, 漢字"),
            (
                "\u{1b}[2Jx\r\n\u{7}",
                "\u{fffd}[2Jx\u{fffd}\u{fffd}\u{fffd}",
            ),
            ("\u{9b}31m\u{7f}", "\u{fffd}31m\u{fffd}"),
            (
                "a\u{202e}b\u{2066}c\u{200f}d\u{061c}",
                "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}",
            ),
            ("one\u{2028}two\u{2029}", "one\u{fffd}two\u{fffd}"),
        ] {
            assert_eq!(printable(text), printed);
        }
        assert!(matches!(printable("plain"), Cow::Borrowed(_)));
    }
}
