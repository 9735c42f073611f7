// SPDX-License-Identifier: Apache-2.0
//! What a guest writes, made harmless for a terminal.

use host::printable;
use std::borrow::Cow;

/// The longest character in UTF-8.
const LONGEST: usize = 4;

/// Shows a stream of bytes as text without control characters. A control character below U+0020 is
/// shown as a caret and a letter, as `cat -v` does; others, marks that change the direction of
/// writing, and bytes that are not text, as U+FFFD. Tabs and line breaks stay.
#[derive(Debug, Default)]
pub(crate) struct Harmless {
    /// The beginning of a character whose end has not come yet.
    rest: Vec<u8>,
}

impl Harmless {
    /// The text of the next bytes.
    pub(crate) fn show(&mut self, bytes: &[u8]) -> String {
        let all = if self.rest.is_empty() {
            Cow::Borrowed(bytes)
        } else {
            let mut all = std::mem::take(&mut self.rest);
            all.extend_from_slice(bytes);
            Cow::Owned(all)
        };
        let mut shown = String::with_capacity(all.len());
        let mut left = &*all;
        while !left.is_empty() {
            match std::str::from_utf8(left) {
                Ok(text) => {
                    push(&mut shown, text);
                    break;
                }
                Err(e) => {
                    let (text, bad) = left.split_at(e.valid_up_to());
                    push(&mut shown, &String::from_utf8_lossy(text));
                    match e.error_len() {
                        Some(length) => {
                            shown.push('\u{fffd}');
                            left = &bad[length..];
                        }
                        None if bad.len() < LONGEST => {
                            self.rest = bad.to_vec();
                            break;
                        }
                        None => left = &[],
                    }
                }
            }
        }
        shown
    }
}

/// All of a text at once.
pub(crate) fn harmless(text: &str) -> String {
    Harmless::default().show(text.as_bytes())
}

fn push(shown: &mut String, text: &str) {
    let mut plain = text;
    while let Some(at) = plain.find(|c: char| c.is_ascii_control()) {
        shown.push_str(&printable(&plain[..at]));
        let control = plain.as_bytes()[at];
        if matches!(control, b'\t' | b'\n' | b'\r') {
            shown.push(char::from(control));
        } else {
            shown.push('^');
            shown.push(char::from(control ^ 64));
        }
        plain = &plain[at + 1..];
    }
    shown.push_str(&printable(plain));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_sequences_do_not_reach_a_terminal() {
        for (text, shown) in [
            ("a\x1b[2J\x07\x7f\tb\r\nc\u{e9}", "a^[[2J^G^?\tb\r\nc\u{e9}"),
            ("a\u{9b}31mb", "a\u{fffd}31mb"),
            ("a\u{202e}b\u{2066}", "a\u{fffd}b\u{fffd}"),
        ] {
            assert_eq!(harmless(text), shown);
        }
        let shown = Harmless::default().show(b"a\x9b\xffb");
        assert_eq!(shown, "a\u{fffd}\u{fffd}b");
    }

    #[test]
    fn a_character_in_two_pieces_is_one() {
        let text = "\u{e9}\u{20ac}\u{1f600}\u{202e}x".as_bytes();
        for at in 0..text.len() {
            let mut stream = Harmless::default();
            let shown = stream.show(&text[..at]) + &stream.show(&text[at..]);
            assert_eq!(shown, "\u{e9}\u{20ac}\u{1f600}\u{fffd}x", "{at}");
        }
    }
}
