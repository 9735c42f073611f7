// SPDX-License-Identifier: Apache-2.0
//! Good and bad configurations, and what the errors tell.
#![expect(clippy::expect_used, reason = "a failed expectation is a failed test")]

use std::path::Path;

use proptest::prelude::*;
use vm_config::{
    Boot, ConsoleInputDevice, Contents, CpuTopology, Error, Location, MAX_FILE_SIZE, VmConfig,
};

const EVERYTHING: &str = r#"{
    "name": "everything",
    "kernel": "boot/vmlinux",
    "initrd": "/abs/initrd.img",
    "params": "console=hvc0 panic=-1",
    "disks": [
        { "image": "root.img", "writable": true },
        {
            "partitions": [
                { "label": "super", "path": "parts/super.img" },
                {
                    "label": "data",
                    "path": "/abs/data.img",
                    "writable": true,
                    "guid": "A2037D4F-98E1-4A0C-9C2F-0F1C70A1CD3E"
                }
            ]
        }
    ],
    "protected": true,
    "memory_mib": 512,
    "cpu_topology": "match_host",
    "platform_version": "~1.0",
    "devices": ["/sys/bus/platform/devices/16d00000.eh"],
    "console_input_device": "ttyS0",
    "usb_config": { "controller": true }
}"#;

fn parse(text: &str) -> Result<VmConfig, Error> {
    VmConfig::parse(text, Path::new("/base"))
}

/// The configuration with the least in it, plus `members`.
fn with(members: &str) -> String {
    format!(r#"{{ "kernel": "k", "platform_version": "~1.0", {members} }}"#)
}

/// The message for `text`, which must be refused.
fn refused(text: &str) -> String {
    parse(text).expect_err(text).to_string()
}

#[track_caller]
fn assert_mentions(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "no {part:?} in: {message}");
    }
}

#[test]
fn every_key() {
    let config = parse(EVERYTHING).unwrap();
    assert_eq!(config.name.as_deref(), Some("everything"));
    assert_eq!(config.boot, Boot::Kernel("/base/boot/vmlinux".into()));
    assert_eq!(config.initrd.as_deref(), Some(Path::new("/abs/initrd.img")));
    assert_eq!(config.params.as_deref(), Some("console=hvc0 panic=-1"));
    assert!(config.protected);
    assert_eq!(config.memory.unwrap().get(), 512);
    assert_eq!(config.cpu_topology, CpuTopology::MatchHost);
    assert_eq!(config.platform_version.as_str(), "~1.0");
    assert_eq!(config.devices, ["/sys/bus/platform/devices/16d00000.eh"]);
    assert_eq!(config.console_input_device, Some(ConsoleInputDevice::TtyS0));
    assert!(config.usb.unwrap().controller);

    let [root, parts] = config.disks.as_slice() else {
        panic!("{:?}", config.disks);
    };
    assert_eq!(root.contents, Contents::Image("/base/root.img".into()));
    assert!(root.writable);
    assert!(!parts.writable);
    let Contents::Partitions(parts) = &parts.contents else {
        panic!("{parts:?}");
    };
    assert_eq!(parts[0].label.as_str(), "super");
    assert_eq!(parts[0].path, Path::new("/base/parts/super.img"));
    assert!(!parts[0].writable);
    assert_eq!(parts[0].guid, None);
    assert_eq!(parts[1].path, Path::new("/abs/data.img"));
    assert!(parts[1].writable);
    assert_eq!(
        parts[1].guid.unwrap().to_string(),
        "a2037d4f-98e1-4a0c-9c2f-0f1c70a1cd3e"
    );
}

#[test]
fn defaults() {
    let config = parse(r#"{ "bootloader": "u-boot" }"#).unwrap();
    assert_eq!(config.platform_version.as_str(), "~1.0");
    assert_eq!(config.boot, Boot::Bootloader("/base/u-boot".into()));
    assert_eq!(config.name, None);
    assert_eq!(config.initrd, None);
    assert_eq!(config.params, None);
    assert!(config.disks.is_empty());
    assert!(!config.protected);
    assert_eq!(config.memory, None);
    assert_eq!(config.cpu_topology, CpuTopology::OneCpu);
    assert!(config.devices.is_empty());
    assert_eq!(config.console_input_device, None);
    assert_eq!(config.usb, None);
}

#[test]
fn what_is_printed_reads_the_same() {
    for text in [EVERYTHING, &with(r#""cpu_topology": "cpu_count=3""#)] {
        let config = parse(text).unwrap();
        let printed = serde_json::to_string_pretty(&config).unwrap();
        let again = VmConfig::parse(&printed, Path::new("/elsewhere")).unwrap();
        assert_eq!(again, config, "{printed}");
    }
}

#[test]
fn an_unknown_key_and_its_neighbour() {
    let cases = [
        (with(r#""memoryMib": 5"#), "memoryMib", "memory_mib"),
        (with(r#""memory-mib": 5"#), "memory-mib", "memory_mib"),
        (with(r#""parms": "x""#), "parms", "params"),
        (with(r#""disk": []"#), "disk", "disks"),
        (
            with(r#""usb_config": {"controler": true}"#),
            "controler",
            "controller",
        ),
        (
            with(r#""disks": [{"image": "i", "writeable": true}]"#),
            "writeable",
            "writable",
        ),
        (
            with(r#""disks": [{"partitions": [{"label": "a", "paht": "i"}]}]"#),
            "paht",
            "path",
        ),
        // Other words for the same.
        (with(r#""cpus": 2"#), "cpus", "cpu_topology"),
        (with(r#""cpu_count": 2"#), "cpu_count", "cpu_topology"),
        (with(r#""cmdline": "x""#), "cmdline", "params"),
        (with(r#""ram": 5"#), "ram", "memory_mib"),
        (with(r#""disks": [{"file": "i"}]"#), "file", "image"),
        (
            with(r#""disks": [{"partitions": [{"label": "a", "file": "i"}]}]"#),
            "file",
            "path",
        ),
    ];
    for (text, bad, good) in cases {
        let Err(Error::UnknownKey {
            at,
            key,
            advice,
            known,
        }) = parse(&text)
        else {
            panic!("{text}: {:?}", parse(&text));
        };
        assert_eq!(key, bad);
        assert_mentions(&advice.unwrap(), &[&format!("`{good}`")]);
        assert!(known.contains(&good.to_owned()));
        assert!(at.position.is_some());
        assert_mentions(&refused(&text), &[bad, good]);
    }
}

#[test]
fn a_key_unlike_all_others_has_no_neighbour() {
    for key in ["x`, expected `params", "graphics", "q", "kind"] {
        let message = refused(&with(&format!(r#""{key}": 1"#)));
        assert_mentions(
            &message,
            &[&format!(
                "unknown key `{key}`; the known keys here are: name, "
            )],
        );
    }
    assert_mentions(
        &refused(&with(r#""network": true"#)),
        &["unknown key `network`; a network is an option of `vm run`: --network-supported"],
    );
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_text() {
    assert_eq!(
        parse(&format!("\u{feff}{EVERYTHING}")).unwrap(),
        parse(EVERYTHING).unwrap()
    );
    assert_mentions(&refused("\u{feff}x"), &["line 1, column 1: "]);
}

#[test]
fn columns_count_from_one() {
    for text in ["", "\n", "{\n", "{\"name\": \"a\n\"}", "[\n\n", "x"] {
        let (Error::Syntax { at, .. } | Error::Value { at, .. }) = parse(text).unwrap_err() else {
            panic!("{text}");
        };
        let (line, column) = at.position.unwrap();
        assert!(line >= 1 && column >= 1, "{text:?}: {at}");
    }
}

#[test]
fn the_place_of_an_error() {
    let text = "{\n  \"kernel\": \"k\",\n  \"memory_mib\": 0,\n  \"platform_version\": \"1\"\n}";
    let Err(Error::Value { at, .. }) = parse(text) else {
        panic!("{:?}", parse(text));
    };
    // That is the value's last character.
    assert_eq!(
        at,
        Location {
            file: None,
            position: Some((3, 17))
        }
    );
    assert_mentions(&refused(text), &["line 3, column 17", "memory_mib is 0"]);
}

#[test]
fn text_that_is_no_json() {
    for text in [
        "",
        "{",
        "nonsense",
        "{\"kernel\": \"k\",}",
        "{} {}",
        "// hi\n{}",
    ] {
        let error = parse(text).expect_err(text);
        assert!(
            matches!(error, Error::Syntax { .. } | Error::Value { .. }),
            "{text}: {error:?}"
        );
    }
    assert_mentions(
        &refused("{\n\"kernel\": \"k\",\n}"),
        &["line 3, column 1", "trailing comma"],
    );
}

#[test]
fn arrays_do_not_pass_for_objects() {
    for text in [
        r#"["n", "k"]"#.to_owned(),
        with(r#""disks": [["i", [], true]]"#),
        with(r#""disks": [{"partitions": [["l", "p", true, null]]}]"#),
        with(r#""usb_config": [true]"#),
    ] {
        assert_mentions(
            &refused(&text),
            &["invalid type: sequence, expected an object"],
        );
    }
}

#[test]
fn bad_values() {
    let long = "x".repeat(37);
    let cases: &[(String, &[&str])] = &[
        (
            with(r#""memory_mib": 0"#),
            &["memory_mib is 0", "1 to 2147483647"],
        ),
        (with(r#""memory_mib": -5"#), &["memory_mib is -5"]),
        (
            with(r#""memory_mib": 2147483648"#),
            &["memory_mib is 2147483648"],
        ),
        (
            with(r#""memory_mib": 99999999999999999999"#),
            &["1e+20", "a whole number of MiB"],
        ),
        (
            with(r#""memory_mib": 9223372036854775808"#),
            &["9223372036854775808"],
        ),
        (with(r#""memory_mib": 1.5"#), &["1.5"]),
        (with(r#""memory_mib": "512""#), &["\"512\""]),
        (
            with(r#""cpu_topology": "two_cpus""#),
            &[
                "cpu_topology is \"two_cpus\": it is not a CPU topology",
                "give one_cpu, match_host or cpu_count=N",
            ],
        ),
        (
            with(r#""cpu_topology": "cpu_count=0""#),
            &["cpu_topology is \"cpu_count=0\": a VM has at least one CPU"],
        ),
        (
            with(r#""cpu_topology": "cpu_count=x""#),
            &["is not a whole number", "for example cpu_count=4"],
        ),
        (
            with(r#""cpu_topology": 4"#),
            &[
                "integer `4`, expected \"one_cpu\", \"match_host\" or \"cpu_count=N\"",
                "correct the value",
            ],
        ),
        (
            with(r#""console_input_device": "hvc1""#),
            &["`hvc1`", "`hvc0`", "`ttyS0`"],
        ),
        (with(r#""protected": "yes""#), &["\"yes\"", "boolean"]),
        (
            with(r#""usb_config": {}"#),
            &["missing key `controller`", "add it"],
        ),
        (with(r#""kernel": "again""#), &["duplicate key `kernel`"]),
        (with(r#""disks": [{}]"#), &["neither image nor partitions"]),
        (
            with(r#""disks": [{"partitions": []}]"#),
            &["neither image nor partitions"],
        ),
        (
            with(r#""disks": [{"image": "i", "partitions": [{"label": "a", "path": "p"}]}]"#),
            &["both image \"i\" and partitions", "keep one"],
        ),
        (
            with(
                r#""disks": [{"partitions": [{"label": "a", "path": "p"}, {"label": "a", "path": "q"}]}]"#,
            ),
            &["two partitions", "\"a\""],
        ),
        (
            with(&format!(
                r#""disks": [{{"partitions": [{{"label": "{long}", "path": "p"}}]}}]"#
            )),
            &["37 UTF-16 units", "36", &long],
        ),
        (
            with(r#""disks": [{"partitions": [{"label": "a\u0000b", "path": "p"}]}]"#),
            &["NUL"],
        ),
        (
            with(r#""disks": [{"partitions": [{"label": "a", "path": "p", "guid": "12"}]}]"#),
            &["guid is \"12\"", "UUID"],
        ),
        (
            with(r#""disks": [{"partitions": [{"path": "p"}]}]"#),
            &["missing key `label`"],
        ),
        (
            r#"{ "kernel": "k", "platform_version": "one" }"#.to_owned(),
            &["platform_version is \"one\"", "SemVer", "~1.0"],
        ),
        (
            r#"{ "kernel": "k", "platform_version": "" }"#.to_owned(),
            &["platform_version is \"\""],
        ),
        (
            r#"{ "platform_version": "1" }"#.to_owned(),
            &["neither kernel nor bootloader"],
        ),
        (
            r#"{ "kernel": "k", "bootloader": "b", "platform_version": "1" }"#.to_owned(),
            &["both kernel \"k\" and bootloader \"b\"", "keep one"],
        ),
    ];
    for (text, parts) in cases {
        assert_mentions(&refused(text), parts);
    }
}

#[test]
fn labels_are_counted_in_utf16_units() {
    let disk = |label: &str| {
        with(&format!(
            r#""disks": [{{"partitions": [{{"label": "{label}", "path": "p"}}]}}]"#
        ))
    };
    // One unit each: 36 of them take 108 bytes of UTF-8.
    parse(&disk(&"\u{20ac}".repeat(36))).unwrap();
    // Two units each.
    parse(&disk(&"\u{1f600}".repeat(18))).unwrap();
    assert_mentions(
        &refused(&disk(&"\u{1f600}".repeat(19))),
        &["38 UTF-16 units"],
    );
}

#[test]
fn a_long_value_is_cut_in_the_message() {
    let message = refused(&with(&format!(r#""{}": 1"#, "k".repeat(100_000))));
    assert!(message.len() < 1000, "{} bytes", message.len());
    let message = refused(&with(&format!(
        r#""cpu_topology": "{}""#,
        "k".repeat(100_000)
    )));
    assert!(message.len() < 1000, "{} bytes", message.len());
}

#[test]
fn errors_name_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vm.json");

    std::fs::write(&path, "{\n\"kernal\": 1}").unwrap();
    let message = VmConfig::load(&path).unwrap_err().to_string();
    assert_mentions(&message, &[&format!("{}:2:8", path.display()), "`kernal`"]);

    std::fs::write(&path, b"{\"name\": \"\xff\"}").unwrap();
    let message = VmConfig::load(&path).unwrap_err().to_string();
    assert_mentions(&message, &["vm.json", "byte 10 is invalid"]);

    let size = usize::try_from(MAX_FILE_SIZE).unwrap();
    std::fs::write(&path, " ".repeat(size + 1)).unwrap();
    let message = VmConfig::load(&path).unwrap_err().to_string();
    assert_mentions(&message, &["vm.json", "larger than 1048576 bytes"]);

    let missing = dir.path().join("missing.json");
    let message = VmConfig::load(&missing).unwrap_err().to_string();
    assert_mentions(&message, &["missing.json", "check the path"]);
}

#[test]
fn paths_start_at_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vm.json");
    std::fs::write(&path, with(r#""initrd": "sub/initrd""#)).unwrap();
    let config = VmConfig::load(&path).unwrap();
    assert_eq!(config.boot, Boot::Kernel(dir.path().join("k")));
    assert_eq!(config.initrd, Some(dir.path().join("sub/initrd")));

    // By a link in another directory, of more than one step.
    let other = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(&path, other.path().join("first.json")).unwrap();
    std::os::unix::fs::symlink("first.json", other.path().join("link.json")).unwrap();
    let config = VmConfig::load(&other.path().join("link.json")).unwrap();
    let real = dir.path().canonicalize().unwrap();
    assert_eq!(config.boot, Boot::Kernel(real.join("k")));
    // An error names the file as it was given.
    std::fs::write(&path, "x").unwrap();
    let error = VmConfig::load(&other.path().join("link.json")).unwrap_err();
    assert_mentions(&error.to_string(), &["link.json:1:1: "]);
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        let _ = parse(&text).map_err(|error| error.to_string());
    }

    /// Arbitrary text is seldom JSON; these stay close to a good configuration.
    #[test]
    fn a_damaged_configuration_is_read_or_refused(
        at in 0..EVERYTHING.len(),
        length in 0..20_usize,
        patch in r#"[\[\]{}",:0-9a-z`\\ ]{0,12}"#,
    ) {
        // EVERYTHING is ASCII, so that every index is a character's.
        let end = (at + length).min(EVERYTHING.len());
        let text = format!("{}{patch}{}", &EVERYTHING[..at], &EVERYTHING[end..]);
        match parse(&text) {
            Ok(config) => {
                let printed = serde_json::to_string(&config).unwrap();
                prop_assert_eq!(parse(&printed).unwrap(), config);
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }

    #[test]
    fn any_key_is_named(key in r"[a-zA-Z_`' ,]{1,30}") {
        let error = parse(&with(&format!(r#""{key}": null"#)));
        if let Err(Error::UnknownKey { key: named, .. }) = error {
            prop_assert_eq!(named, key);
        }
    }
}
