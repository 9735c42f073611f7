// SPDX-License-Identifier: Apache-2.0
//! The commands for VMs that run, images and features, without a guest: VMs are directories here
//! whose manager is this test.
#![allow(clippy::unwrap_used, reason = "what a test sets up must be there")]

mod place;

use place::Place;
use std::fs;

#[test]
fn a_missing_manager_is_said_with_where_it_was_looked_for() {
    let place = Place::new();
    let config = place.config();
    for args in [
        &["run", config.to_str().unwrap()][..],
        &["create-partition", "/nonexistent/x", "1M"],
    ] {
        let error = place.error(args);
        assert!(
            error.starts_with("error: no virtmgr beside this program") && error.contains("PATH"),
            "{args:?}: {error}"
        );
    }
    let (code, _, error) = place.run(&["check-feature-enabled", "network"]);
    assert_eq!(code, 2);
    assert!(error.contains("no virtmgr"), "{error}");
    // What does not need one works.
    let (code, stdout, _) = place.run(&["info"]);
    assert_eq!(code, 0);
    assert!(
        stdout.contains("no virtmgr beside this program"),
        "{stdout}"
    );
}

#[test]
fn vms_are_found_without_a_manager_and_without_a_runtime_directory() {
    for manager in [None, Some("#!/bin/sh\nexit 1\n")] {
        let place = Place::new();
        if let Some(script) = manager {
            // One that cannot be asked, as where its service is down.
            let program = place.directory().join("virtmgr");
            fs::write(&program, script).unwrap();
            place::make_executable(&program);
        }
        let me = rustix::process::geteuid();
        // Where VMs are without the global service, and with it.
        let mut wanted = Vec::new();
        if me.is_root() {
            place.vm_in("run/virtmgr", 2048, "of_root", "");
            place.vm_in("run/user/1234/virtmgr", 2050, "of_a_user", "");
            wanted.extend([2048, 2050]);
        } else {
            let base = format!("run/user/{}/virtmgr", me.as_raw());
            place.vm_in(&base, 2048, "own", "");
            wanted.push(2048);
        }
        place.vm_in("run/virtualizationservice/vms", 2049, "of_service", "");
        wanted.push(2049);
        wanted.sort_unstable();
        let (code, stdout, stderr) = place.run(&["list", "-q"]);
        let cids: Vec<u32> = stdout.lines().map(|line| line.parse().unwrap()).collect();
        assert_eq!((code, stderr.as_str()), (0, ""), "{manager:?}");
        assert_eq!(cids, wanted, "{manager:?}");
        let (code, stdout, _) = place.run(&["inspect", "of_service"]);
        assert!(code == 0 && stdout.contains("2049"), "{stdout}");
        let error = place.error(&["stop", "2049"]);
        assert!(error.contains("not started"), "{error}");
        // A manager that is named has to work.
        let error = place.error(&["list", "--manager", "/nonexistent/virtmgr"]);
        assert!(error.contains("/nonexistent/virtmgr"), "{error}");
    }
}

#[test]
fn a_manager_that_nobody_has_reaped_is_dead() {
    let place = Place::early();
    let mut child = std::process::Command::new("sleep")
        .arg("600")
        .spawn()
        .unwrap();
    let (pid, start) = (child.id(), place::start_of(child.id()));
    let vm = |cid: u32| {
        let directory = place.vm(cid, "zombie", "");
        let note = format!("name zombie\nclient 1\nmanager {pid} {start}\n");
        fs::write(directory.join("owner"), note).unwrap();
    };
    vm(142);
    assert_eq!(place.run(&["list", "-q"]).1, "142\n");
    child.kill().unwrap();
    // It is a zombie from some moment on, and stays one while this test does not wait for it.
    while !fs::read_to_string(format!("/proc/{pid}/stat"))
        .unwrap()
        .contains(") Z ")
    {
        std::thread::yield_now();
    }
    assert_eq!(place.run(&["list", "-q"]).1, "");
    let error = place.error(&["stop", "zombie"]);
    assert!(error.contains("no VM runs"), "{error}");
    let _ = child.wait().unwrap();
}

#[test]
fn early_vms_are_listed_where_there_is_no_other_manager() {
    let place = Place::early();
    let (code, stdout, stderr) = place.run(&["list"]);
    assert_eq!((code, stdout.as_str()), (0, ""));
    assert!(stderr.contains("No VM runs"), "{stderr}");
    let (_, stdout, _) = place.run(&["list", "--json"]);
    assert_eq!(stdout.trim(), "[]");

    place.vm(142, "b\u{1b}[31m", "");
    place.vm(120, "a long name", "console /dev/pts/999\nfuture line\n");
    fs::create_dir(place.root().join("mnt/vm/early/130")).unwrap();
    let (_, stdout, _) = place.run(&["list"]);
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{stdout}");
    assert!(lines[0].starts_with("CID  NAME         STATE"), "{stdout}");
    assert!(
        lines[1].starts_with("120  a long name  created"),
        "{stdout}"
    );
    assert!(lines[1].ends_with("/dev/pts/999"), "{stdout}");
    assert!(lines[2].starts_with("142  b\u{fffd}[31m"), "{stdout:?}");
    let (_, stdout, _) = place.run(&["list", "-q"]);
    assert_eq!(stdout, "120\n142\n");
    let (_, stdout, _) = place.run(&["inspect", "142", "--json"]);
    let details: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(details["state"], "created");
    assert_eq!(details["manager"]["pid"], std::process::id());
    assert_eq!(details["early"], true);
}

#[test]
fn what_cannot_be_done_with_a_vm_is_said() {
    let place = Place::early();
    let error = place.error(&["stop", "demo"]);
    assert!(error.contains("no VM \"demo\"; no VM runs"), "{error}");
    let directory = place.vm(142, "demo", "");
    place.vm(143, "demo", "console /dev/null\n");
    let error = place.error(&["stop", "demo"]);
    assert!(error.contains("142 or 143"), "{error}");
    let error = place.error(&["stop", "142"]);
    assert!(
        error.contains("demo (CID 142)") && error.contains("not started"),
        "{error}"
    );
    let error = place.error(&["logs", "other"]);
    assert!(error.contains("demo (CID 142), demo (CID 143)"), "{error}");
    let error = place.error(&["console", "142"]);
    assert!(error.contains("vm logs --console 142"), "{error}");
    // A client may name anything as its console; only a terminal is opened as one.
    let error = place.error(&["console"]);
    assert!(
        error.contains("/dev/null") && error.contains("not a terminal"),
        "{error}"
    );
    let (code, stdout, stderr) = place.run(&["logs", "142"]);
    assert_eq!((code, stdout.as_str()), (0, ""));
    assert!(stderr.contains("vm logs --console 142"), "{stderr}");
    fs::write(directory.join("log.log.old"), "1\n2\n").unwrap();
    fs::write(directory.join("log.log"), "3\n4").unwrap();
    assert_eq!(place.run(&["logs", "142"]).1, "1\n2\n3\n4");
    assert_eq!(place.run(&["logs", "-n", "2", "142"]).1, "3\n4");
}

#[test]
fn faulty_arguments_are_explained() {
    let place = Place::early();
    for (args, part) in [
        (&["create-partition", "x", "10Q"][..], "64M"),
        (&["stop"], "--all"),
        (&["stop", "--all", "x"], "cannot be used with"),
        (
            &["run-app", "a", "b", "c", "--instance-id-file", "i"],
            "--payload-binary-name",
        ),
        (&["run", "x", "-c", "--console", "f"], "cannot be used with"),
        (&["run", "x", "--gdb", "0"], "--gdb"),
        (&["lst"], "list"),
    ] {
        let (code, _, error) = place.run(args);
        assert_eq!(code, 2, "{args:?}");
        assert!(error.contains(part), "{args:?}: {error}");
    }
}

#[test]
fn a_console_needs_a_terminal_only_to_be_attached() {
    let place = Place::early();
    let root = place.directory();
    fs::write(root.join("kernel"), "").unwrap();
    let config = root.join("guest.json");
    fs::write(
        &config,
        r#"{ "kernel": "kernel", "platform_version": "~1.0" }"#,
    )
    .unwrap();
    let error = place.error(&["run", "--early", "-c", config.to_str().unwrap()]);
    assert!(
        error.contains("--attach") && error.contains("terminal"),
        "{error}"
    );
}
