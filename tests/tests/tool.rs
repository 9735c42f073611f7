// SPDX-License-Identifier: Apache-2.0
//! The tool `vm` with real guests.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test panics"
)]

use rustix::process::Signal;
use std::fs;
use std::process::Stdio;
use system_tests::tool::{Running, Terminal, Tool};

/// What the payload logs when it serves.
const READY: &str = "vm_demo_payload: ready";
/// The key that leaves a console.
const ESCAPE: &str = "\x1d";

/// A VM that is ready, run by `vm run` without a terminal.
fn run(tool: &Tool, name: &str, args: &str) -> Running {
    let config = tool.guest(name, args);
    let mut command = tool.command();
    command.arg("run").arg(config).stderr(Stdio::inherit());
    let mut vm = Running::start(&mut command);
    vm.expect(READY);
    vm
}

/// What `vm list --json` has.
fn list(tool: &Tool) -> Vec<serde_json::Value> {
    serde_json::from_str(&tool.success(&["list", "--json"])).unwrap()
}

#[test]
fn a_vm_is_listed_inspected_and_stopped() {
    let Some(tool) = Tool::new("a_vm_is_listed_inspected_and_stopped") else {
        return;
    };
    assert!(list(&tool).is_empty());
    let vm = run(&tool, "first", "");
    let other = run(&tool, "second", "");
    let listed = list(&tool);
    let names: Vec<&str> = listed
        .iter()
        .map(|vm| vm["name"].as_str().unwrap())
        .collect();
    assert!(
        names.contains(&"first") && names.contains(&"second"),
        "{names:?}"
    );
    let first = listed.iter().find(|vm| vm["name"] == "first").unwrap();
    assert_eq!(first["state"], "ready");
    assert_eq!(first["early"], false);
    let cid = first["cid"].to_string();
    // The process is a VMM, as the kernel says.
    let pid = first["pid"].to_string();
    let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap();
    let program = program.file_name().unwrap().to_str().unwrap();
    assert!(
        program.starts_with("qemu-system-") || program.starts_with("crosvm"),
        "{program}"
    );
    assert!(first["memory"].as_u64().unwrap() > 16 << 20);
    // CIDs are sorted, and alone with -q.
    let mut cids: Vec<u64> = listed
        .iter()
        .map(|vm| vm["cid"].as_u64().unwrap())
        .collect();
    let quiet: Vec<u64> = tool
        .success(&["list", "-q"])
        .lines()
        .map(|line| line.parse().unwrap())
        .collect();
    assert_eq!(quiet, cids);
    cids.sort_unstable();
    assert_eq!(quiet, cids);
    let table = tool.success(&["list"]);
    assert!(table.trim_start().starts_with("CID  NAME"), "{table}");
    assert!(!table.contains('\x1b'), "{table:?}");

    let details: serde_json::Value =
        serde_json::from_str(&tool.success(&["inspect", "first", "--json"])).unwrap();
    assert_eq!(details["cid"].to_string(), cid);
    let processes = details["processes"].as_array().unwrap();
    let vmm = processes.iter().find(|p| p["pid"] == first["pid"]).unwrap();
    assert_eq!(vmm["program"], program);
    assert!(vmm["cpu_seconds"].as_f64().unwrap() > 0.0);
    let directory = details["directory"].as_str().unwrap();
    assert!(fs::metadata(directory).unwrap().is_dir());
    assert!(tool.success(&["inspect", &cid]).contains(directory));

    // Suspended and resumed, it still answers.
    assert_eq!(tool.success(&["suspend", "first"]).trim(), cid);
    assert_eq!(tool.success(&["resume", &cid]).trim(), cid);
    let error = tool.failure(&["stop", "third"]);
    assert!(
        error.contains("\"third\"")
            && error.contains("first (CID")
            && error.contains("second (CID"),
        "{error}"
    );
    assert_eq!(tool.success(&["stop", "first"]).trim(), cid);
    assert!(!fs::exists(directory).unwrap());
    assert_eq!(vm.finish().0.code(), Some(1));
    assert_eq!(list(&tool).len(), 1);
    assert_eq!(tool.success(&["stop", "--all"]).lines().count(), 1);
    assert_eq!(other.finish().0.code(), Some(1));
    assert!(list(&tool).is_empty());
    tool.outside().expect_nothing_left();
}

#[test]
fn run_ends_with_the_payloads_code_and_errors_are_told_once() {
    let Some(tool) = Tool::new("run_ends_with_the_payloads_code_and_errors_are_told_once") else {
        return;
    };
    let config = tool.guest("three", "--exit=3");
    let output = tool.command().arg("run").arg(&config).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let console = String::from_utf8_lossy(&output.stdout);
    assert!(console.contains("exit code 3"), "{console}");
    assert!(output.stderr.is_empty(), "{output:?}");
    // What the manager refuses, and what the VMM refuses.
    let config = config.to_str().unwrap();
    let not_a_kernel = tool.scratch().join("bad.json");
    fs::write(tool.scratch().join("zeros"), [0; 8192]).unwrap();
    let text = r#"{ "kernel": "zeros", "platform_version": "~1.0" }"#;
    fs::write(&not_a_kernel, text).unwrap();
    for (args, part) in [
        (
            &["run", config, "--devices", "/sys/nothing"][..],
            "/sys/nothing",
        ),
        (&["run", not_a_kernel.to_str().unwrap()], "vmlinux"),
        // More memory than any machine has addresses for: the VMM says so.
        (&["run", config, "-m", "2000000000"], "memory"),
    ] {
        let error = tool.failure(args);
        println!("{error}");
        assert!(
            error.starts_with("error: ") && error.contains(part),
            "{error}"
        );
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    tool.outside().expect_nothing_left();
}

#[test]
fn a_terminal_shows_progress_and_not_the_console() {
    let Some(tool) = Tool::new("a_terminal_shows_progress_and_not_the_console") else {
        return;
    };
    let config = tool.guest("quiet", "--exit=4");
    let terminal = Terminal::start(tool.command().arg("run").arg(&config));
    let (status, text, is_restored) = terminal.finish();
    assert_eq!(status.code(), Some(4), "{text}");
    assert!(is_restored);
    for step in [
        "VM 'quiet' created",
        "payload started",
        "payload finished with exit code 4",
    ] {
        assert!(text.contains(step), "{step}: {text:?}");
    }
    // Lines of the console come only in the status line, which is cleared each time.
    let lines: Vec<&str> = text.split('\n').collect();
    let kept: Vec<&str> = lines
        .iter()
        .map(|line| {
            line.trim_end_matches('\r')
                .rsplit("\r\x1b[K")
                .next()
                .unwrap()
        })
        .collect();
    assert!(
        kept.iter().all(|line| !line.contains("avf-init")),
        "{kept:?}"
    );
    assert_eq!(kept.last(), Some(&""), "{kept:?}");
    tool.outside().expect_nothing_left();
}

#[test]
fn a_console_is_attached_and_left() {
    let Some(tool) = Tool::new("a_console_is_attached_and_left") else {
        return;
    };
    let mut vm = run(&tool, "talk", "--console");
    let attach = |args: &[&str]| {
        let mut terminal = Terminal::start(tool.command().arg("console").args(args));
        terminal.program.expect("Ctrl-] leaves it.");
        terminal
    };
    // The only VM need not be named. What was last on the console is shown.
    let mut terminal = attach(&[]);
    terminal.program.expect("avf-init: started");
    assert!(terminal.is_raw());
    terminal.type_in("hello\r");
    vm.expect("vm_demo_payload: console: hello");
    // There is one console, and it has one user.
    let error = tool.failure(&["console", "talk"]);
    assert!(error.contains("someone else is attached"), "{error}");
    terminal.type_in(ESCAPE);
    let (status, text, is_restored) = terminal.finish();
    assert!(status.success() && is_restored, "{text}");
    assert!(text.contains("the VM runs on"), "{text}");
    // A signal restores the terminal, too.
    let terminal = attach(&["talk"]);
    assert!(terminal.is_raw());
    terminal.program.signal(Signal::TERM);
    let (status, text, is_restored) = terminal.finish();
    assert_eq!(status.code(), Some(143), "{text}");
    assert!(is_restored);
    // And so does the VM's end.
    let mut terminal = attach(&["talk"]);
    terminal.type_in("again\r");
    vm.expect("vm_demo_payload: console: again");
    let follow = Running::start(tool.command().args(["logs", "-f", "talk"]));
    let _ = tool.success(&["stop", "talk"]);
    let (status, text, is_restored) = terminal.finish();
    assert!(status.success() && is_restored, "{text}");
    assert!(text.contains("The console is gone"), "{text}");
    // The log was followed to the end.
    let (status, text) = follow.finish();
    assert!(status.success(), "{text}");
    assert!(
        text.contains("console: hello") && text.contains("console: again"),
        "{text}"
    );
    assert_eq!(vm.finish().0.code(), Some(1));
    tool.outside().expect_nothing_left();
}

#[test]
fn run_can_attach_its_own_terminal() {
    let Some(tool) = Tool::new("run_can_attach_its_own_terminal") else {
        return;
    };
    let config = tool.guest("own", "--console");
    let log = tool.scratch().join("log.txt");
    let mut command = tool.command();
    command
        .arg("run")
        .arg("-c")
        .arg(&config)
        .arg("--log")
        .arg(&log);
    let mut terminal = Terminal::start(&mut command);
    terminal.program.expect("avf-init: started");
    assert!(terminal.is_raw());
    terminal.type_in("first\r");
    terminal.type_in(ESCAPE);
    terminal.program.expect("left the console");
    assert!(!terminal.is_raw());
    // Another terminal has it now, and the VM knows nothing of all that.
    let mut follow = Running::start(tool.command().args(["logs", "-f", "own"]));
    follow.expect("console: first");
    terminal.program.signal(Signal::INT);
    let (status, text, is_restored) = terminal.finish();
    assert_eq!(status.code(), Some(130), "{text}");
    assert!(is_restored, "{text}");
    assert!(!text.contains("error"), "{text}");
    assert!(follow.finish().0.success());
    assert!(fs::read_to_string(log).unwrap().contains("console: first"));
    tool.outside().expect_nothing_left();
}

#[test]
fn logs_are_kept_while_the_vm_lives() {
    let Some(tool) = Tool::new("logs_are_kept_while_the_vm_lives") else {
        return;
    };
    let vm = run(&tool, "wordy", "");
    let console = tool.success(&["logs", "--console", "wordy"]);
    assert!(console.contains("avf-init: started"), "{console}");
    let log = tool.success(&["logs", "wordy"]);
    assert!(log.contains(READY), "{log}");
    let last = tool.success(&["logs", "-n", "1", "wordy"]);
    assert_eq!(last.lines().count(), 1);
    assert!(log.ends_with(&last), "{log:?} {last:?}");
    // It is not an error that the reader goes.
    let mut follow = tool
        .command()
        .args(["logs", "-f", "wordy"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(follow.stdout.take());
    // The signal of a user ends the VM in order.
    vm.signal(Signal::TERM);
    assert_eq!(vm.finish().0.code(), Some(143));
    assert!(follow.wait().unwrap().success());
    let error = tool.failure(&["logs", "wordy"]);
    assert!(error.contains("no VM runs"), "{error}");
    tool.outside().expect_nothing_left();
}
