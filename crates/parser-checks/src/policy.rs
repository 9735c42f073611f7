// SPDX-License-Identifier: Apache-2.0
//! What a host's files and a VM's description say, and what a guest says at its end.

/// The device-tree overlay with the debug policy.
pub(crate) mod debug_policy {
    use ::debug_policy::DebugPolicy;
    use std::path::Path;

    pub(crate) fn check(data: &[u8]) {
        if let Err(error) = DebugPolicy::from_overlay(Path::new("/policy.dtbo"), data) {
            assert!(error.to_string().contains("/policy.dtbo"), "{error}");
        }
    }

    /// A flattened tree (devicetree specification 0.4, chapter 5), put together by hand.
    #[derive(Default)]
    struct Tree {
        structure: Vec<u8>,
        strings: Vec<u8>,
    }

    impl Tree {
        fn word(&mut self, word: u32) {
            self.structure.extend(word.to_be_bytes());
        }

        fn padded(&mut self, bytes: &[u8]) {
            self.structure.extend(bytes);
            let length = self.structure.len().next_multiple_of(4);
            self.structure.resize(length, 0);
        }

        fn node(&mut self, name: &str, content: impl FnOnce(&mut Self)) {
            self.word(1);
            self.padded(format!("{name}\0").as_bytes());
            content(self);
            self.word(2);
        }

        fn property(&mut self, name: &str, value: &[u8]) {
            self.word(3);
            self.word(u32::try_from(value.len()).unwrap());
            self.word(u32::try_from(self.strings.len()).unwrap());
            self.strings.extend(format!("{name}\0").as_bytes());
            self.padded(value);
        }

        fn finish(mut self) -> Vec<u8> {
            const HEADER: usize = 40;
            const RESERVED: usize = 16;
            self.word(9);
            let structure = HEADER + RESERVED;
            let strings = structure + self.structure.len();
            let total = strings + self.strings.len();
            let numbers = [
                0xd00d_feed,
                total,
                structure,
                strings,
                HEADER,
                17,
                16,
                0,
                self.strings.len(),
                self.structure.len(),
            ];
            let mut bytes: Vec<u8> = numbers
                .into_iter()
                .flat_map(|number| u32::try_from(number).unwrap().to_be_bytes())
                .collect();
            bytes.resize(structure, 0);
            bytes.extend(self.structure);
            bytes.extend(self.strings);
            bytes
        }
    }

    pub(crate) fn seeds() -> Vec<Vec<u8>> {
        let overlay = |log: u8, by_symbol: bool| {
            let mut tree = Tree::default();
            tree.node("", |tree| {
                tree.node("fragment@0", |tree| {
                    if by_symbol {
                        tree.property("target", &[0xff; 4]);
                    } else {
                        tree.property("target-path", b"/\0");
                    }
                    tree.node("__overlay__", |tree| {
                        tree.node("avf", |tree| {
                            tree.node("guest", |tree| {
                                tree.node("common", |tree| {
                                    tree.property("log", &[0, 0, 0, log]);
                                    tree.property("ramdump", &[0, 0, 0, 0]);
                                });
                                tree.node("microdroid", |tree| {
                                    tree.property("adb", &[0, 0, 0, 1]);
                                });
                            });
                        });
                    });
                });
                if by_symbol {
                    tree.node("__fixups__", |tree| {
                        tree.property("root", b"/fragment@0:target:0\0");
                    });
                }
            });
            tree.finish()
        };
        let good = overlay(1, false);
        let policy = DebugPolicy::from_overlay(Path::new("/seed"), &good).unwrap();
        assert!(policy.log && policy.adb && !policy.ramdump);
        vec![good, overlay(2, false), overlay(1, true)]
    }
}

/// Lists of early VMs.
pub(crate) mod early_vms {
    use ::early_vms::{EarlyVms, Fault, Partition};
    use std::collections::HashSet;
    use std::path::Path;

    pub(crate) fn check(data: &[u8]) {
        for (partition, cids) in [
            (Partition::System, 100..=199),
            (Partition::Product, 200..=299),
            (Partition::Vendor, 300..=399),
        ] {
            let list = EarlyVms::parse(data, Path::new("/list.xml"), partition);
            let (mut names, mut taken) = (HashSet::new(), HashSet::new());
            for vm in list.vms() {
                assert!(cids.contains(&vm.cid), "{vm:?}");
                assert!(vm.path.is_absolute() && !vm.name.is_empty(), "{vm:?}");
                assert!(names.insert(&vm.name) && taken.insert(vm.cid), "{vm:?}");
                // A faulty entry of the same name makes the name useless.
                let harmed = |fault: &Fault| fault.vm.as_ref() == Some(&vm.name);
                let is_harmed = list.faults().iter().any(harmed);
                assert_eq!(list.find(&vm.name).is_err(), is_harmed, "{vm:?}");
            }
            for fault in list.faults() {
                assert!(fault.to_string().contains("/list.xml"), "{fault}");
            }
        }
    }

    pub(crate) fn seeds() -> Vec<Vec<u8>> {
        let element = |name: &str, cid: u32| {
            format!(
                "    <early_vm>\n        <name>{name}</name>\n        <cid>{cid}</cid>\n        \
                 <path>/system/bin/{name}</path>\n    </early_vm>\n"
            )
        };
        let list = |entries: &str| format!("<early_vms>\n{entries}</early_vms>\n").into_bytes();
        vec![
            list(&(element("a", 123) + &element("b", 124))),
            list(&(element("a", 223) + &element("a", 323))),
            list("<early_vm name=\"c\" cid=\"150\" path=\"/system/bin/c\"/><!-- -->"),
            list(""),
        ]
    }
}

/// The failure line of a guest.
pub(crate) mod failure_text {
    use vmm::death::from_failure_text;

    pub(crate) fn check(data: &[u8]) {
        let text = String::from_utf8_lossy(data);
        if let Some(death) = from_failure_text(&text) {
            // The text after the bar is for people only.
            let word = text.split('|').next().unwrap();
            assert_eq!(from_failure_text(word), Some(death));
        }
    }

    pub(crate) fn seeds() -> Vec<Vec<u8>> {
        [
            "MICRODROID_PAYLOAD_HAS_CHANGED|the APK is another",
            "HANGUP\n",
            "PVM_FIRMWARE_PUBLIC_KEY_MISMATCH",
        ]
        .map(Into::into)
        .to_vec()
    }
}

/// VM configurations.
pub(crate) mod vm_config {
    use ::vm_config::VmConfig;
    use std::path::Path;

    pub(crate) fn check(data: &[u8]) {
        let Ok(text) = str::from_utf8(data) else {
            return;
        };
        let Ok(config) = VmConfig::parse(text, Path::new("/base")) else {
            return;
        };
        let printed = serde_json::to_string(&config).unwrap();
        let again = VmConfig::parse(&printed, Path::new("/other")).unwrap();
        assert_eq!(again, config, "{printed}");
    }

    pub(crate) fn seeds() -> Vec<Vec<u8>> {
        let all = r#"{ "name": "vm", "kernel": "kernel", "initrd": "/initrd", "params": "a b",
            "disks": [ { "image": "disk.img", "writable": true },
                { "partitions": [ { "label": "misc", "path": "misc.img", "writable": true,
                    "guid": "0f0e0d0c-0b0a-0908-0706-050403020100" } ] } ],
            "protected": true, "memory_mib": 512, "cpu_topology": "match_host",
            "platform_version": "~1.0", "devices": [ "/sys/x" ],
            "console_input_device": "ttyS0", "usb_config": { "controller": true } }"#;
        vec![
            all.into(),
            br#"{"bootloader": "b", "platform_version": "1"}"#.to_vec(),
        ]
    }
}

/// XML lists of any form.
pub(crate) mod xml_list {
    use ::xml_list::{Form, Unknown};
    use serde::Deserialize;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Values {
        #[serde(alias = "@a")]
        a: String,
        #[serde(alias = "@b")]
        b: String,
    }

    pub(crate) fn check(data: &[u8]) {
        for unknown in [Unknown::Refuse, Unknown::RefuseEntries, Unknown::Ignore] {
            let form = Form {
                root: "l",
                entry: "e",
                fields: &["a", "b"],
                required: &["a"],
                unknown,
            };
            let lines = data.split(|byte| *byte == b'\n').count();
            let is_inside = |line: u32| (1..=lines).contains(&usize::try_from(line).unwrap());
            let list = match ::xml_list::read(data, &form) {
                Ok(list) => list,
                Err(fault) => {
                    assert!(is_inside(fault.position.line), "{fault}");
                    continue;
                }
            };
            assert!(list.entries.is_sorted_by_key(|entry| entry.position));
            for entry in &list.entries {
                // Whatever the structure lets through can be read.
                let values: Values = entry.read().unwrap();
                let is_sound = entry.faults.is_empty();
                assert!(!is_sound || entry.field(0).is_some(), "{entry:?}");
                if entry.field(1).is_none() {
                    assert_eq!(values.b, "", "{entry:?}");
                }
                for fault in &entry.faults {
                    assert!(is_inside(fault.position.line), "{fault}");
                    assert!(!fault.message.contains(char::is_control), "{fault:?}");
                    assert!(fault.position >= entry.position, "{fault} {entry:?}");
                }
                let _ = values.a;
            }
        }
    }

    pub(crate) fn seeds() -> Vec<Vec<u8>> {
        [
            "<?xml version='1.0'?>\n<l>\n<e a='1' b=\"2\"/>\n<e><a>x&amp;y</a><b/></e></l>\n",
            "\u{feff}<!-- c --><l><e><?p q?><a>1<![CDATA[<2>]]><!----></a></e>text<f/></l>",
            "<l xmlns:p='q'><e p:a='1' a='2' xml:lang='en'><p:b/><b>1<c/></b><b/></e></l>",
            "<!DOCTYPE l [<!ENTITY x 'y'>]><l>&x;</l>",
        ]
        .map(Into::into)
        .to_vec()
    }
}
