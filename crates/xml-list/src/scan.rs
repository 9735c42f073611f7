// SPDX-License-Identifier: Apache-2.0
//! The pass over the whole text: structure, and where everything begins and ends.

use std::ops::Range;

use xml::attribute::OwnedAttribute;
use xml::common::Position as _;
use xml::name::OwnedName;
use xml::reader::XmlEvent;
use xml::{EventReader, ParserConfig};

use crate::entry::{Entry, and, count_fields, without};
use crate::position::{Lines, offset_of};
use crate::text::{BLANKS, collapse, decode, printable, prolog};
use crate::{Fault, Form, List, Unknown};

/// The namespace of `xsi:noNamespaceSchemaLocation`, by which an editor finds the schema.
const SCHEMA_INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// The deepest nesting. A list needs three levels; the event reader's time grows with the depth.
const MAX_DEPTH: usize = 32;

/// The most namespace declarations. None is needed; the event reader copies all of them for each
/// element.
const MAX_NAMESPACES: usize = 16;

/// Checks the structure of the list in `bytes` and finds its entries.
///
/// # Errors
///
/// If the text is not well-formed XML in UTF-8, has a DOCTYPE, is nested too deeply, or has another
/// root element. Faults inside the list are in [`List::faults`] and [`Entry::faults`].
pub fn read<'a>(bytes: &'a [u8], form: &Form<'_>) -> Result<List<'a>, Fault> {
    let text = decode(bytes)?;
    let lines = Lines::new(bytes);
    let fault = |offset: usize, message: String| Fault {
        position: lines.position(offset),
        message,
    };
    if let Some((offset, _)) = text.match_indices("xmlns").nth(MAX_NAMESPACES) {
        let message = format!("more than {MAX_NAMESPACES} times 'xmlns'; remove the namespaces");
        return Err(fault(offset, message));
    }
    let (start, doctype) = prolog(text);
    if let Some(offset) = doctype {
        let message = "a DOCTYPE is refused, as it may define entities; remove it";
        return Err(fault(offset, message.to_owned()));
    }

    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = ParserConfig::new()
        .ignore_comments(false)
        .allow_multiple_root_elements(false)
        .create_reader(body.as_bytes());
    let mut scan = Scan {
        text,
        form,
        lines: &lines,
        at: start,
        open: Vec::new(),
        skipped: None,
        list: List {
            faults: Vec::new(),
            entries: Vec::new(),
        },
        entry: None,
    };
    loop {
        match reader.next() {
            Ok(XmlEvent::EndDocument) => return Ok(scan.list),
            Ok(event) => scan.event(event, text.len() - reader.source().len())?,
            Err(error) => return Err(scan.explain(&error, &reader)),
        }
    }
}

/// An entry that has begun.
struct Begun {
    start: usize,
    has_attributes: bool,
    has_elements: bool,
    entry: Entry<'static>,
    /// What the serde type must not see.
    cuts: Vec<Range<usize>>,
}

struct Scan<'a, 'f> {
    text: &'a str,
    form: &'f Form<'f>,
    lines: &'f Lines,
    /// Where the last markup ended, and the text or markup of the next event begins.
    at: usize,
    /// The names and starts of the elements that are open.
    open: Vec<(String, usize)>,
    /// The depth of an element that is passed over with all that is in it.
    skipped: Option<usize>,
    list: List<'a>,
    entry: Option<Begun>,
}

impl<'a> Scan<'a, '_> {
    /// Takes an event. The reader has read the text up to `end`, which is the end of the event's
    /// markup unless it is plain text.
    fn event(&mut self, event: XmlEvent, end: usize) -> Result<(), Fault> {
        match event {
            XmlEvent::StartElement {
                name, attributes, ..
            } => {
                // The end of an element without content, whose start and end are one, moves nothing.
                let start = self.next_markup();
                self.at = end;
                self.start(&name, &attributes, start..end)?;
            }
            XmlEvent::EndElement { .. } => {
                self.at = end;
                self.end(end);
            }
            XmlEvent::Characters(text) | XmlEvent::Whitespace(text) => {
                let range = self.at..self.next_markup();
                self.text(&text, range);
            }
            XmlEvent::CData(text) => {
                let range = self.next_markup()..end;
                self.at = end;
                self.text(&text, range);
            }
            XmlEvent::Comment(_) => {
                let range = self.next_markup()..end;
                self.at = end;
                self.cut(range);
            }
            XmlEvent::ProcessingInstruction { name, .. } => {
                let start = self.next_markup();
                self.at = end;
                self.cut(start..end);
                if name.eq_ignore_ascii_case("xml") {
                    let message =
                        "not XML: '<?xml version=...?>' may stand only at the start of the file";
                    return Err(self.fault(start, message.to_owned()));
                }
            }
            XmlEvent::StartDocument { .. } | XmlEvent::EndDocument => {}
            // Refused before; should one be found here, it defines nothing that is used.
            XmlEvent::Doctype { .. } => {
                let message = "a DOCTYPE is refused, as it may define entities; remove it";
                return Err(self.fault(self.next_markup(), message.to_owned()));
            }
        }
        Ok(())
    }

    /// Where the next markup begins: plain text has no `<`.
    fn next_markup(&self) -> usize {
        let rest = self.text.get(self.at..).unwrap_or_default();
        self.at + rest.find('<').unwrap_or(rest.len())
    }

    fn start(
        &mut self,
        name: &OwnedName,
        attributes: &[OwnedAttribute],
        range: Range<usize>,
    ) -> Result<(), Fault> {
        let tag = self.text.get(range.clone()).unwrap_or_default();
        if tag.get(1..).is_some_and(|tag| tag.contains('<')) {
            return Err(self.fault(range.start, "not XML: '<' inside a tag".to_owned()));
        }
        if self.open.len() == MAX_DEPTH {
            let message = format!(
                "elements are nested more than {MAX_DEPTH} deep; a list needs three levels"
            );
            return Err(self.fault(range.start, message));
        }
        self.open.push((name.local_name.clone(), range.start));
        if self.skipped.is_some() {
            return Ok(());
        }
        match self.open.len() {
            1 => self.start_list(name, attributes, range)?,
            2 if is_named(name, self.form.entry) => self.start_entry(attributes, range),
            2 => {
                if self.form.unknown != Unknown::Ignore {
                    let rule = format!("only <{}> is allowed there", self.form.entry);
                    self.refuse_element(name, self.form.root, &rule, range.start);
                }
                self.skipped = Some(2);
            }
            3 => self.start_field(name, attributes, range),
            depth => {
                let parent = self.open.get(depth - 2).map(|(name, _)| name.clone());
                let parent = parent.unwrap_or_default();
                self.refuse_element(name, &parent, "only text is allowed there", range.start);
                self.skipped = Some(depth);
            }
        }
        Ok(())
    }

    fn start_list(
        &mut self,
        name: &OwnedName,
        attributes: &[OwnedAttribute],
        range: Range<usize>,
    ) -> Result<(), Fault> {
        let wanted = self.form.root;
        if !is_named(name, wanted) {
            let found = printable(&name.local_name);
            let message = match &name.namespace {
                Some(namespace) => format!(
                    "the root element is <{found}> of namespace '{}'; it must be <{wanted}> without a namespace",
                    printable(&collapse(namespace))
                ),
                None => format!("the root element is <{found}>; it must be <{wanted}>"),
            };
            return Err(self.fault(range.start, message));
        }
        if self.form.unknown == Unknown::Refuse {
            for (attribute, place) in attributes.iter().zip(self.places(range)) {
                let name = &attribute.name;
                // Allowed on the root by the schema language itself.
                let for_editors = name.namespace.as_deref() == Some(SCHEMA_INSTANCE)
                    && matches!(
                        name.local_name.as_str(),
                        "noNamespaceSchemaLocation" | "schemaLocation"
                    );
                if !for_editors {
                    let fault = self.unknown_attribute(name, wanted, place.start);
                    self.list.faults.push(fault);
                }
            }
        }
        Ok(())
    }

    fn start_entry(&mut self, attributes: &[OwnedAttribute], range: Range<usize>) {
        let mut begun = Begun {
            start: range.start,
            has_attributes: !attributes.is_empty(),
            has_elements: false,
            entry: Entry {
                position: self.lines.position(range.start),
                faults: Vec::new(),
                fields: Vec::new(),
                text: "".into(),
            },
            cuts: Vec::new(),
        };
        for (attribute, place) in attributes.iter().zip(self.places(range)) {
            let name = &attribute.name;
            if let Some(index) = self.field(name) {
                let position = self.lines.position(place.start);
                begun.entry.fields.push((index, position, place));
                continue;
            }
            if self.form.unknown == Unknown::Refuse {
                let fault = self.unknown_attribute(name, self.form.entry, place.start);
                begun.entry.faults.push(fault);
            }
            begun.cuts.push(place);
        }
        self.entry = Some(begun);
    }

    fn start_field(
        &mut self,
        name: &OwnedName,
        attributes: &[OwnedAttribute],
        range: Range<usize>,
    ) {
        if let Some(begun) = &mut self.entry {
            begun.has_elements = true;
        }
        let Some(index) = self.field(name) else {
            if self.form.unknown == Unknown::Refuse {
                let fields: Vec<_> = self.form.fields.iter().map(|f| format!("<{f}>")).collect();
                let rule = format!("only {} are allowed there", and(&fields));
                self.refuse_element(name, self.form.entry, &rule, range.start);
            }
            self.skipped = Some(3);
            return;
        };
        let position = self.lines.position(range.start);
        let places = self.places(range.clone());
        for (attribute, place) in attributes.iter().zip(places) {
            if self.form.unknown == Unknown::Refuse {
                let fault = self.unknown_attribute(&attribute.name, &name.local_name, place.start);
                self.faults().push(fault);
            }
            self.cut(place);
        }
        if let Some(begun) = &mut self.entry {
            begun.entry.fields.push((index, position, range));
        }
    }

    fn end(&mut self, end: usize) {
        let depth = self.open.len();
        let Some((_, start)) = self.open.pop() else {
            return;
        };
        if let Some(skipped) = self.skipped {
            if skipped == depth {
                self.skipped = None;
                self.cut(start..end);
            }
            return;
        }
        match (depth, &mut self.entry) {
            (2, _) => self.end_entry(end),
            (3, Some(begun)) => {
                if let Some((.., range)) = begun.entry.fields.last_mut() {
                    range.end = end;
                }
            }
            _ => {}
        }
    }

    fn end_entry(&mut self, end: usize) {
        let Some(mut begun) = self.entry.take() else {
            return;
        };
        if self.form.unknown == Unknown::Refuse && begun.has_attributes && begun.has_elements {
            let name = self.form.entry;
            begun.entry.faults.push(Fault {
                position: begun.entry.position,
                message: format!("<{name}> has attributes and child elements; use one of the two"),
            });
        }
        count_fields(&mut begun.entry, self.form, &mut begun.cuts);
        self.list.entries.push(Entry {
            text: without(self.text, begun.start..end, begun.cuts),
            ..begun.entry
        });
    }

    /// Takes the text in `range`. Text is allowed only in a field.
    fn text(&mut self, text: &str, range: Range<usize>) {
        if self.skipped.is_some() || self.open.len() > 2 {
            return;
        }
        if self.form.unknown == Unknown::Refuse && !collapse(text).is_empty() {
            let (parent, rule) = match self.open.len() {
                0 => return,
                1 => (
                    self.form.root,
                    format!("only <{}> is allowed there", self.form.entry),
                ),
                _ => {
                    let fields: Vec<_> =
                        self.form.fields.iter().map(|f| format!("<{f}>")).collect();
                    (
                        self.form.entry,
                        format!("only {} are allowed there", and(&fields)),
                    )
                }
            };
            let source = self.text.get(range.clone()).unwrap_or_default();
            let blanks = source.len() - source.trim_start_matches(BLANKS).len();
            let fault = self.fault(range.start + blanks, format!("text in <{parent}>; {rule}"));
            self.faults().push(fault);
        }
        self.cut(range);
    }

    /// Reports an element that has no place in `parent`.
    fn refuse_element(&mut self, name: &OwnedName, parent: &str, rule: &str, offset: usize) {
        let element = printable(&name.local_name);
        let message = match &name.namespace {
            Some(namespace) => format!(
                "unknown element <{element}> of namespace '{}' in <{parent}>; {rule}",
                printable(&collapse(namespace))
            ),
            None => format!("unknown element <{element}> in <{parent}>; {rule}"),
        };
        let fault = self.fault(offset, message);
        self.faults().push(fault);
    }

    fn unknown_attribute(&self, name: &OwnedName, element: &str, offset: usize) -> Fault {
        let name = printable(&name.local_name);
        let message = format!("unknown attribute '{name}' of <{element}>; remove it");
        self.fault(offset, message)
    }

    /// The faults of the entry that has begun, else of the list.
    fn faults(&mut self) -> &mut Vec<Fault> {
        match &mut self.entry {
            Some(begun) => &mut begun.entry.faults,
            None => &mut self.list.faults,
        }
    }

    fn cut(&mut self, range: Range<usize>) {
        if let Some(begun) = &mut self.entry {
            begun.cuts.push(range);
        }
    }

    fn field(&self, name: &OwnedName) -> Option<usize> {
        let mut fields = self.form.fields.iter();
        fields.position(|field| is_named(name, field))
    }

    /// Where the attributes of the tag in `range` are, namespace declarations left out.
    fn places(&self, range: Range<usize>) -> Vec<Range<usize>> {
        let tag = self.text.get(range.clone()).unwrap_or_default();
        let mut places = Vec::new();
        let is_blank = |c: char| BLANKS.contains(&c);
        let mut at = tag.find(is_blank).unwrap_or(tag.len());
        while let Some((start, rest)) = tag.get(at..).and_then(|rest| {
            let name = rest.trim_start_matches(BLANKS);
            Some((tag.len() - name.len(), name)).filter(|_| !name.starts_with(['/', '>']))
        }) {
            // A tag that the event reader accepts has a quoted value after each name.
            let Some(open) = rest.find(['"', '\'']) else {
                break;
            };
            let (quote, value) = rest.split_at(open).1.split_at(1);
            let Some(close) = value.find(quote) else {
                break;
            };
            at = start + open + close + 2;
            if !(rest.starts_with("xmlns")
                && rest[5..].starts_with([':', '=', ' ', '\t', '\r', '\n']))
            {
                places.push(range.start + start..range.start + at);
            }
        }
        places
    }

    fn fault(&self, offset: usize, message: String) -> Fault {
        Fault {
            position: self.lines.position(offset),
            message,
        }
    }

    /// The event reader's error with its place, in our words where its own would not help.
    fn explain(&self, error: &xml::reader::Error, reader: &EventReader<&[u8]>) -> Fault {
        let bom = self.text.len() - self.text.trim_start_matches('\u{feff}').len();
        let body = self.text.get(bom..).unwrap_or_default();
        let position = error.position();
        let offset = bom + offset_of(body, position.row(), position.column());
        if reader.source().is_empty() && offset >= self.text.len() {
            let message = "not XML: the file ends too early";
            return self.fault(self.text.len(), message.to_owned());
        }
        let markup = self.next_markup();
        let tag = self.text.get(markup..).unwrap_or_default();
        if let Some(found) = tag.strip_prefix("</")
            && let Some((expected, _)) = self.open.last()
        {
            let end = found.find(['>', ' ', '\t', '\r', '\n', '<']);
            let found = found.get(..end.unwrap_or(found.len())).unwrap_or_default();
            if found != expected && offset > markup {
                let (expected, found) = (printable(expected), printable(found));
                let message = format!("not XML: expected '{expected}' tag, not '{found}'");
                return self.fault(markup, message);
            }
        }
        if self.open.is_empty() && self.list_is_over() && offset < markup {
            let message = "not XML: text after the root element; remove it";
            return self.fault(offset, message.to_owned());
        }
        let text = error.to_string();
        let text = text
            .strip_prefix(&position.to_string())
            .unwrap_or(&text)
            .trim_start();
        // Some of the reader's messages have a second line.
        let text = text.lines().next().unwrap_or_default();
        let mut chars = text.chars();
        let first = chars.next().map(|first| first.to_ascii_lowercase());
        let text: String = first.into_iter().chain(chars).collect();
        self.fault(offset, format!("not XML: {}", printable(&text)))
    }

    /// Whether the root element has begun, and ended.
    fn list_is_over(&self) -> bool {
        self.open.is_empty()
            && self
                .text
                .get(..self.at)
                .is_some_and(|text| text.contains('<'))
    }
}

fn is_named(name: &OwnedName, wanted: &str) -> bool {
    name.namespace.is_none() && name.local_name == wanted
}
