// SPDX-License-Identifier: Apache-2.0
//! What the tool prints where nobody reads it, where there is no room for it, and where what others
//! wrote could control a terminal.
#![allow(clippy::unwrap_used, reason = "what a test sets up must be there")]

mod place;

use place::Place;
use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(300);

/// A place with a VM that has written something, and a list of early VMs with a fault.
fn place() -> Place {
    let place = Place::early();
    let directory = place.vm(142, "demo", "");
    fs::write(directory.join("log.log"), "a line\n").unwrap();
    let lists = place.root().join("system/etc/avf");
    fs::create_dir_all(&lists).unwrap();
    fs::write(
        lists.join("early_vms.xml"),
        "<early_vms>\n<x/>\n</early_vms>",
    )
    .unwrap();
    place
}

/// Every command that prints a result.
const PRINTING: [&[&str]; 14] = [
    &["list"],
    &["list", "-q"],
    &["list", "--json"],
    &["inspect", "142"],
    &["inspect", "142", "--json"],
    &["logs", "142"],
    &["info"],
    &["info", "--json"],
    &["early", "check"],
    &["--help"],
    &["run", "--help"],
    &["help", "stop"],
    &["--version"],
    &["help"],
];

fn run(place: &Place, args: &[&str], stdout: Stdio) -> Output {
    place.command(args).stdout(stdout).output().unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_reader_that_has_gone_ends_every_command_quietly() {
    let place = place();
    for args in PRINTING {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = run(&place, args, writer.into());
        let errors = errors(&output);
        assert_eq!(output.status.signal(), None, "{args:?}");
        assert!(!errors.contains("panicked"), "{args:?}: {errors}");
        assert!(!errors.contains("error:"), "{args:?}: {errors}");
        let faults = i32::from(*args == ["early", "check"]);
        assert_eq!(output.status.code(), Some(faults), "{args:?}: {errors}");
    }
}

#[test]
fn a_full_device_is_one_error_of_every_command() {
    let place = place();
    for args in PRINTING {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = run(&place, args, full.into());
        let errors = errors(&output);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {errors}");
        assert_eq!(
            errors,
            "error: cannot write to standard output: No space left on device (os error 28)\n",
            "{args:?}"
        );
    }
}

#[test]
fn no_command_needs_its_standard_descriptors() {
    let place = place();
    for closed in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
        for args in PRINTING {
            let script = format!("exec \"$0\" \"$@\" {closed}");
            let program = place.program();
            let output = Command::new("sh")
                .args(["-c", &script])
                .arg(program)
                .args(args)
                .env("VIRTMGR_ROOT", place.root())
                .output()
                .unwrap();
            let errors = errors(&output);
            assert!(!errors.contains("panicked"), "{args:?} {closed}: {errors}");
            assert_eq!(output.status.signal(), None, "{args:?} {closed}");
        }
    }
}

#[test]
fn names_of_vms_do_not_control_the_terminal() {
    let place = Place::early();
    let name = "a\u{1b}[2Jb\u{9b}c\u{202e}d\u{2066}e\u{7f}";
    let directory = place.vm(142, name, "console /dev/p\u{1b}[31m\n");
    let _ = place.vm(143, name, "");
    fs::write(directory.join("log.log"), "x").unwrap();
    let wanted: [&[&str]; 9] = [
        &["list"],
        &["list", "--json"],
        &["inspect", "142"],
        &["inspect", "142", "--json"],
        &["stop", "142"],
        &["stop", name],
        &["stop", "z\u{1b}[2Jz"],
        &["console", "142"],
        &["run", "z\u{1b}[2J\u{202e}z.json"],
    ];
    for args in wanted {
        let (_, stdout, stderr) = place.run(args);
        let text = stdout + &stderr;
        let bad = text.chars().find(|c| {
            (c.is_control() && *c != '\n')
                || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        });
        assert_eq!(bad, None, "{args:?}: {text:?}");
        assert!(!text.is_empty(), "{args:?}");
    }
    // Programs still get the name as it is.
    let (_, json, _) = place.run(&["inspect", "142", "--json"]);
    let details: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(details["name"], name);
}

#[test]
fn standard_input_may_be_a_socket() {
    let place = Place::early();
    let config = place.config();
    for input in ["-", "/dev/stdin"] {
        let (_other, socket) = UnixStream::pair().unwrap();
        let args = [
            "run",
            "--manager",
            "/nonexistent/virtmgr",
            "--console-in",
            input,
        ];
        let output = place
            .command(&args)
            .arg(&config)
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(socket)))
            .output()
            .unwrap();
        let errors = errors(&output);
        // What fails is the manager, not the console.
        assert!(errors.contains("/nonexistent/virtmgr"), "{input}: {errors}");
    }
}

#[test]
fn a_limit_on_open_files_is_named_with_its_command() {
    let place = Place::early();
    let shell = |limits: &str| {
        let output = Command::new("sh")
            .args([
                "-c",
                &format!("{limits}; exec \"$0\" run x.json --manager /nonexistent"),
            ])
            .arg(place.program())
            .current_dir(place.root())
            .output()
            .unwrap();
        errors(&output)
    };
    fs::write(place.root().join("kernel"), "not a kernel").unwrap();
    fs::write(
        place.root().join("x.json"),
        r#"{ "kernel": "kernel", "platform_version": "~1.0" }"#,
    )
    .unwrap();
    let text = shell("ulimit -n 4");
    assert!(
        text.contains("ulimit -n") && text.lines().count() == 1,
        "{text}"
    );
    // A limit that may be raised is raised.
    let text = shell("ulimit -Sn 4");
    assert!(!text.contains("Too many open files"), "{text}");
}

#[test]
fn signals_that_were_ignored_stay_ignored() {
    let place = Place::early();
    // A manager that does nothing until the test lets it end.
    let manager = place.root().join("manager");
    let gate = place.root().join("gate");
    let made = Command::new("mkfifo").arg(&gate).status().unwrap();
    assert!(made.success());
    let script = format!("#!/bin/sh\nread x < '{}'\n", gate.display());
    fs::write(&manager, script).unwrap();
    place::make_executable(&manager);
    let config = place.config();
    let mut child = Command::new("sh")
        .args(["-c", "trap '' HUP INT; exec \"$0\" \"$@\""])
        .arg(place.program())
        .args(["run", "--manager"])
        .arg(&manager)
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mask = |key: &str| {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        u64::from_str_radix(line.unwrap().trim(), 16).unwrap()
    };
    let has = |mask: u64, signal: u64| mask & (1 << (signal - 1)) != 0;
    let begin = Instant::now();
    while !has(mask("SigCgt:"), 15) {
        assert!(begin.elapsed() < LIMIT, "SIGTERM is not caught");
        std::thread::sleep(Duration::from_millis(20));
    }
    for signal in [1, 2] {
        assert!(has(mask("SigIgn:"), signal), "{signal}");
        assert!(!has(mask("SigCgt:"), signal), "{signal}");
    }
    // And one that is not ignored ends it: the first in order, a second at once.
    let pid = child.id().to_string();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(begin.elapsed() < LIMIT, "it does not end");
        let _ = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(
        status.code() == Some(143) || status.signal() == Some(15),
        "{status}"
    );
    // Lets the manager end if it is still there.
    let _gate = File::options().read(true).write(true).open(&gate).unwrap();
}
