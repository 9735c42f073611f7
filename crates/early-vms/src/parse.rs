// SPDX-License-Identifier: Apache-2.0
//! One list: its entries, and what their values must be.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use xml_list::{Entry, Form, Unknown, collapse, is_hidden, printable};

use crate::{EarlyVm, Fault, Location, MAX_NAME_LEN, Partition};

/// The fields of an entry, each exactly once.
const FIELDS: [&str; 3] = ["name", "cid", "path"];
const NAME: usize = 0;
const CID: usize = 1;
const PATH: usize = 2;

const FORM: Form<'_> = Form {
    root: "early_vms",
    entry: "early_vm",
    fields: &FIELDS,
    required: &FIELDS,
    unknown: Unknown::Refuse,
};

/// An entry's values as they stand in the file. One that is missing is empty, and has been reported.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Values {
    #[serde(alias = "@name")]
    name: String,
    #[serde(alias = "@cid")]
    cid: String,
    #[serde(alias = "@path")]
    path: String,
}

/// What a list holds: entries without a fault of their own, and the faults of all others.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    pub(crate) vms: Vec<EarlyVm>,
    pub(crate) faults: Vec<Fault>,
}

/// Reads the list in `bytes`. Whether names and CIDs are unique is not checked here.
pub(crate) fn parse(bytes: &[u8], file: &Path, partition: Partition) -> Parsed {
    let mut list = List {
        file,
        partition,
        parsed: Parsed::default(),
    };
    match xml_list::read(bytes, &FORM) {
        Ok(read) => {
            list.extend(read.faults);
            for entry in &read.entries {
                list.entry(entry);
            }
        }
        Err(fault) => list.extend([fault]),
    }
    list.parsed
}

struct List<'a> {
    file: &'a Path,
    partition: Partition,
    parsed: Parsed,
}

impl List<'_> {
    /// Takes an entry, and reports everything that is wrong with it at once.
    fn entry(&mut self, entry: &Entry<'_>) {
        let before = self.parsed.faults.len();
        self.extend(entry.faults.iter().cloned());
        let values = entry.read().unwrap_or_else(|fault| {
            self.extend([fault]);
            Values::default()
        });
        let name = collapse(&values.name);
        let vm = self.build(entry, &name, &values);

        let own = self.parsed.faults.get_mut(before..).unwrap_or_default();
        if own.is_empty() {
            self.parsed.vms.extend(vm);
        } else if (1..=MAX_NAME_LEN).contains(&name.len()) {
            // An entry with two names has none here: it is unknown which VM is meant. Nobody can ask
            // for a longer name.
            for fault in own {
                fault.message = format!("VM '{}': {}", printable(&name), fault.message);
                fault.vm = Some(name.clone());
            }
        }
    }

    /// Makes a VM of an entry's values; `None` after it has reported what is wrong with them.
    fn build(&mut self, entry: &Entry<'_>, name: &str, values: &Values) -> Option<EarlyVm> {
        let name = entry.field(NAME).and_then(|at| {
            check_name(name)
                .map_err(|message| self.fault(at, message))
                .ok()
        });
        let cid = entry.field(CID).and_then(|at| {
            parse_cid(&collapse(&values.cid), self.partition)
                .map_err(|message| self.fault(at, message))
                .ok()
        });
        let path = entry.field(PATH).and_then(|at| {
            let path = collapse(&values.path);
            if !is_plain_absolute(&path) {
                let message = format!(
                    "the path '{}' is not absolute and plain; give it from '/', without '//', '.', '..' and a final '/'",
                    printable(&path)
                );
                self.fault(at, message);
                return None;
            }
            Some(PathBuf::from(path))
        });
        Some(EarlyVm {
            name: name?.to_owned(),
            cid: cid?,
            path: path?,
            partition: self.partition,
            location: self.locate(entry.position),
        })
    }

    fn extend(&mut self, faults: impl IntoIterator<Item = xml_list::Fault>) {
        for fault in faults {
            self.fault(fault.position, fault.message);
        }
    }

    fn fault(&mut self, at: xml_list::Position, message: String) {
        let fault = Fault::new(self.locate(at), self.partition, message);
        self.parsed.faults.push(fault);
    }

    fn locate(&self, at: xml_list::Position) -> Location {
        Location {
            file: self.file.to_owned(),
            line: at.line,
            column: at.column,
        }
    }
}

/// Checks a name by the rules of createVm, which refuses any other before it looks into a list.
fn check_name(name: &str) -> Result<&str, String> {
    if name.is_empty() {
        Err("the name is empty; give the name of the VM's config".to_owned())
    } else if name.len() > MAX_NAME_LEN {
        Err(format!(
            "the name has {} bytes; createVm takes at most {MAX_NAME_LEN}",
            name.len()
        ))
    } else if name.contains(is_hidden) {
        Err(format!(
            "the name '{}' has control or direction characters, which createVm refuses; remove them",
            printable(name)
        ))
    } else {
        Ok(name)
    }
}

/// Reads an `xs:integer`: a sign and zeros may stand in front of it.
fn parse_cid(text: &str, partition: Partition) -> Result<u32, String> {
    let cids = partition.cids();
    let (first, last) = (cids.start(), cids.end());
    let remedy = format!("give one in {first}..={last}, the CIDs of partition '{partition}'");

    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let shown = printable(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("the CID '{shown}' is not a number; {remedy}"));
    }
    if text.starts_with('-') {
        return Err(format!("the CID {shown} is negative; {remedy}"));
    }
    // A number that does not fit is out of range, too.
    match digits.parse() {
        Ok(cid) if cids.contains(&cid) => Ok(cid),
        _ => Err(format!("the CID {shown} is out of range; {remedy}")),
    }
}

fn is_plain_absolute(path: &str) -> bool {
    path.strip_prefix('/').is_some_and(|relative| {
        relative
            .split('/')
            .all(|component| !matches!(component, "" | "." | ".."))
    })
}
