// SPDX-License-Identifier: Apache-2.0
//! The tool `vm` as a client of each release of Android, and the options that later releases brought.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test panics"
)]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use system_tests::tool::{Running, Tool};
use vmclient::Release;

/// What the payload logs when it serves.
const READY: &str = "vm_demo_payload: ready";

fn info(tool: &Tool, args: &[&str]) -> serde_json::Value {
    let text = tool.success(&[&["info", "--json"], args].concat());
    serde_json::from_str(&text).unwrap()
}

#[test]
fn managers_say_which_releases_are_built_in() {
    let Some(tool) = Tool::new("managers_say_which_releases_are_built_in") else {
        return;
    };
    let table = tool.success(&["info"]);
    for name in ["virtmgr", "early_virtmgr"] {
        let program = tool.dist().path(name);
        let version = Command::new(&program).arg("--version").output().unwrap();
        let version = String::from_utf8(version.stdout).unwrap();
        let (_, releases) = version.split_once("\nAndroid releases: ").unwrap();
        let releases: Vec<&str> = releases.trim_end().split(", ").collect();
        assert!(releases.contains(&Release::NEWEST.name()), "{version}");
        let info = info(&tool, &[]);
        let key = format!("{name}_releases");
        assert_eq!(info[&key]["details"], serde_json::json!(releases), "{name}");
        assert!(table.contains(&releases.join(", ")), "{name}: {table}");
    }
    // One that is named is shown in place of the one that would be found.
    let named = tool.scratch().join("mgr");
    fs::write(&named, "#!/bin/sh\n[ \"$1\" = --version ] && echo mgr 7\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&named, mode).unwrap();
    let info = info(&tool, &["--manager", named.to_str().unwrap()]);
    let shown = format!("{}: mgr 7", named.display());
    assert_eq!(info["virtmgr"]["value"], shown);
    assert_eq!(info.get("virtmgr_releases"), None);
    assert_eq!(info.get("debug_policy"), None);
}

#[test]
fn every_release_is_spoken_to_a_manager() {
    let Some(tool) = Tool::new("every_release_is_spoken_to_a_manager") else {
        return;
    };
    let mut command = tool.command();
    command
        .arg("run")
        .arg(tool.guest("a_guest", ""))
        .args(["--wire", Release::V15Qpr1.name()])
        .stderr(Stdio::inherit());
    let mut vm = Running::start(&mut command);
    vm.expect(READY);
    let policy = "Ok(DebugPolicy { log: false, ramdump: false, adb: false })";
    for release in Release::ALL {
        let wire = ["--wire", release.name()];
        let table = tool.success(&[&["info"], &wire[..]].concat());
        // Before Android 16 there is no way to ask.
        let told = table.ends_with(&format!("\nDebug policy: {policy}\n"));
        assert_eq!(told, release >= Release::V16, "{release}: {table}");
        assert!(!table.contains("could not be asked"), "{release}: {table}");
        let info = info(&tool, &wire);
        assert_eq!(info["features"]["details"]["enabled"][0], "DICE_CHANGES");
        let list = tool.success(&[&["list", "--json"], &wire[..]].concat());
        let list: serde_json::Value = serde_json::from_str(&list).unwrap();
        assert_eq!(list[0]["name"], "a_guest", "{release}");
        let disk = tool.scratch().join(release.name());
        let disk = disk.to_str().unwrap();
        let made = [&["create-partition", disk, "1M"], &wire[..]].concat();
        let _ = tool.success(&made);
        assert_eq!(fs::metadata(disk).unwrap().len(), 1 << 20);
    }
    assert_eq!(tool.success(&["stop", "--all"]).lines().count(), 1);
    assert_eq!(vm.finish().0.code(), Some(1));
    tool.outside().expect_nothing_left();
}

#[test]
fn a_guest_is_run_by_a_client_of_an_older_release() {
    let Some(tool) = Tool::new("a_guest_is_run_by_a_client_of_an_older_release") else {
        return;
    };
    let config = tool.guest("older", "--exit=5");
    for release in [
        Release::V15,
        Release::V15Qpr2,
        Release::V16,
        Release::V17Preview,
    ] {
        let output = tool
            .command()
            .args(["-v", "run", "--wire", release.name()])
            .arg(&config)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(5), "{release}: {errors}");
        let line = format!("the client speaks the wire of {}, by", release.title());
        assert!(errors.contains(&line), "{release}: {errors}");
        // All later calls were that release's, too.
        assert!(!errors.contains("warn: "), "{release}: {errors}");
    }
    // What a release cannot say is not left out in silence.
    for option in [
        ["--cpu-topology", "cpu_count=2"],
        ["--dump-device-tree", "/dev/null"],
    ] {
        let run = ["run", config.to_str().unwrap(), "--wire", "15"];
        let error = tool.failure(&[&run[..], &option].concat());
        assert!(
            error.starts_with("error: cannot create the VM: ")
                && error.contains("is not in the wire of Android 15; speak a later release"),
            "{error}"
        );
    }
    tool.outside().expect_nothing_left();
}

#[test]
fn a_guest_has_as_many_cpus_as_are_counted() {
    let Some(tool) = Tool::new("a_guest_has_as_many_cpus_as_are_counted") else {
        return;
    };
    let config = tool.guest("counted", "");
    let text = fs::read_to_string(&config).unwrap();
    let noisy = text.replace("loglevel=4", "loglevel=8");
    let in_config = noisy.replacen('{', r#"{ "cpu_topology": "cpu_count=2","#, 1);
    for (text, args, count) in [
        (&noisy, &["--cpu-topology", "cpu_count=3"][..], 3),
        (&in_config, &[], 2),
    ] {
        fs::write(&config, text).unwrap();
        let mut command = tool.command();
        command.arg("run").arg(&config).args(args);
        let mut vm = Running::start(command.stderr(Stdio::inherit()));
        vm.expect(&format!("Total of {count} processors activated"));
        vm.expect(READY);
        let _ = tool.success(&["stop", "--all"]);
        assert_eq!(vm.finish().0.code(), Some(1));
    }
    tool.outside().expect_nothing_left();
}

#[test]
fn a_device_tree_is_kept_or_its_file_removed() {
    let Some(tool) = Tool::new("a_device_tree_is_kept_or_its_file_removed") else {
        return;
    };
    let config = tool.guest("tree", "--exit=0");
    let config = config.to_str().unwrap();
    let file = tool.scratch().join("tree.dtb");
    let run = ["run", config, "--dump-device-tree", file.to_str().unwrap()];
    let vmm = info(&tool, &[])["vmm"]["value"].clone();
    let program = vmm.as_str().unwrap().split(": ").next().unwrap();
    let program = Path::new(program).file_name().unwrap().to_str().unwrap();
    if program.starts_with("crosvm") {
        let _ = tool.success(&run);
        let tree = fs::read(&file).unwrap();
        assert!(tree.starts_with(&[0xd0, 0x0d, 0xfe, 0xed]));
    } else {
        let error = tool.failure(&run);
        assert!(
            error.contains("device tree") && error.contains("use crosvm"),
            "{error}"
        );
        assert!(!file.exists());
        // What was there before is as it was.
        fs::write(&file, "former").unwrap();
        let _ = tool.failure(&run);
        assert_eq!(fs::read(&file).unwrap(), b"former");
    }
    tool.outside().expect_nothing_left();
}
