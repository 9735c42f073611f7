// SPDX-License-Identifier: Apache-2.0
//! Texts as values of crosvm's options of the form `key=value,key=value`.

/// What has a meaning in such an option.
const MARKS: [char; 5] = [',', '[', ']', '"', '\''];

/// `text` as one value: in double quotes if it needs them.
pub(super) fn value(text: &str) -> String {
    if !text.is_empty() && !text.contains(MARKS) {
        return text.to_owned();
    }
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_quoted() {
        assert_eq!(value("Ver. 1=2\\3"), "Ver. 1=2\\3");
        assert_eq!(value(""), "\"\"");
        assert_eq!(value("a,b"), "\"a,b\"");
        assert_eq!(value("it's [one]"), "\"it's [one]\"");
        assert_eq!(value("\"a\\b\""), "\"\\\"a\\\\b\\\"\"");
    }
}
