// SPDX-License-Identifier: Apache-2.0
//! The tool `vm` with early VMs, and with payloads of APKs.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test panics"
)]

use apk_builder::Entry;
use std::fs;
use std::process::{Command, Stdio};
use system_tests::app::{Apps, PAYLOAD};
use system_tests::host::{Dist, Host};
use system_tests::tool::{Running, Tool};

/// What the payload logs when it serves.
const READY: &str = "vm_demo_payload: ready";

#[test]
fn an_early_vm_is_run_by_a_declared_vm_tool() {
    let Some(tool) = Tool::new("an_early_vm_is_run_by_a_declared_vm_tool") else {
        return;
    };
    let program = tool.outside().root().join("system/bin/vm");
    // By another process: a program that this one has open for writing, if only in a child that
    // another test has just forked, could not be run.
    let copied = Command::new("cp")
        .arg(tool.dist().path("vm"))
        .arg(&program)
        .status();
    assert!(copied.unwrap().success());
    tool.outside().write_list(
        "early_vms_tool.xml",
        "<early_vms><early_vm><name>vm_tool</name><cid>143</cid><path>/system/bin/vm</path></early_vm></early_vms>",
    );
    let config = tool.guest("vm_tool", "");
    let mut command = tool.command_of(&program);
    command
        .args(["run", "--early"])
        .arg("--manager")
        .arg(tool.dist().path("early_virtmgr"))
        .arg(&config)
        .stderr(Stdio::inherit());
    let mut vm = Running::start(&mut command);
    vm.expect(READY);
    let listed = tool.success(&["list", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed[0]["cid"], 143);
    assert_eq!(listed[0]["name"], "vm_tool");
    assert_eq!(listed[0]["early"], true);
    assert_eq!(listed[0]["state"], "ready");
    assert!(tool.success(&["logs", "143"]).contains(READY));
    let error = tool.failure(&["console", "vm_tool"]);
    assert!(error.contains("no early VM has"), "{error}");
    assert_eq!(tool.success(&["stop", "vm_tool"]).trim(), "143");
    assert_eq!(vm.finish().0.code(), Some(1));
    tool.outside().expect_nothing_left();
}

/// A platform whose Microdroid is the distribution's guest.
fn with_apps(tool: &Tool) -> Host {
    Host {
        dist: Dist::find().unwrap(),
        root: tool.outside().root().to_owned(),
    }
}

#[test]
fn the_payload_of_an_apk_is_run() {
    let Some(tool) = Tool::new("the_payload_of_an_apk_is_run") else {
        return;
    };
    let host = with_apps(&tool);
    let Some(apps) = Apps::new(&host) else { return };
    let _ = apps.apk("app.apk", &[apps.payload()]);
    let _ = apps.apk("more.apk", &[Entry::library("more", b"more".to_vec())]);
    let scratch = tool.scratch();
    let start = |options: &[&str]| {
        let mut command = tool.command();
        command
            .current_dir(&scratch)
            .args(["run-app", "app.apk", "app.idsig", "instance.img"])
            .args(options)
            .args(["--instance-id-file", "id", "--payload-binary-name", PAYLOAD])
            .args(["--extra-apk", "more.apk", "--extra-idsig", "more.idsig"])
            .args(["--storage", "storage.img", "--storage-size", "1M"])
            .args(["--name", "app"])
            .stderr(Stdio::inherit());
        let mut vm = Running::start(&mut command);
        vm.expect(READY);
        vm
    };
    let vm = start(&[]);
    let id = fs::read(scratch.join("id")).unwrap();
    assert_eq!(id.len(), 64);
    assert_eq!(
        fs::metadata(scratch.join("storage.img")).unwrap().len(),
        1 << 20
    );
    assert_eq!(
        fs::metadata(scratch.join("instance.img")).unwrap().len(),
        10 << 20
    );
    let instance = fs::read(scratch.join("instance.img")).unwrap();
    assert!(instance.starts_with(b"Android-VM-instance"));
    let _ = tool.success(&["stop", "app"]);
    assert_eq!(vm.finish().0.code(), Some(1));
    // The second time nothing is made anew, also by a client of another release.
    let vm = start(&["--wire", "16", "--cpu-topology", "cpu_count=2"]);
    assert_eq!(fs::read(scratch.join("id")).unwrap(), id);
    let _ = tool.success(&["stop", "app"]);
    drop(vm);
    // One idsig is missing.
    let output = tool
        .command()
        .current_dir(&scratch)
        .args(["run-app", "app.apk", "app.idsig", "instance.img"])
        .args(["--instance-id-file", "id", "--payload-binary-name", PAYLOAD])
        .args(["--extra-apk", "more.apk"])
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("--extra-idsig is given 0 times"), "{error}");
    tool.outside().expect_nothing_left();
}

/// A command in the scratch directory that must fail; what it says, without the file list changed.
fn fails_without_a_trace(tool: &Tool, arguments: &[&str]) -> String {
    let files = || {
        let entries = fs::read_dir(tool.scratch()).unwrap();
        let mut files: Vec<_> = entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_file())
            .map(|path| (fs::read(&path).unwrap(), path))
            .collect();
        files.sort();
        files
    };
    let before = files();
    let output = tool
        .command()
        .current_dir(tool.scratch())
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(!output.status.success(), "{arguments:?}");
    assert!(files() == before, "{arguments:?} changed files");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_failure_changes_no_file_and_leaves_none() {
    let Some(tool) = Tool::new("a_failure_changes_no_file_and_leaves_none") else {
        return;
    };
    let scratch = tool.scratch();
    let path = |name: &str| scratch.join(name);
    let expect = |arguments: &[&str], part: &str| {
        let error = fails_without_a_trace(&tool, arguments);
        assert!(error.contains(part), "{arguments:?}: {error}");
    };
    fs::write(path("bad.apk"), "not an archive").unwrap();
    fs::hard_link(path("bad.apk"), path("hard")).unwrap();
    std::os::unix::fs::symlink("bad.apk", path("soft")).unwrap();
    for same in ["bad.apk", "hard", "soft"] {
        let part = "it is the APK itself; name another file for the idsig";
        expect(&["create-idsig", "bad.apk", same], part);
    }
    expect(
        &["create-idsig", "bad.apk", "new"],
        "not a valid ZIP archive",
    );
    let fifo = Command::new("mkfifo").arg(path("fifo")).status();
    assert!(fifo.unwrap().success());
    for arguments in [["fifo", "new"], ["bad.apk", "fifo"]] {
        let arguments = [&["create-idsig"], &arguments[..]].concat();
        expect(&arguments, "it is not a regular file");
    }

    let host = with_apps(&tool);
    let Some(apps) = Apps::new(&host) else { return };
    let _ = apps.apk("app.apk", &[apps.payload()]);
    fs::write(path("notes"), "keep me").unwrap();
    expect(&["create-idsig", "app.apk", "notes"], "has other content");
    let run = |options: &[&'static str]| {
        let common = ["run-app", "app.apk", "a.idsig", "instance.img"];
        let common = [&common[..], &["--instance-id-file", "id"]].concat();
        [&common[..], &["--payload-binary-name", PAYLOAD], options].concat()
    };
    // Refused after some files were made: by the second idsig, by a size, by createVm itself.
    let extra = ["--extra-apk", "bad.apk", "--extra-idsig", "b.idsig"];
    expect(&run(&extra), "not a valid ZIP archive");
    let storage = ["--storage", "storage.img", "--storage-size", "8000000T"];
    expect(&run(&storage), "storage.img");
    expect(&run(&["--devices", "/sys/none"]), "device");
    let tree = ["--dump-device-tree", "tree.dtb", "--wire", "15"];
    expect(&run(&tree), "dumpDtFd is not in the wire of Android 15");
    expect(
        &run(&["--dump-device-tree", "none/tree.dtb"]),
        "none/tree.dtb",
    );
    tool.outside().expect_nothing_left();
}

#[test]
fn a_microdroid_without_a_purpose_keeps_its_files_where_it_is_told() {
    let Some(tool) = Tool::new("a_microdroid_without_a_purpose_keeps_its_files_where_it_is_told")
    else {
        return;
    };
    let error = tool.failure(&["run-microdroid"]);
    assert!(error.contains("EmptyPayloadApp"), "{error}");
    let host = with_apps(&tool);
    let Some(apps) = Apps::new(&host) else { return };
    let program = fs::read(tool.dist().path("guest/vm_demo_payload")).unwrap();
    let empty = Entry::library("MicrodroidEmptyPayloadJniLib.so", program);
    let apk = apps.apk("empty.apk", &[empty]);
    let place = tool
        .outside()
        .root()
        .join("apex/com.android.virt/app/EmptyPayloadApp@1");
    fs::create_dir_all(&place).unwrap();
    fs::rename(apk, place.join("EmptyPayloadApp.apk")).unwrap();
    let directory = tool.scratch().join("work");
    let mut command = tool.command();
    command
        .arg("run-microdroid")
        .arg("--work-dir")
        .arg(&directory)
        .stderr(Stdio::inherit());
    let mut vm = Running::start(&mut command);
    vm.expect(READY);
    for name in ["apk.idsig", "instance.img", "instance_id"] {
        assert!(directory.join(name).is_file(), "{name}");
    }
    let _ = tool.success(&["stop", "VmRunMicrodroid"]);
    assert_eq!(vm.finish().0.code(), Some(1));
    tool.outside().expect_nothing_left();
}
