// SPDX-License-Identifier: Apache-2.0
//! Lists that nobody would write.

use std::path::Path;

use early_vms::{EarlyVms, MAX_LIST_LEN, Partition};
use proptest::prelude::*;

fn parse(bytes: &[u8]) -> EarlyVms {
    EarlyVms::parse(bytes, Path::new("list"), Partition::Vendor)
}

/// Parts of which a list can be made, rightly and wrongly.
const PARTS: [&str; 30] = [
    "<early_vms>",
    "</early_vms>",
    "<early_vm>",
    "</early_vm>",
    "<early_vm/>",
    "<name>",
    "</name>",
    "<cid>",
    "</cid>",
    "<path>",
    "</path>",
    "300",
    "301",
    "-1",
    "/a",
    "/..",
    "é",
    " ",
    "\n",
    "&#10;",
    "&amp;",
    "<!--",
    "-->",
    "<![CDATA[",
    "]]>",
    "<?",
    "?>",
    "<!DOCTYPE a [",
    "]>",
    "<early_vm name='b' cid='302' path='/b'/>",
];

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        // The chance that this is a list is nil.
        prop_assert!(!parse(&bytes).faults().is_empty());
    }

    #[test]
    fn any_text_of_parts_is_read_or_refused(
        parts in proptest::collection::vec(proptest::sample::select(&PARTS[..]), 0..40)
    ) {
        let text = parts.concat();
        let vms = parse(text.as_bytes());
        for vm in vms.vms() {
            prop_assert!(Partition::Vendor.cids().contains(&vm.cid));
            prop_assert!(vm.path.is_absolute() && !vm.name.is_empty());
        }
        for fault in vms.faults() {
            prop_assert!(fault.location.line >= 1 && fault.location.column >= 1);
            prop_assert!(!fault.to_string().contains('\n'), "{fault:?}");
        }
    }

    #[test]
    fn a_good_entry_survives_any_bad_one(
        parts in proptest::collection::vec(proptest::sample::select(&["<name>", "<cid>", "<path>", "<x>"][..]), 0..6),
        value in "[a-z0-9/ ]{0,6}",
    ) {
        let fields: String = parts
            .iter()
            .map(|tag| format!("{tag}{value}{}", tag.replace('<', "</")))
            .collect();
        let text = format!(
            "<early_vms><early_vm>{fields}</early_vm>\
             <early_vm><name>GOOD</name><cid>399</cid><path>/vendor/x</path></early_vm></early_vms>"
        );
        prop_assert_eq!(parse(text.as_bytes()).find("GOOD").unwrap().cid, 399);
    }
}

#[test]
fn the_largest_lists_are_read_or_refused() {
    let len = usize::try_from(MAX_LIST_LEN).unwrap();
    let fill = |start: &str, part: &str, end: &str| {
        format!("{start}{}{end}", part.repeat((len - 64) / part.len()))
    };

    assert_eq!(
        parse(fill("<early_vms>", "<!---->", "</early_vms>").as_bytes()).faults(),
        []
    );
    // Deep: neither the parser nor the tree's end may use the stack for it.
    assert!(!parse(fill("", "<a>", "").as_bytes()).faults().is_empty());
    let half = (len - 64) / 7;
    let deep = format!(
        "<early_vms>{}{}</early_vms>",
        "<a>".repeat(half),
        "</a>".repeat(half)
    );
    assert_eq!(parse(deep.as_bytes()).faults().len(), 1);
    // Wide: a fault for each entry, each with its line.
    let wide = parse(fill("<early_vms>\n", "<early_vm/>\n", "</early_vms>").as_bytes());
    assert_eq!(wide.faults().len(), 3 * ((len - 64) / 12));
    let same = "<early_vm name='a' cid='300' path='/x'/>";
    let same = parse(fill("<early_vms>", same, "</early_vms>").as_bytes());
    assert!(same.vms().is_empty());
}
