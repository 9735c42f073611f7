// SPDX-License-Identifier: Apache-2.0
//! Structure, positions and values of lists, sound and hostile.
#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]

use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde::Deserialize;
use xml_list::{Fault, Form, List, Unknown};

const FORM: Form<'_> = Form {
    root: "l",
    entry: "e",
    fields: &["a", "b"],
    required: &["a"],
    unknown: Unknown::Refuse,
};

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Values {
    #[serde(alias = "@a")]
    a: String,
    #[serde(alias = "@b")]
    b: String,
}

fn read_as(text: &str, unknown: Unknown) -> Result<List<'_>, Fault> {
    xml_list::read(text.as_bytes(), &Form { unknown, ..FORM })
}

fn read(text: &str) -> Result<List<'_>, Fault> {
    read_as(text, Unknown::Refuse)
}

/// The only entry's values.
fn values(text: &str) -> (String, String) {
    let list = read(text).unwrap();
    let [entry] = &list.entries[..] else {
        unreachable!("{list:?}")
    };
    let values: Values = entry.read().unwrap();
    (values.a, values.b)
}

/// All faults in the order of the text.
fn faults(text: &str, unknown: Unknown) -> Vec<String> {
    match read_as(text, unknown) {
        Ok(list) => {
            let own = list.entries.into_iter().flat_map(|entry| entry.faults);
            let mut all: Vec<_> = list.faults.into_iter().chain(own).collect();
            all.sort_by_key(|fault| fault.position);
            all.iter().map(ToString::to_string).collect()
        }
        Err(fault) => vec![fault.to_string()],
    }
}

#[test]
fn values_are_read_from_elements_and_attributes() {
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    for (entry, wanted) in [
        ("<e><a>1</a><b>2</b></e>", pair("1", "2")),
        ("<e b='2' a=\"1\"/>", pair("1", "2")),
        ("<e><b/><a> x&amp;&#x79; </a></e>", pair("x&y", "")),
        (
            "<e><a>1<!-- - -->2<![CDATA[<3>]]><?p <4>?>5</a></e>",
            pair("12<3>5", ""),
        ),
        ("<e><?p?><!----><a><![CDATA[]]></a></e>", pair("", "")),
        ("<e xmlns:p='q'><a xmlns:r='s'>1</a></e>", pair("1", "")),
        ("<e a='>' b='/'></e>", pair(">", "/")),
    ] {
        assert_eq!(
            values(&format!("\u{feff}<l>{entry}</l>")),
            wanted,
            "{entry}"
        );
        assert_eq!(
            values(&format!("<?xml version='1.0'?><l>{entry}</l>")),
            wanted
        );
    }
}

#[test]
fn the_rest_of_a_faulty_entry_is_read() {
    for entry in [
        "<e>junk<a>1</a><x>y<z/></x></e>",
        "<e x='9' a='1'/>",
        "<e><a>1<x/></a></e>",
        "<e><b>2</b><b>3</b><a p='q'>1</a></e>",
        "<e b='2' a='1'><b>3</b></e>",
        "<e xml:lang='en' a='1'/>",
        "<e xmlns:p='q' p:a='2' a='1'/>",
        "<e xmlns:p='q'><p:a>2</p:a><a>1</a></e>",
    ] {
        let text = format!("<l>{entry}<e a='other'/></l>");
        let list = read(&text).unwrap();
        assert!(!list.entries[0].faults.is_empty(), "{entry}");
        let values: Values = list.entries[0].read().unwrap();
        assert_eq!((values.a.as_str(), values.b.as_str()), ("1", ""), "{entry}");
        assert!(list.entries[1].faults.is_empty());
    }
}

#[test]
fn faults_have_positions_in_bytes() {
    for (text, wanted) in [
        (
            "<l>\r\n é x</l>",
            "2:2: text in <l>; only <e> is allowed there",
        ),
        (
            "<l><e\n é='1' a='2'/></l>",
            "2:2: unknown attribute 'é' of <e>; remove it",
        ),
        (
            "<l><e><a>1</a>\n<!--é--><c/></e></l>",
            "2:10: unknown element <c> in <e>; only <a> and <b> are allowed there",
        ),
        (
            "<l>\n\n<e b='1'/></l>",
            "3:1: <e> has no a; it needs exactly one a",
        ),
        (
            "<l><e><a/>\n <a/></e></l>",
            "2:2: <e> has 2 of a; it needs exactly one",
        ),
        (
            "<l>\n<e a='<!-- -->'/></l>",
            "2:1: not XML: '<' inside a tag",
        ),
        ("<l>\r<e>\n</l>", "2:1: not XML: expected 'e' tag, not 'l'"),
        (
            "<l/>\n\u{e9}",
            "2:1: not XML: text after the root element; remove it",
        ),
        ("<l>\n<e a=1/></l>", "2:6: not XML: unexpected token: 1"),
        ("<l>&x;</l>", "1:6: not XML: unexpected entity: x"),
        ("<l>\n", "2:1: not XML: the file ends too early"),
        ("", "1:1: not XML: the file ends too early"),
    ] {
        assert_eq!(faults(text, Unknown::Refuse), [wanted], "{text}");
    }
}

#[test]
fn a_doctype_is_refused_before_it_is_parsed() {
    for prolog in [
        "",
        "\u{feff}",
        "<?xml version='1.0'?>\n",
        "<!--<l>--><?a <l>?> ",
    ] {
        let text = format!("{prolog}<!DOCTYPE l [<!ENTITY x '<");
        let fault = read(&text).unwrap_err();
        assert!(fault.message.starts_with("a DOCTYPE is refused"), "{fault}");
    }
    assert_eq!(
        faults("<l><!-- <!DOCTYPE --></l>", Unknown::Refuse),
        [""; 0]
    );
}

#[test]
fn what_is_unknown_can_be_ignored() {
    let text = "<l x='1'>junk<f/><e a='1' c='2'>junk<d/></e></l>";
    assert_eq!(faults(text, Unknown::Ignore), [""; 0]);
    assert_eq!(
        faults(text, Unknown::RefuseEntries),
        ["1:14: unknown element <f> in <l>; only <e> is allowed there"]
    );
    assert_eq!(faults(text, Unknown::Refuse).len(), 7);
}

/// Values are shown, but do not act on a terminal, nor fill it.
#[test]
fn messages_are_bounded_and_printable() {
    let namespace = "n".repeat(5000);
    let text = format!("<l xmlns:p='{namespace}\u{9b}'><p:x/></l>");
    let found = faults(&text, Unknown::Refuse);
    assert!(found[0].len() < 500, "{}", found[0].len());
    let found = faults("<l xmlns:p='a&#x9b;\u{202e}'><p:x/></l>", Unknown::Refuse);
    assert!(
        found[0].contains("namespace 'a\\u{9b}\\u{202e}'"),
        "{found:?}"
    );
}

#[test]
fn time_grows_with_the_length_alone() {
    let fill = |start: &str, part: &str, end: &str| {
        format!("{start}{}{end}", part.repeat((1 << 18) / part.len()))
    };
    for text in [
        fill("<l>", "<e a='1'/>", "</l>"),
        fill("<l>", "<e/>", "</l>"),
        fill("<l>", "<x/>t", "</l>"),
        fill("<l><e>", "<a/><x/>", "</e></l>"),
        fill("<l><e><a>", "&amp;<!---->", "</a></e></l>"),
        fill("<l><e ", "a='' ", "/></l>"),
        fill("<l>", "<l>", ""),
        fill("<l>", "]", "</l>"),
        fill("<!--", "<!DOCTYPE", "--><l/>"),
        fill("<l x='", "<", "'/>"),
    ] {
        let start = Instant::now();
        if let Ok(list) = read(&text) {
            let _ = list
                .entries
                .iter()
                .filter_map(|e| e.read::<Values>().ok())
                .count();
        }
        // Seconds in a debug build; a quadratic pass takes hours.
        assert!(
            start.elapsed() < Duration::from_secs(300),
            "{}",
            &text[..20]
        );
    }
}

proptest! {
    #[test]
    fn any_parts_are_read_or_refused(
        parts in proptest::collection::vec(proptest::sample::select(&[
            "<l>", "</l>", "<e>", "</e>", "<e ", "a='1'", " b=\"2\" ", "/>", "<a>", "</a>", "<b>",
            "</b>", "x", "é", " ", "\n", "\r", "&lt;", "&#65;", "<!--", "-->", "<![CDATA[", "]]>",
            "<?p", "?>", "xmlns='y'", "xmlns:q='y'", "<q:e>", "q:a='3'", "<?xml version='1.0'?>",
        ][..]), 0..40),
        unknown in proptest::sample::select(&[
            Unknown::Refuse, Unknown::RefuseEntries, Unknown::Ignore,
        ][..]),
    ) {
        let text = parts.concat();
        let lines = u32::try_from(text.split('\n').count()).unwrap();
        for text in [text.clone(), format!("<l>{text}</l>"), format!("<l><e>{text}</e></l>")] {
            let Ok(list) = read_as(&text, unknown) else { continue };
            for entry in &list.entries {
                prop_assert!(entry.position.line <= lines);
                prop_assert!(text.lines().count() >= 1);
                // What the pass lets through, serde reads.
                prop_assert!(entry.read::<Values>().is_ok(), "{text} {entry:?}");
            }
        }
    }
}
