// SPDX-License-Identifier: Apache-2.0
//! What managers refuse: with which words, and without leaving anything. No guest is started.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test panics"
)]

use avf_aidl::service::{PartitionType, VirtualMachineAppConfig, VirtualMachineConfig};
use rsbinder::{ExceptionCode, ParcelFileDescriptor};
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use system_tests::guest::{config, create};
use system_tests::host::{self, CLIENT, Dist, Host, Outside, VM, inner};
use system_tests::refusal::{expect, no_directories, refusal};
use vmclient::{Manager, ManagerOptions, Stderr};

#[test]
fn methods_of_the_global_service_are_unsupported() {
    host::run("methods_of_the_global_service_are_unsupported", |host| {
        let manager = host.early();
        let service = manager.service();
        let id = [0; 64];
        let app = VirtualMachineConfig::AppConfig(VirtualMachineAppConfig {
            name: VM.into(),
            ..Default::default()
        });
        for (method, answer) in [
            ("allocateInstanceId", service.allocateInstanceId().map(drop)),
            ("debugListVms", service.debugListVms().map(drop)),
            (
                "getAssignableDevices",
                service.getAssignableDevices().map(drop),
            ),
            ("enableTestAttestation", service.enableTestAttestation()),
            (
                "isRemoteAttestationSupported",
                service.isRemoteAttestationSupported().map(drop),
            ),
            ("removeVmInstance", service.removeVmInstance(&id)),
            ("claimVmInstance", service.claimVmInstance(&id)),
        ] {
            let status = answer.unwrap_err();
            assert_eq!(
                status.exception_code(),
                ExceptionCode::UnsupportedOperation,
                "{method}"
            );
            assert_eq!(
                status.message(),
                Some(format!("early_virtmgr doesn't support {method}").as_str())
            );
        }
        // An app config without its files cannot even be sent, so the refusal may come from either
        // side; what counts is that it is one.
        assert!(service.createVm(&app, None, None, None, None).is_err());
        assert!(!service.isUpdatableVmSupported().unwrap());
        assert!(!service.isFeatureEnabled("com.android.kvm.NETWORK").unwrap());
        assert!(!service.isFeatureEnabled("no.such.feature").unwrap());
        assert!(service.getSupportedOSList().unwrap().is_empty());
        let image = ParcelFileDescriptor::new(File::create(host.scratch().join("image")).unwrap());
        service
            .initializeWritablePartition(&image, 5000, PartitionType::ENCRYPTEDSTORE)
            .unwrap();
        let bytes = fs::read(host.scratch().join("image")).unwrap();
        assert_eq!(bytes.len(), 8192);
        assert!(bytes.starts_with(b"UNFORMATTED-STORAGE\0"));
    });
}

/// Creates the VM of the list and answers with the refusal.
fn refused_early_vm(host: &Host) -> String {
    let manager = host.early();
    let (_, message) = refusal(
        &manager,
        &VirtualMachineConfig::RawConfig(config(host, &[])),
    );
    no_directories(&host.root);
    message
}

/// Runs a client with wrong lists, and checks its errors.
fn with_list(test: &str, prepare: impl Fn(&Outside), parts: &[&str]) {
    if let Some(host) = inner() {
        println!("refusal: {}", refused_early_vm(&host));
        return;
    }
    if let Err(reason) = Dist::find() {
        skip::skip!("{reason}");
        return;
    }
    let outside = Outside::new(test);
    prepare(&outside);
    let output = outside.client().output().unwrap();
    outside.expect_nothing_left();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for part in parts {
        assert!(text.contains(part), "{text:?} does not contain {part:?}");
    }
}

/// An entry of a list.
fn entry(name: &str, cid: &str, path: &str) -> String {
    format!("<early_vm><name>{name}</name><cid>{cid}</cid><path>{path}</path></early_vm>")
}

fn file(entries: &[String]) -> String {
    format!("<early_vms>{}</early_vms>", entries.concat())
}

macro_rules! lists {
    ($($name:ident: $prepare:expr => $parts:expr;)*) => {
        $(#[test]
        fn $name() {
            with_list(stringify!($name), $prepare, &$parts);
        })*
    };
}

lists! {
    a_missing_list: |o| fs::remove_file(o.root().join("system/etc/avf/early_vms.xml")).unwrap()
        => ["system", "early_vms*.xml"];
    a_malformed_list: |o| o.write_list("early_vms.xml", "<early_vms>") => ["early_vms.xml:1:", "XML"];
    a_list_with_a_doctype: |o| o.write_list("early_vms.xml", &format!("<!DOCTYPE early_vms>\n{}", host::list()))
        => ["early_vms.xml:1:", "DOCTYPE"];
    an_undeclared_vm: |o| o.write_list("early_vms.xml", &file(&[entry("other", "150", CLIENT)]))
        => [VM, "not declared", "other"];
    a_name_twice: |o| o.write_list("early_vms.xml", &file(&[entry(VM, "150", CLIENT), entry(VM, "151", CLIENT)]))
        => [VM, "twice"];
    a_name_twice_in_two_files: |o| o.write_list("early_vms_more.xml", &file(&[entry(VM, "151", CLIENT)]))
        => [VM, "twice", "early_vms_more.xml"];
    a_cid_twice: |o| o.write_list("early_vms.xml", &file(&[entry(VM, "150", CLIENT), entry("other", "150", CLIENT)]))
        => [VM, "other", "150"];
    a_cid_out_of_range: |o| o.write_list("early_vms.xml", &file(&[entry(VM, "200", CLIENT)]))
        => [VM, "200", "100", "199"];
    a_negative_cid: |o| o.write_list("early_vms.xml", &file(&[entry(VM, "-5", CLIENT)])) => [VM, "-5"];
    the_wrong_executable: |o| o.write_list("early_vms.xml", &file(&[entry(VM, "150", "/system/bin/other")]))
        => ["VM 'vm_test' in partition 'system' must be created with '/system/bin/other', not '/system/bin/client'"];
}

#[test]
fn a_deleted_executable() {
    if let Some(host) = inner() {
        // The client's own executable goes while it runs.
        fs::remove_file(host.root.join(&CLIENT[1..])).unwrap();
        fs::write(host.root.join(&CLIENT[1..]), "another").unwrap();
        let message = refused_early_vm(&host);
        assert!(
            message.contains("deleted or replaced") || message.contains("was replaced"),
            "{message}"
        );
        return;
    }
    host::run("a_deleted_executable", |_| {});
}

#[test]
fn a_bad_entry_harms_no_other() {
    if let Some(host) = inner() {
        let manager = host.early();
        let vm = create(&manager, config(&host, &[])).unwrap();
        assert_eq!(vm.cid(), host::CID);
        host::expect_in_log(&manager, "early_vms_bad.xml:1: VM 'bad'");
        return;
    }
    if let Err(reason) = Dist::find() {
        skip::skip!("{reason}");
        return;
    }
    let outside = Outside::new("a_bad_entry_harms_no_other");
    outside.write_list("early_vms_bad.xml", &file(&[entry("bad", "9", CLIENT)]));
    let status = outside.client().status().unwrap();
    outside.expect_nothing_left();
    assert!(status.success());
}

#[test]
fn the_same_vm_twice() {
    host::run("the_same_vm_twice", |host| {
        let (first, second) = (host.early(), host.early());
        let vm = create(&first, config(host, &[])).unwrap();
        let me = std::process::id();
        let wanted = format!(
            "VM '{VM}' (CID {}) is already running, started by pid {me}",
            host::CID
        );
        for manager in [&first, &second] {
            let (_, message) =
                refusal(manager, &VirtualMachineConfig::RawConfig(config(host, &[])));
            assert_eq!(message, wanted);
        }
        // The first is unharmed, and its end makes room.
        assert_eq!(vm.cid(), host::CID);
        drop(vm);
        drop(first);
        create(&second, config(host, &[])).unwrap();
    });
}

#[test]
fn no_vmm() {
    host::run("no_vmm", |host| {
        let start = |name: &str, value: &Path| {
            let options = ManagerOptions::new(host.dist.path("early_virtmgr"))
                .env(name, value)
                .stderr(Stderr::Keep);
            Manager::start(&options).unwrap()
        };
        let service = ExceptionCode::ServiceSpecific;
        let nowhere = start("PATH", Path::new("/nonexistent"));
        expect(
            &nowhere,
            config(host, &[]),
            service,
            &["no executable qemu-system-", "VIRTMGR_VMM"],
        );
        let missing = start("VIRTMGR_VMM", Path::new("/nonexistent/qemu-system-x86_64"));
        expect(
            &missing,
            config(host, &[]),
            service,
            &["VIRTMGR_VMM=/nonexistent/qemu-system-x86_64"],
        );
        let odd = start("VIRTMGR_VMM", Path::new("/bin/true"));
        expect(&odd, config(host, &[]), service, &["VIRTMGR_VMM=/bin/true"]);
        no_directories(&host.root);
    });
}

#[test]
fn a_vmm_that_fails_says_why() {
    host::run("a_vmm_that_fails_says_why", |host| {
        // No real VMM can be made to fail in its own words without being broken.
        let fake = host.scratch().join("qemu-system-fake");
        fs::write(
            &fake,
            "#!/bin/sh\necho 'fake: the moon is in the wrong phase' >&2\nexit 1\n",
        )
        .unwrap();
        fs::set_permissions(&fake, fs::Permissions::from_mode(0o755)).unwrap();
        let options = ManagerOptions::new(host.dist.path("early_virtmgr"))
            .env("VIRTMGR_VMM", &fake)
            .stderr(Stderr::Keep);
        let manager = Manager::start(&options).unwrap();
        let vm = create(&manager, config(host, &[])).unwrap();
        let error = vm.start().unwrap_err();
        let text = format!("{error:?}");
        assert!(
            text.contains("the moon is in the wrong phase") && text.contains("exit status 1"),
            "{text}"
        );
        let death = vm
            .wait_for_death(Some(system_tests::guest::PATIENCE))
            .unwrap();
        assert_eq!(death, Some(vmclient::DeathReason::StartFailed));
        no_directories(&host.root);
    });
}

#[test]
fn wrong_descriptors() {
    let dist = match Dist::find() {
        Ok(dist) => dist,
        Err(reason) => {
            skip::skip!("{reason}");
            return;
        }
    };
    for name in ["virtmgr", "early_virtmgr"] {
        // The shell hands 7 on as a file, 8 as a pipe, and nothing as 9.
        let run = |args: &str| {
            let line = format!(
                "exec 7</dev/null 8> >(cat >/dev/null); exec {} {args}",
                dist.path(name).display()
            );
            let output = Command::new("bash").args(["-c", &line]).output().unwrap();
            assert!(!output.status.success(), "{args}: it succeeded");
            let text = String::from_utf8(output.stderr).unwrap();
            assert_eq!(text.lines().count(), 1, "{args}: {text}");
            text
        };
        for (args, part) in [
            ("", "--rpc-server-fd is missing"),
            ("--rpc-server-fd 7", "--ready-fd is missing"),
            ("--rpc-server-fd 7 --ready-fd 7", "both 7"),
            ("--rpc-server-fd 1 --ready-fd 8", "standard"),
            ("--rpc-server-fd 9 --ready-fd 8", "--rpc-server-fd 9"),
            ("--rpc-server-fd 7 --ready-fd 8", "Unix stream socket"),
            ("--rpc-server-fd 8 --ready-fd 7", "Unix stream socket"),
            ("--rpc-server-fd x --ready-fd 8", "--rpc-server-fd x"),
        ] {
            let text = run(args);
            assert!(text.contains(part), "{args:?} gave {text:?}");
            assert!(text.starts_with(name));
        }
    }
}
