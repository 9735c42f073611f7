// SPDX-License-Identifier: Apache-2.0
//! One list: the root element, its entries, and what an entry must have.

use std::path::{Path, PathBuf};

use roxmltree::{Document, Node};

use crate::xml::{self, LineIndex, Position};
use crate::{EarlyVm, Fault, Partition, Place};

/// The namespace of `xsi:noNamespaceSchemaLocation`, by which an editor finds the schema.
const SCHEMA_INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// What may stand in an entry, each exactly once.
const FIELDS: [&str; 3] = ["name", "cid", "path"];

/// What a list holds: entries without a fault of their own, and the faults of all others.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    pub(crate) vms: Vec<EarlyVm>,
    pub(crate) faults: Vec<Fault>,
}

/// Reads the list in `bytes`. Whether names and CIDs are unique is not checked here.
pub(crate) fn parse(bytes: &[u8], file: &Path, partition: Partition) -> Parsed {
    let read = xml::text(bytes).and_then(|text| Ok((text, xml::parse(text)?)));
    match read {
        Ok((text, document)) => {
            let mut list = List {
                file,
                partition,
                lines: LineIndex::new(text.as_bytes()),
                parsed: Parsed::default(),
            };
            list.read(&document);
            list.parsed
        }
        Err(broken) => {
            let place = locate(file, broken.position);
            Parsed {
                vms: Vec::new(),
                faults: vec![Fault::new(place, partition, broken.message)],
            }
        }
    }
}

fn locate(file: &Path, position: Position) -> Place {
    Place {
        file: file.to_owned(),
        line: position.line,
        column: position.column,
    }
}

/// The values of one entry as they stand in the file, with the byte offset of each.
type Values = [Vec<(String, usize)>; FIELDS.len()];

struct List<'a> {
    file: &'a Path,
    partition: Partition,
    lines: LineIndex,
    parsed: Parsed,
}

impl List<'_> {
    fn read(&mut self, document: &Document<'_>) {
        let root = document.root_element();
        if !is_named(root, "early_vms") {
            let found = root.tag_name().name();
            let message = format!("the root element is <{found}>; it must be <early_vms>");
            return self.fault(root.range().start, message);
        }
        for attribute in root.attributes() {
            // Allowed on the root by the schema language itself.
            let for_editors = attribute.namespace() == Some(SCHEMA_INSTANCE)
                && matches!(
                    attribute.name(),
                    "noNamespaceSchemaLocation" | "schemaLocation"
                );
            if !for_editors {
                let name = attribute.name();
                let message = format!("unknown attribute '{name}' of <early_vms>; remove it");
                self.fault(attribute.range().start, message);
            }
        }
        for child in root.children() {
            if is_named(child, "early_vm") {
                self.read_entry(child);
            } else {
                self.refuse_content(child, "early_vms", "only <early_vm> may stand there");
            }
        }
    }

    fn read_entry(&mut self, entry: Node<'_, '_>) {
        // An entry is read to its end, to report everything that is wrong with it at once.
        let before = self.parsed.faults.len();
        let mut values = Values::default();

        for attribute in entry.attributes() {
            let (name, at) = (attribute.name(), attribute.range().start);
            match field(attribute.namespace(), name) {
                Some(index) => values[index].push((collapse(attribute.value()), at)),
                None => self.fault(
                    at,
                    format!("unknown attribute '{name}' of <early_vm>; remove it"),
                ),
            }
        }
        for child in entry.children() {
            let tag = child.tag_name();
            match field(tag.namespace(), tag.name()).filter(|_| child.is_element()) {
                Some(index) => {
                    let text = self.read_field(child, FIELDS[index]);
                    values[index].push((text, child.range().start));
                }
                None => self.refuse_content(
                    child,
                    "early_vm",
                    "only <name>, <cid> and <path> may stand there",
                ),
            }
        }
        let with_elements = entry.children().any(|child| child.is_element());
        if with_elements && entry.attributes().len() > 0 {
            let message = "<early_vm> has attributes and child elements; use one of the two";
            self.fault(entry.range().start, message.to_owned());
        }
        let vm = self.build(entry, &values);

        let own = self.parsed.faults.get_mut(before..).unwrap_or_default();
        if own.is_empty() {
            self.parsed.vms.extend(vm);
        } else if let [(name, _)] = values[0].as_slice()
            && !name.is_empty()
        {
            // With two names it stays open which VM is meant.
            for fault in own {
                fault.message = format!("VM '{name}': {}", fault.message);
                fault.vm = Some(name.clone());
            }
        }
    }

    /// Makes a VM of an entry's values; `None` after it has reported what is wrong with them.
    fn build(&mut self, entry: Node<'_, '_>, values: &Values) -> Option<EarlyVm> {
        let mut single = [None; FIELDS.len()];
        for (index, name) in FIELDS.into_iter().enumerate() {
            match values[index].as_slice() {
                [one] => single[index] = Some(one),
                [] => {
                    let message = format!(
                        "<early_vm> has no {name}; it needs exactly one name, cid and path"
                    );
                    self.fault(entry.range().start, message);
                }
                [_, (_, second), ..] => {
                    let count = values[index].len();
                    let message = format!("<early_vm> has {count} of {name}; it needs exactly one");
                    self.fault(*second, message);
                }
            }
        }
        let [name, cid, path] = single;

        let name = name.filter(|(name, at)| {
            if name.is_empty() {
                self.fault(
                    *at,
                    "the name is empty; give the name of the VM's config".to_owned(),
                );
            }
            !name.is_empty()
        });
        let cid = cid.and_then(|(cid, at)| {
            parse_cid(cid, self.partition)
                .map_err(|message| self.fault(*at, message))
                .ok()
        });
        let path = path.filter(|(path, at)| {
            if !is_plain_absolute(path) {
                let message = format!(
                    "the path '{path}' is not absolute and plain; give it from '/', without '//', '.', '..' and a final '/'"
                );
                self.fault(*at, message);
            }
            is_plain_absolute(path)
        });
        Some(EarlyVm {
            name: name?.0.clone(),
            cid: cid?,
            path: PathBuf::from(&path?.0),
            partition: self.partition,
            place: locate(self.file, self.lines.position(entry.range().start)),
        })
    }

    /// The text of `<name>`, `<cid>` or `<path>`.
    fn read_field(&mut self, field: Node<'_, '_>, name: &str) -> String {
        for attribute in field.attributes() {
            let message = format!(
                "unknown attribute '{}' of <{name}>; remove it",
                attribute.name()
            );
            self.fault(attribute.range().start, message);
        }
        let mut text = String::new();
        for child in field.children() {
            if child.is_element() {
                self.refuse_content(child, name, "only text may stand there");
            } else if child.is_text() {
                text.push_str(child.text().unwrap_or_default());
            }
        }
        collapse(&text)
    }

    /// Reports an element or text that has no place in `parent`. Comments, processing instructions
    /// and blanks may stand anywhere.
    fn refuse_content(&mut self, node: Node<'_, '_>, parent: &str, rule: &str) {
        if node.is_element() {
            let name = node.tag_name().name();
            let message = match node.tag_name().namespace() {
                Some(namespace) => format!(
                    "unknown element <{name}> of namespace '{}' in <{parent}>; {rule}",
                    collapse(namespace)
                ),
                None => format!("unknown element <{name}> in <{parent}>; {rule}"),
            };
            self.fault(node.range().start, message);
        } else if let Some(text) = node.text().filter(|_| node.is_text())
            && !collapse(text).is_empty()
        {
            // The node starts with the blanks after the element before it.
            let blanks = text.len() - text.trim_start_matches(BLANKS).len();
            self.fault(
                node.range().start + blanks,
                format!("text in <{parent}>; {rule}"),
            );
        }
    }

    fn fault(&mut self, offset: usize, message: String) {
        let place = locate(self.file, self.lines.position(offset));
        let fault = Fault::new(place, self.partition, message);
        self.parsed.faults.push(fault);
    }
}

fn is_named(node: Node<'_, '_>, name: &str) -> bool {
    node.is_element() && node.tag_name().namespace().is_none() && node.tag_name().name() == name
}

fn field(namespace: Option<&str>, name: &str) -> Option<usize> {
    FIELDS
        .into_iter()
        .position(|field| namespace.is_none() && field == name)
}

/// The blanks of XML.
const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

/// Removes blanks at both ends and makes those between words one space, as the schema's `xs:token`.
fn collapse(text: &str) -> String {
    text.split(BLANKS)
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Reads an `xs:integer`: a sign and zeros may stand before it.
fn parse_cid(text: &str, partition: Partition) -> Result<u32, String> {
    let cids = partition.cids();
    let (first, last) = (cids.start(), cids.end());
    let remedy = format!("give one in {first}..={last}, the CIDs of partition '{partition}'");

    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("the CID '{text}' is not a number; {remedy}"));
    }
    if text.starts_with('-') {
        return Err(format!("the CID {text} is negative; {remedy}"));
    }
    // What does not fit is out of range too.
    match digits.parse() {
        Ok(cid) if cids.contains(&cid) => Ok(cid),
        _ => Err(format!("the CID {text} is out of range; {remedy}")),
    }
}

fn is_plain_absolute(path: &str) -> bool {
    path.strip_prefix('/').is_some_and(|relative| {
        relative
            .split('/')
            .all(|component| !matches!(component, "" | "." | ".."))
    })
}
