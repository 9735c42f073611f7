// SPDX-License-Identifier: Apache-2.0
//! The programs as they are shipped: what is in them, and what is not.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test panics"
)]

use std::fs;
use std::process::{Command, Stdio};
use system_tests::host::{self, Dist};

fn dist() -> Option<Dist> {
    Dist::find().map_err(|reason| skip::skip!("{reason}")).ok()
}

/// How often `needle` occurs in `hay` where the next byte satisfies `behind`.
fn count(hay: &[u8], needle: &str, behind: impl Fn(u8) -> bool) -> usize {
    hay.windows(needle.len() + 1)
        .filter(|w| w.starts_with(needle.as_bytes()) && behind(w[needle.len()]))
        .count()
}

#[test]
fn the_early_program_has_no_trace_of_the_global_service() {
    let Some(dist) = dist() else { return };
    let program = fs::read(dist.path("early_virtmgr")).unwrap();
    let any = |_| true;
    // What is there shows that looking works.
    assert!(
        count(
            &program,
            "android.system.virtualizationservice.IVirtualizationService",
            any
        ) > 0
    );
    assert!(count(&program, "early_vms", any) > 0);
    for absent in [
        "statsd",
        "package_native",
        "derive_classpath",
        "virtualizationservice_internal",
        "IPermissionController",
        "servicemanager",
    ] {
        assert_eq!(count(&program, absent, any), 0, "{absent}");
    }
    // The service's name is also the head of the names of interfaces, after which comes a dot.
    let name = "android.system.virtualizationservice";
    assert_eq!(count(&program, name, |byte| byte != b'.'), 0, "{name}");
}

#[test]
fn a_manager_refuses_a_wrong_environment() {
    let Some(dist) = dist() else { return };
    for program in ["virtmgr", "early_virtmgr"] {
        for (name, value, error) in [
            (
                "VIRTMGR_LOG",
                "verbose",
                "cannot use VIRTMGR_LOG=verbose: it is not a level; ",
            ),
            (
                "VIRTMGR_ROOT",
                "/no/such",
                "cannot use VIRTMGR_ROOT=/no/such: No such file or directory",
            ),
        ] {
            let options = vmclient::ManagerOptions::new(dist.path(program))
                .env(name, value)
                .stderr(vmclient::Stderr::Keep);
            let failed = vmclient::Manager::start(&options).unwrap_err();
            let text = format!("{:#}", anyhow::Error::new(failed));
            assert!(text.contains(error), "{program}: {text}");
        }
    }
}

#[test]
fn the_early_program_is_small_and_static() {
    let Some(dist) = dist() else { return };
    let path = dist.path("early_virtmgr");
    let size = fs::metadata(&path).unwrap().len();
    // The same as the benchmark wants.
    assert!(size < 3072 << 10, "{size} bytes");
    let output = Command::new("readelf")
        .args(["--program-headers", "--wide"])
        .arg(&path)
        .output();
    let Ok(output) = output else {
        skip::skip!("no readelf (package binutils)");
        return;
    };
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("LOAD"), "{text}");
    assert!(!text.contains("INTERP"), "it wants an interpreter: {text}");
}

#[test]
fn an_idle_manager_is_small() {
    host::run("an_idle_manager_is_small", |host| {
        let manager = host.early();
        let pss = system_tests::memory::proportional_kib(manager.process_id());
        assert!(pss < 3 * 1024, "{pss} KiB");
    });
}

#[test]
fn help_teaches() {
    let Some(dist) = dist() else { return };
    for (name, parts) in [
        (
            "early_virtmgr",
            &["--rpc-server-fd", "VIRTMGR_VMM", "vm run"][..],
        ),
        ("virtmgr", &["--rpc-server-fd", "IVirtualizationService"]),
        ("vm", &["run", "info", "early"]),
        ("vm_demo_native_early", &["--manager", "--timeout"]),
    ] {
        let output = Command::new(dist.path(name))
            .arg("--help")
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{name}: {text}");
        for part in parts {
            assert!(
                text.contains(part),
                "{name} --help does not mention {part}: {text}"
            );
        }
        let version = Command::new(dist.path(name))
            .arg("--version")
            .output()
            .unwrap();
        assert!(
            String::from_utf8_lossy(&version.stdout).contains(env!("CARGO_PKG_VERSION")),
            "{name}"
        );
    }
}

/// The demo as a user runs it, with its standard output in `stdout`.
fn demo(dist: &Dist, args: &[&str], stdout: Stdio) -> std::process::Output {
    Command::new(dist.path("root/system/bin/vm_demo_native_early"))
        .env("VIRTMGR_ROOT", dist.path("root"))
        .arg("--manager")
        .arg(dist.path("early_virtmgr"))
        .args(args)
        .stdout(stdout)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap()
}

#[test]
fn the_demo_prints_json_alone_and_survives_a_full_output() {
    let Some(dist) = dist() else { return };
    let output = demo(&dist, &["--json"], Stdio::piped());
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(stdout.lines().count(), 1, "{stdout}");
    assert!(
        stdout.starts_with('{') && stdout.ends_with("}\n"),
        "{stdout}"
    );
    assert!(stdout.contains("\"answer\":30"), "{stdout}");

    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = demo(&dist, &[], full.into());
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    assert!(
        stderr.contains("vm_demo_native_early: cannot write to standard output: No space left"),
        "{stderr}"
    );
}
