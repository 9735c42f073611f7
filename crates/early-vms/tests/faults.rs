// SPDX-License-Identifier: Apache-2.0
//! What a fault says, where, and whom it harms.
#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]

use std::error::Error as _;
use std::fs;
use std::path::Path;

use early_vms::{EarlyVms, Error, MAX_LIST_LEN, MAX_LISTS, MAX_NAME_LEN, Partition, check_all};
use tempfile::TempDir;

fn entry(name: &str, cid: u32, path: &str) -> String {
    format!("<early_vm><name>{name}</name><cid>{cid}</cid><path>{path}</path></early_vm>\n")
}

fn list(entries: &[String]) -> String {
    format!("<early_vms>\n{}</early_vms>\n", entries.concat())
}

/// A root directory with these files, each with its parents.
fn root(files: &[(&str, String)]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

fn names(vms: &EarlyVms) -> Vec<&str> {
    vms.vms().iter().map(|vm| vm.name.as_str()).collect()
}

/// Faults without the root directory's name.
fn shown(root: &Path, faults: &[early_vms::Fault]) -> Vec<String> {
    let strip = |fault: &early_vms::Fault| fault.to_string().replace(root.to_str().unwrap(), "");
    faults.iter().map(strip).collect()
}

#[test]
fn a_fault_says_where_and_what() {
    for (text, wanted) in [
        (
            "<early_vms>\n<early_vm>\n<name>a</name>\n<cid>-5</cid>\n<path>/x</path></early_vm></early_vms>",
            "L:4: VM 'a': the CID -5 is negative; give one in 100..=199, the CIDs of partition 'system'",
        ),
        (
            "<early_vms>\n<early_vm><name>a</name>\n<cid>200</cid><path>/x</path></early_vm></early_vms>",
            "L:3: VM 'a': the CID 200 is out of range; give one in 100..=199, the CIDs of partition 'system'",
        ),
        (
            "<early_vms>\n\n<early_vm cid='ten' name='a'\n path='/x'/></early_vms>",
            "L:3: VM 'a': the CID 'ten' is not a number; give one in 100..=199, the CIDs of partition 'system'",
        ),
        (
            "<early_vms>\n<early_vm><name>a</name><cid>100</cid></early_vm></early_vms>",
            "L:2: VM 'a': <early_vm> has no path; it needs exactly one name, cid and path",
        ),
        (
            "<early_vms>\n<early_vm><name>a</name>\n<name>b</name><cid>100</cid><path>/x</path></early_vm></early_vms>",
            "L:3: <early_vm> has 2 of name; it needs exactly one",
        ),
        (
            "<early_vms>\n\n  junk\n</early_vms>",
            "L:3: text in <early_vms>; only <early_vm> is allowed there",
        ),
        (
            "<early_vms>\n<early_vm><name>a</name><cid>100</cid><path>/x</path>\n<uid/></early_vm></early_vms>",
            "L:3: VM 'a': unknown element <uid> in <early_vm>; only <name>, <cid> and <path> are allowed there",
        ),
        (
            "\n<vms/>",
            "L:2: the root element is <vms>; it must be <early_vms>",
        ),
        (
            "<early_vms>\n</early_vm>",
            "L:2: not XML: expected 'early_vms' tag, not 'early_vm'",
        ),
        ("<early_vms>\n\n", "L:3: not XML: the file ends too early"),
        (
            "<early_vms/>\njunk",
            "L:2: not XML: text after the root element; remove it",
        ),
        (
            "\n<early_vms xmlns='urn:x'/>",
            "L:2: the root element is <early_vms> of namespace 'urn:x'; it must be <early_vms> without a namespace",
        ),
        (
            "<?a?>\n<!DOCTYPE early_vms>\n<early_vms/>",
            "L:2: a DOCTYPE is refused, as it may define entities; remove it",
        ),
        (
            "<?xml version='1.0' encoding='latin1'?>\n<early_vms/>",
            "L:1: declared as 'latin1', not UTF-8; save the file as UTF-8",
        ),
    ] {
        let vms = EarlyVms::parse(text.as_bytes(), Path::new("L"), Partition::System);
        assert_eq!(shown(Path::new("/no"), vms.faults()), [wanted], "{text}");
        assert!(vms.vms().is_empty());
    }
    let vms = EarlyVms::parse(b"<early_vms>\n\n \xff", Path::new("L"), Partition::System);
    let fault = &vms.faults()[0];
    assert_eq!((fault.location.line, fault.location.column), (3, 2));
    assert_eq!(fault.message, "not UTF-8; save the file as UTF-8");
}

#[test]
fn names_that_create_vm_refuses_are_faults() {
    let long = "é".repeat(MAX_NAME_LEN / 2 + 1);
    for (name, wanted) in [
        (
            long.as_str(),
            "L:2: the name has 256 bytes; createVm takes at most 255",
        ),
        (
            "a&#x9b;b",
            "L:2: VM 'a\\u{9b}b': the name 'a\\u{9b}b' has control or direction characters, which createVm refuses; remove them",
        ),
        (
            "a\u{202e}b",
            "L:2: VM 'a\\u{202e}b': the name 'a\\u{202e}b' has control or direction characters, which createVm refuses; remove them",
        ),
    ] {
        let text = list(&[entry(name, 100, "/system/x")]);
        let vms = EarlyVms::parse(text.as_bytes(), Path::new("L"), Partition::System);
        assert_eq!(shown(Path::new("/no"), vms.faults()), [wanted], "{name}");
        assert!(vms.vms().is_empty());
    }
    let longest = list(&[entry(&"n".repeat(MAX_NAME_LEN), 100, "/system/x")]);
    let vms = EarlyVms::parse(longest.as_bytes(), Path::new("L"), Partition::System);
    assert_eq!((vms.vms().len(), vms.faults()), (1, &[][..]));
}

#[test]
fn everything_wrong_with_an_entry_is_reported() {
    let text = "<early_vms><early_vm a='1'><b/><name>n</name><cid>9</cid><path>x</path></early_vm></early_vms>";
    let vms = EarlyVms::parse(text.as_bytes(), Path::new("L"), Partition::System);
    assert_eq!(vms.faults().len(), 5, "{:#?}", vms.faults());
    assert!(
        vms.faults()
            .iter()
            .all(|fault| fault.vm.as_deref() == Some("n"))
    );
}

#[test]
fn a_bad_entry_harms_no_other() {
    for bad in [
        entry("bad", 9, "/x"),
        entry("bad", 101, "x"),
        entry("", 101, "/x"),
        entry("bad", 101, "/x").replace("cid", "id"),
        "<unknown/>".to_owned(),
        "text".to_owned(),
    ] {
        let good = entry("good", 100, "/system/bin/x");
        for entries in [[bad.clone(), good.clone()], [good, bad]] {
            let root = root(&[("system/etc/avf/early_vms.xml", list(&entries))]);
            let vms = EarlyVms::load(root.path(), Partition::System).unwrap();
            assert_eq!(vms.find("good").unwrap().cid, 100);
            assert_eq!(vms.files(), 1);
            assert!(!vms.faults().is_empty());
            // A fault of a named entry is that VM's; any other may be.
            let error = vms.find("bad").unwrap_err();
            let fault = &vms.faults()[0];
            assert!(error.to_string().contains(&fault.to_string()), "{error}");
            assert_eq!(matches!(error, Error::VmFaulty { .. }), fault.vm.is_some());
        }
    }
}

#[test]
fn a_broken_file_harms_no_other() {
    let root = root(&[
        ("odm/etc/avf/early_vms.xml", "<early_vms>".to_owned()),
        (
            "odm/etc/avf/early_vms_b.xml",
            list(&[entry("b", 301, "/odm/b")]),
        ),
        (
            "odm/etc/avf/early_vms_c.xml",
            list(&[entry("c", 302, "/odm/c")]),
        ),
        ("odm/etc/avf/early_vms.xml.bak", "junk".to_owned()),
        ("odm/etc/avf/my_early_vms.xml", "junk".to_owned()),
        ("odm/etc/avf/early_vms_directory.xml/x", String::new()),
    ]);
    let big = root.path().join("odm/etc/avf/early_vms_big.xml");
    fs::write(&big, " ".repeat(usize::try_from(MAX_LIST_LEN).unwrap() + 1)).unwrap();
    let fifo = root.path().join("odm/etc/avf/early_vms_fifo.xml");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();

    let vms = EarlyVms::load(root.path(), Partition::Odm).unwrap();
    assert_eq!(names(&vms), ["b", "c"]);
    assert_eq!(
        shown(root.path(), vms.faults()),
        [
            "/odm/etc/avf/early_vms.xml:1: not XML: the file ends too early",
            "/odm/etc/avf/early_vms_big.xml:1: the list cannot be read: it is larger than 65536 bytes",
            "/odm/etc/avf/early_vms_directory.xml:1: the list cannot be read: it is not a regular file",
            "/odm/etc/avf/early_vms_fifo.xml:1: the list cannot be read: it is not a regular file",
        ]
    );
    let error = vms.find("gone").unwrap_err().to_string();
    assert!(
        error.starts_with(
            "VM 'gone' is not declared in partition 'odm', which has 'b', 'c'; declare it"
        ),
        "{error}"
    );
    assert!(
        error.ends_with("early_vms.xml:1: not XML: the file ends too early"),
        "{error}"
    );
}

#[test]
fn lists_are_read_in_the_order_of_their_names() {
    let file = |name: &str, cid| {
        (
            format!("vendor/etc/avf/early_vms{name}.xml"),
            list(&[entry(&format!("vm{name}"), cid, "/vendor/x")]),
        )
    };
    let files = [
        file("_b", 301),
        file("", 302),
        file("_a", 303),
        file("2", 304),
    ];
    let files: Vec<_> = files
        .iter()
        .map(|(path, text)| (path.as_str(), text.clone()))
        .collect();
    let root = root(&files);
    let vms = EarlyVms::load(root.path(), Partition::Vendor).unwrap();
    // '.' of `early_vms.xml` comes before digits, and those before '_'.
    assert_eq!(names(&vms), ["vm", "vm2", "vm_a", "vm_b"]);
}

#[test]
fn there_may_not_be_too_many_lists() {
    let files: Vec<_> = (0..=MAX_LISTS + 1)
        .map(|n| (format!("system/etc/avf/early_vms_{n:03}.xml"), list(&[])))
        .collect();
    let files: Vec<_> = files
        .iter()
        .map(|(path, text)| (path.as_str(), text.clone()))
        .collect();
    let root = root(&files);
    let vms = EarlyVms::load(root.path(), Partition::System).unwrap();
    assert_eq!(
        shown(root.path(), vms.faults()),
        [
            "/system/etc/avf/early_vms_064.xml:1: not read, as are all after it; merge the lists into at most 64"
        ]
    );
}

#[test]
fn a_partition_without_lists_has_no_vms() {
    let root = root(&[
        ("system/etc/avf/other.xml", String::new()),
        ("vendor", String::new()),
        ("system_ext/etc/avf/early_vms.xml", list(&[])),
    ]);
    for partition in [Partition::System, Partition::Product, Partition::Vendor] {
        let error = EarlyVms::load(root.path(), partition).unwrap_err();
        assert!(matches!(error, Error::ListMissing { .. }));
        let text = error.to_string();
        assert!(text.contains(&format!("/{partition}/etc/avf'")), "{text}");
        assert!(text.contains("early_vms*.xml"), "{text}");
    }
    let missing = EarlyVms::load(Path::new("/nonexistent"), Partition::System).unwrap_err();
    assert!(missing.to_string().contains("'/nonexistent'"));
    assert!(missing.source().is_some());
    assert!(check_all(root.path()).is_good());
    assert!(!check_all(Path::new("/nonexistent")).is_good());
}

#[test]
fn names_are_unique_in_a_partition() {
    let root = root(&[
        (
            "product/etc/avf/early_vms.xml",
            list(&[entry("a", 200, "/product/x"), entry("b", 201, "/product/x")]),
        ),
        (
            "product/etc/avf/early_vms_2.xml",
            list(&[entry("a", 202, "/product/y")]),
        ),
        (
            "system_ext/etc/avf/early_vms.xml",
            list(&[entry("b", 203, "/system_ext/x")]),
        ),
    ]);
    let vms = EarlyVms::load(root.path(), Partition::Product).unwrap();
    assert_eq!(names(&vms), ["b"]);
    assert_eq!(
        vms.find("a")
            .unwrap_err()
            .to_string()
            .replace(root.path().to_str().unwrap(), ""),
        "partition 'product': /product/etc/avf/early_vms.xml:2: VM 'a' is declared twice, \
         here and at /product/etc/avf/early_vms_2.xml:2; remove or rename one"
    );
}

#[test]
fn cids_are_unique_in_a_range() {
    let root = root(&[
        (
            "system_ext/etc/avf/early_vms.xml",
            list(&[
                entry("a", 200, "/system_ext/x"),
                entry("b", 201, "/system_ext/x"),
            ]),
        ),
        (
            "product/etc/avf/early_vms.xml",
            list(&[entry("c", 200, "/product/x"), entry("d", 202, "/product/x")]),
        ),
        (
            "vendor/etc/avf/early_vms.xml",
            list(&[entry("e", 300, "/vendor/x"), entry("f", 300, "/vendor/x")]),
        ),
        (
            "odm/etc/avf/early_vms.xml",
            list(&[entry("g", 300, "/odm/x"), entry("h", 399, "/odm/x")]),
        ),
    ]);
    let at_200 = [
        "/system_ext/etc/avf/early_vms.xml:2: VM 'a' has the CID 200 of VM 'c' at /product/etc/avf/early_vms.xml:2; \
         give one of them another of 200..=299",
        "/product/etc/avf/early_vms.xml:2: VM 'c' has the CID 200 of VM 'a' at /system_ext/etc/avf/early_vms.xml:2; \
         give one of them another of 200..=299",
    ];
    let vms = EarlyVms::load(root.path(), Partition::SystemExt).unwrap();
    assert_eq!(names(&vms), ["b"]);
    assert_eq!(shown(root.path(), vms.faults()), at_200);
    assert!(matches!(vms.find("a"), Err(Error::VmFaulty { .. })));
    // The other partition's VM is not this one's, faulty or not.
    assert!(matches!(vms.find("c"), Err(Error::VmNotDeclared { .. })));
    let vms = EarlyVms::load(root.path(), Partition::Product).unwrap();
    assert_eq!(names(&vms), ["d"]);
    assert_eq!(shown(root.path(), vms.faults()), [at_200[1], at_200[0]]);

    let report = check_all(root.path());
    assert_eq!(report.files, 4);
    assert!(!report.is_good());
    let usable: Vec<_> = report.vms.iter().map(|vm| vm.name.as_str()).collect();
    assert_eq!(usable, ["b", "d", "h"]);
    let faults: Vec<_> = report
        .faults
        .iter()
        .filter(|fault| !fault.warning)
        .cloned()
        .collect();
    let faults = shown(root.path(), &faults);
    assert_eq!(faults.len(), 5, "{faults:#?}");
    assert_eq!(faults[..2], at_200);
    assert!(
        faults[2].contains("VM 'e' has the CID 300 of VM 'f'")
            && faults[2].contains("(and 1 more)"),
        "{}",
        faults[2]
    );
}

#[test]
fn a_bad_entry_does_not_take_a_cid_or_name() {
    let root = root(&[(
        "system/etc/avf/early_vms.xml",
        list(&[
            entry("bad", 100, "relative"),
            entry("good", 100, "/system/x"),
        ]),
    )]);
    let vms = EarlyVms::load(root.path(), Partition::System).unwrap();
    assert_eq!(vms.find("good").unwrap().cid, 100);
}

#[test]
fn a_check_warns_of_what_cannot_work() {
    let files = [
        entry("there", 100, "/system/bin/x"),
        entry("gone", 101, "/system/bin/gone"),
        entry("directory", 102, "/system/bin"),
        entry("foreign", 103, "/vendor/bin/x"),
        entry("nowhere", 104, "/data/x"),
    ];
    let root = root(&[
        ("system/etc/avf/early_vms.xml", list(&files)),
        (
            "system_ext/etc/avf/early_vms.xml",
            list(&[entry("moved", 200, "/system_ext/bin/y")]),
        ),
        ("system/bin/x", String::new()),
        ("system/system_ext/bin/y", String::new()),
        ("vendor/bin/x", String::new()),
        ("data/x", String::new()),
    ]);
    let report = check_all(root.path());
    assert!(report.is_good());
    assert_eq!(report.vms.len(), 6);
    let found: Vec<_> = report
        .faults
        .iter()
        .map(|fault| {
            (
                fault.warning,
                fault.location.line,
                fault.vm.as_deref().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            (true, 3, "gone"),
            (true, 4, "directory"),
            (true, 5, "foreign"),
            (true, 6, "nowhere")
        ]
    );
    let parts = [
        "does not exist",
        "not a regular file",
        "the lists of vendor",
        "not supported for data",
    ];
    for (fault, part) in report.faults.iter().zip(parts) {
        assert!(fault.message.contains(part), "{fault}");
    }
}

#[test]
fn links_lead_inside_the_root() {
    let root = root(&[
        (
            "system/product/etc/avf/early_vms.xml",
            list(&[entry("a", 200, "/product/bin/x")]),
        ),
        ("system/product/bin/x", String::new()),
    ]);
    // As a device has it without a partition of its own. On the host this link leads nowhere.
    std::os::unix::fs::symlink("/system/product", root.path().join("product")).unwrap();
    let vms = EarlyVms::load(root.path(), Partition::Product).unwrap();
    assert_eq!(names(&vms), ["a"]);
    let report = check_all(root.path());
    assert_eq!(
        (report.files, report.faults.len()),
        (1, 0),
        "{:?}",
        report.faults
    );
}
