// SPDX-License-Identifier: Apache-2.0
//! The tool as a user runs it, without a guest.
#![allow(clippy::unwrap_used, reason = "what a test sets up must be there")]

use assert_cmd::Command;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;

fn vm() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vm"));
    // What the machine of the developer has set must not matter.
    for name in [
        "VIRTMGR_ROOT",
        "VIRTMGR_VMM",
        "VIRTMGR_ACCEL",
        "VIRTMGR_LOG",
    ] {
        command.env_remove(name);
    }
    command
}

/// Runs `vm` and returns its exit code, standard output and standard error.
fn outcome(command: &mut Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// `vm run` of a description with this text, and with further arguments.
fn run(text: &str, args: &[&str]) -> (i32, String, String) {
    let dir = TempDir::new().unwrap();
    let config = dir.path().join("guest.json");
    fs::write(&config, text).unwrap();
    fs::write(dir.path().join("kernel"), "not a kernel").unwrap();
    outcome(vm().arg("run").arg(config).args(args))
}

const GOOD: &str = r#"{ "kernel": "kernel", "platform_version": "~1.0" }"#;

#[test]
fn a_faulty_description_is_refused_with_its_place() {
    for (text, part) in [
        ("{\n  \"kernel\": \"kernel\",\n}", "guest.json:3:"),
        ("{ \"kernal\": \"kernel\" }", "`kernel`"),
        (
            r#"{ "kernel": "kernel", "platform_version": "one" }"#,
            "platform_version",
        ),
        (
            r#"{ "kernel": "absent", "platform_version": "~1.0" }"#,
            "absent",
        ),
    ] {
        let (code, stdout, stderr) = run(text, &["--manager", "/nonexistent"]);
        assert_eq!(code, 1, "{text}");
        assert!(
            stderr.starts_with("error: ") && stderr.contains(part),
            "{text}: {stderr}"
        );
        assert_eq!(stdout, "");
    }
}

#[test]
fn options_are_checked_before_a_manager_is_started() {
    for (args, part) in [
        (
            &["--console-in", "/nonexistent/in"][..],
            "--console-in /nonexistent/in",
        ),
        (&["--console", "/nonexistent/out"], "/nonexistent/out"),
    ] {
        let (code, _, stderr) = run(GOOD, &[args, &["--manager", "/nonexistent"]].concat());
        assert_eq!(code, 1, "{args:?}");
        assert!(stderr.contains(part), "{args:?}: {stderr}");
    }
    for (size, part) in [
        ("0", "it is 0"),
        ("2X", "for example 2G"),
        ("-1", "negative"),
    ] {
        let (code, _, stderr) = run(GOOD, &["-m", size]);
        assert_eq!(code, 2, "{size}");
        assert!(stderr.contains(part), "{size}: {stderr}");
    }
    // With a suffix it is taken: what fails comes after it.
    for size in ["2G", "1.5G", "512M", "512"] {
        let (code, _, stderr) = run(GOOD, &["-m", size, "--manager", "/nonexistent"]);
        assert!(
            code == 1 && stderr.contains("/nonexistent"),
            "{size}: {stderr}"
        );
    }
    for (topology, part) in [
        ("many", "it is not a CPU topology"),
        ("cpu_count=0", "a VM has at least one CPU"),
        ("cpu_count=x", "the number of CPUs is not a whole number"),
    ] {
        let (code, stdout, stderr) = run(GOOD, &["--cpu-topology", topology]);
        assert_eq!((code, stdout.as_str()), (2, ""), "{topology}");
        let first = format!(
            "error: invalid value '{topology}' for '--cpu-topology <TOPOLOGY>': {part}; give one_cpu, \
             match_host or cpu_count=N, for example cpu_count=4\n"
        );
        assert!(stderr.starts_with(&first), "{topology}: {stderr}");
    }
    let args = ["--cpu-topology", "cpu_count=4", "--manager", "/nonexistent"];
    let (code, _, stderr) = run(GOOD, &args);
    assert!(code == 1 && stderr.contains("/nonexistent"), "{stderr}");
}

#[test]
fn a_release_that_is_not_built_in_is_refused_by_every_command_that_starts_a_manager() {
    for args in [
        &["run", "x.json"][..],
        &["run-microdroid"],
        &["list"],
        &["info"],
        &["create-partition", "x", "1M"],
        &["create-idsig", "x", "y"],
        &["check-feature-enabled", "network"],
    ] {
        for release in ["14", "15-QPR1", ""] {
            let mut command = vm();
            let (code, _, stderr) = outcome(command.args(args).args(["--wire", release]));
            assert_eq!(code, 2, "{args:?} {release}: {stderr}");
            let part = format!(
                "'{release}' for '--wire <RELEASE>'\n  [possible values: 15, 15-qpr1, 15-qpr2, 16, "
            );
            let part = if release.is_empty() {
                "'--wire <RELEASE>'".to_owned()
            } else {
                part
            };
            assert!(stderr.contains(&part), "{args:?} {release}: {stderr}");
        }
    }
    let (code, _, stderr) = run(GOOD, &["--wire", "15-qpr1", "--manager", "/nonexistent"]);
    assert!(code == 1 && stderr.contains("/nonexistent"), "{stderr}");
}

#[test]
fn a_device_tree_needs_a_file_that_can_be_written() {
    let args = [
        "--dump-device-tree",
        "/nonexistent/tree",
        "--manager",
        "/nonexistent",
    ];
    let (code, _, stderr) = run(GOOD, &args);
    assert_eq!(code, 1);
    assert_eq!(
        stderr,
        "error: cannot write --dump-device-tree /nonexistent/tree: No such file or directory (os error 2); \
         name a file that may be written, or one in a directory that may be\n"
    );
    // Nothing is left of one for a VM that cannot be run.
    let dir = TempDir::new().unwrap();
    let tree = dir.path().join("tree");
    let args = ["--dump-device-tree", tree.to_str().unwrap()];
    let (code, _, stderr) = run(GOOD, &[&args[..], &["--manager", "/nonexistent"]].concat());
    assert!(code == 1 && stderr.contains("/nonexistent"), "{stderr}");
    assert!(!tree.exists());
}

#[test]
fn a_manager_that_does_not_work_is_named() {
    let (code, _, stderr) = run(GOOD, &["--manager", "/nonexistent/virtmgr"]);
    assert_eq!(code, 1);
    assert!(
        stderr.contains("cannot run the VM manager /nonexistent/virtmgr"),
        "{stderr}"
    );
    let (code, _, stderr) = run(GOOD, &["--manager", "/bin/false"]);
    assert_eq!(code, 1);
    assert!(
        stderr.contains("/bin/false") && stderr.contains("exit status: 1"),
        "{stderr}"
    );
}

#[test]
fn info_is_the_same_as_other_programs_say() {
    let (code, stdout, _) = outcome(vm().args(["info", "--json"]));
    assert_eq!(code, 0);
    let info: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let uname = std::process::Command::new("uname")
        .arg("-r")
        .output()
        .unwrap();
    let release = String::from_utf8(uname.stdout).unwrap();
    let kernel = info["kernel"]["value"].as_str().unwrap();
    assert!(kernel.contains(release.trim()), "{kernel}");
    let vhost = info["vhost_vsock"]["available"].as_bool().unwrap();
    assert!(!vhost || Path::new("/dev/vhost-vsock").exists());

    let (code, table, _) = outcome(vm().args(["info"]));
    assert_eq!(code, 0);
    assert!(table.contains(release.trim()), "{table}");
    assert!(
        !table.contains('\x1b'),
        "colours for what is no terminal: {table:?}"
    );
}

#[test]
fn a_vmm_that_is_not_there_is_named() {
    let (_, stdout, _) = outcome(
        vm().args(["info", "--json"])
            .env("VIRTMGR_VMM", "/nonexistent/qemu-system-none"),
    );
    let info: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(info["vmm"]["available"], false);
    let value = info["vmm"]["value"].as_str().unwrap();
    assert!(value.contains("/nonexistent/qemu-system-none"), "{value}");
}

#[test]
fn the_vmm_is_the_one_that_the_managers_find() {
    let dir = TempDir::new().unwrap();
    let root = dir.path().canonicalize().unwrap();
    fs::create_dir_all(root.join("etc/avf")).unwrap();
    let property = "hypervisor.virtualizationmanager.crosvm_path=/opt/other_vmm\n";
    fs::write(root.join("etc/avf/build.prop"), property).unwrap();
    let program = root.join("opt/other_vmm");
    fs::create_dir_all(root.join("opt")).unwrap();
    fs::write(
        &program,
        "#!/bin/sh\n[ \"$1\" = version ] && echo crosvm 7\n",
    )
    .unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let (_, stdout, _) = outcome(vm().args(["info", "--json"]).env("VIRTMGR_ROOT", &root));
    let info: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let found = info["vmms"]["details"].as_array().unwrap();
    let named = found
        .iter()
        .find(|vmm| vmm["program"] == program.to_str().unwrap());
    assert_eq!(named.unwrap()["version"], "crosvm 7", "{stdout}");
}

/// A root directory with one list.
fn root(list: &str) -> TempDir {
    let dir = TempDir::new().unwrap();
    let avf = dir.path().join("system/etc/avf");
    fs::create_dir_all(&avf).unwrap();
    fs::write(avf.join("early_vms.xml"), list).unwrap();
    fs::create_dir_all(dir.path().join("system/bin")).unwrap();
    fs::write(dir.path().join("system/bin/demo"), "").unwrap();
    dir
}

fn entry(name: &str, cid: &str) -> String {
    format!("<early_vm><name>{name}</name><cid>{cid}</cid><path>/system/bin/demo</path></early_vm>")
}

#[test]
fn a_root_that_is_not_there_is_an_error() {
    let (code, _, stderr) = outcome(vm().arg("list").env("VIRTMGR_ROOT", "/no/such"));
    assert_eq!(code, 1);
    assert_eq!(
        stderr,
        "error: cannot use VIRTMGR_ROOT=/no/such: No such file or directory (os error 2); \
         name a directory that exists, or unset it\n"
    );
}

#[test]
fn good_lists_pass() {
    let list = format!(
        "<early_vms>{}{}</early_vms>",
        entry("a", "100"),
        entry("b", "199")
    );
    let dir = root(&list);
    let (code, stdout, stderr) = outcome(vm().args(["early", "check", "--root"]).arg(dir.path()));
    assert_eq!((code, stdout.as_str()), (0, ""), "{stderr}");
    assert!(stderr.contains("2 usable VMs"), "{stderr}");
    // The same by the variable that the manager reads.
    let (code, _, _) = outcome(
        vm().args(["early", "check"])
            .env("VIRTMGR_ROOT", dir.path()),
    );
    assert_eq!(code, 0);
}

#[test]
fn each_fault_has_its_line() {
    let list = format!(
        "<early_vms>\n{}\n{}\n{}\n</early_vms>",
        entry("a", "100"),
        entry("b", "200"),
        entry("c", "x")
    );
    let dir = root(&list);
    let (code, stdout, _) = outcome(vm().args(["early", "check", "--root"]).arg(dir.path()));
    assert_eq!(code, 1);
    let file = dir.path().join("system/etc/avf/early_vms.xml");
    for (line, value) in [(3, "200"), (4, "x")] {
        let place = format!("{}:{line}: ", file.display());
        let found = stdout.lines().find(|l| l.starts_with(&place));
        assert!(
            found.is_some_and(|l| l.contains(value)),
            "{place}{value}: {stdout}"
        );
    }
    assert!(!stdout.contains("early_vms.xml:2:"), "{stdout}");
}

#[test]
fn a_root_that_is_no_directory_is_an_error() {
    let (code, _, stderr) = outcome(vm().args(["early", "check", "--root", "/nonexistent"]));
    assert_eq!(code, 1);
    assert!(stderr.contains("/nonexistent"), "{stderr}");
}
