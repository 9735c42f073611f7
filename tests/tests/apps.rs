// SPDX-License-Identifier: Apache-2.0
//! App configs with real guests: the payload comes out of an APK that apksigner signed, with idsig
//! and instance image of the manager's.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test panics"
)]

use apk_builder::Entry;
use avf_aidl::service::VirtualMachineAppConfig;
use avf_aidl::service::VirtualMachinePayloadConfig;
use avf_aidl::service::app_config::{CustomConfig, Payload};
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use system_tests::app::{Apps, PAYLOAD, fd, start, writable};
use system_tests::guest::{PATIENCE, service};
use system_tests::host::{self, Host};
use vmclient::console::Console;
use vmclient::{DeathReason, Manager, Streams};

/// What a verified-boot structure made by avbtool says; see the crate `vbmeta`.
const VENDOR: &[u8] = include_bytes!("../../crates/vbmeta/tests/data/rsa2048-sha256.vbmeta");
const VENDOR_DIGEST: &str = "926b50c308bb0c2dad770e7a65cf5345859be517bcb9348d4a8b74cb7af82bb1";

/// Runs a VM to its end; returns its death reason and what its guest logged.
fn run(manager: &Manager, app: VirtualMachineAppConfig) -> (DeathReason, String) {
    let (log, log_out) = Console::new(&[], None).unwrap();
    let streams = Streams {
        log: Some(log_out),
        ..Streams::default()
    };
    let vm = start(manager, app, streams);
    let death = vm.wait_for_death(Some(PATIENCE)).unwrap().unwrap();
    drop(vm);
    (death, log.finish())
}

/// Runs the demo's payload to its answer.
fn answer(manager: &Manager, app: VirtualMachineAppConfig) {
    let vm = start(manager, app, Streams::default());
    let service = service(manager, &vm);
    assert_eq!(service.addInteger(10, 20).unwrap(), 30);
    // The guest may be gone before it could answer.
    let _ = service.quit();
    let death = vm.wait_for_death(Some(PATIENCE)).unwrap();
    assert_eq!(death, Some(DeathReason::Shutdown), "{}", manager.log());
}

#[test]
fn the_payload_of_an_apk_answers() {
    host::run("the_payload_of_an_apk_answers", |host| {
        let Some(apps) = Apps::new(host) else { return };
        let json = format!(r#"{{ "task": {{ "command": "{PAYLOAD}" }} }}"#);
        let config = Entry::file("assets/vm_config.json", json);
        let apk = apps.apk("app.apk", &[config, apps.payload()]);
        let manager = host.early();
        let idsig = apps.idsig(&manager, &apk);
        let instance = apps.instance(&manager, "instance.img");
        let files = [&apk, &idsig, &instance].map(|path| path.as_path());
        answer(&manager, apps.config(files, PAYLOAD));
        // Named by the APK's own configuration, and with an instance that knows it.
        let mut app = apps.config(files, "");
        app.payload = Payload::ConfigPath("assets/vm_config.json".into());
        answer(&manager, app);
    });
}

#[test]
fn a_changed_byte_is_refused() {
    host::run("a_changed_byte_is_refused", |host| {
        let Some(apps) = Apps::new(host) else { return };
        let apk = apps.apk("app.apk", &[apps.payload()]);
        let manager = host.early();
        let idsig = apps.idsig(&manager, &apk);
        let instance = apps.instance(&manager, "instance.img");
        let file = writable(&apk);
        let place = file.metadata().unwrap().len() / 2;
        let mut byte = [0];
        file.read_exact_at(&mut byte, place).unwrap();
        file.write_all_at(&[byte[0] ^ 1], place).unwrap();
        let files = [&apk, &idsig, &instance].map(|path| path.as_path());
        let (death, log) = run(&manager, apps.config(files, PAYLOAD));
        assert_eq!(
            death,
            DeathReason::MicrodroidPayloadVerificationFailed,
            "{log}"
        );
        assert!(log.contains("the APK: the file's root hash is"), "{log}");
        println!("one byte changed: {death:?}; the guest's log:\n{log}");
        // It was the byte.
        file.write_all_at(&byte, place).unwrap();
        answer(&manager, apps.config(files, PAYLOAD));
    });
}

#[test]
fn an_instance_keeps_to_its_payload() {
    host::run("an_instance_keeps_to_its_payload", |host| {
        let Some(apps) = Apps::new(host) else { return };
        let manager = host.early();
        let made = |name: &str, entries: &[Entry]| {
            let apk = apps.apk(name, entries);
            let idsig = apps.idsig(&manager, &apk);
            (apk, idsig)
        };
        let first = made("first.apk", &[apps.payload()]);
        let second = made("second.apk", &[apps.payload(), Entry::file("more", "text")]);
        let instance = apps.instance(&manager, "instance.img");
        let config = |of: &(std::path::PathBuf, std::path::PathBuf), instance: &Path| {
            apps.config([&of.0, &of.1, instance], PAYLOAD)
        };
        answer(&manager, config(&first, &instance));
        let (death, log) = run(&manager, config(&second, &instance));
        assert_eq!(death, DeathReason::MicrodroidPayloadHasChanged, "{log}");
        println!("another payload: {death:?}; the guest's log:\n{log}");
        answer(&manager, config(&first, &instance));
        answer(
            &manager,
            config(&second, &apps.instance(&manager, "another.img")),
        );
    });
}

/// Shows the payload disk's partitions and the host's properties.
const SHOW: &str = "#!/bin/sh
for disk in /dev/vd?; do
    echo \"disk $disk\"
    sgdisk -p \"$disk\"
done
echo \"parameters: $(cat /proc/cmdline)\"
for file in untrusted/instance-id vendor_hashtree_descriptor_root_digest; do
    [ -e \"/run/avf/$file\" ] && echo \"$file: $(cat /run/avf/$file | tr -d '\\000')\"
done
echo shown
";

/// Puts programs of this machine into an initial RAM disk, with the libraries that they need.
fn add_programs(host: &Host, initrd: &Path, programs: &[(&str, &str)]) -> bool {
    let staging = host.scratch().join("initrd");
    for (program, place) in programs {
        let Ok(found) = Command::new("sh")
            .args([
                "-c",
                &format!("PATH=$PATH:/usr/sbin:/sbin command -v {program}"),
            ])
            .output()
        else {
            return false;
        };
        let path = String::from_utf8(found.stdout).unwrap();
        if path.trim().is_empty() {
            skip::skip!("no {program}");
            return false;
        }
        copy(Path::new(path.trim()), &staging.join(place));
        let libraries = Command::new("ldd").arg(path.trim()).output().unwrap();
        for word in String::from_utf8(libraries.stdout)
            .unwrap()
            .split_whitespace()
        {
            if let Some(below) = word.strip_prefix('/') {
                copy(Path::new(word), &staging.join(below));
            }
        }
    }
    // The kernel unpacks archives that follow each other.
    let mut both = fs::read(initrd).unwrap();
    both.resize(both.len().next_multiple_of(512), 0);
    let script = "find . | LC_ALL=C sort | cpio -o -H newc --quiet";
    let archive = Command::new("sh")
        .args(["-c", script])
        .current_dir(&staging)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(archive.status.success());
    both.extend(archive.stdout);
    // It was a link to the distribution's.
    fs::remove_file(initrd).unwrap();
    fs::write(initrd, both).unwrap();
    true
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(from, to).unwrap_or_else(|e| panic!("{}: {e}", from.display()));
}

/// The names in the last column of what `sgdisk -p` prints of the disk that has `first`.
fn labels<'a>(log: &'a str, first: &str) -> Vec<&'a str> {
    log.split("disk /dev/vd")
        .map(|disk| {
            disk.lines()
                .filter(|line| line.trim_start().starts_with(|c: char| c.is_ascii_digit()))
                .filter_map(|line| line.split_whitespace().nth(6))
                .collect::<Vec<_>>()
        })
        .find(|labels| labels.first() == Some(&first))
        .unwrap_or_default()
}

#[test]
fn the_payload_disk_is_in_order() {
    host::run("the_payload_disk_is_in_order", |host| {
        let Some(apps) = Apps::new(host) else { return };
        let programs = [
            ("sgdisk", "sbin/sgdisk"),
            ("sh", "bin/sh"),
            ("cat", "bin/cat"),
            ("tr", "bin/tr"),
        ];
        if !add_programs(host, &apps.initrd(), &programs) {
            return;
        }
        // Five APEXes: three that are named, the debugger's, one with libraries.
        let list: String = [
            "com.b",
            "com.a",
            "com.android.adbd",
            "com.c",
            "lib",
            "com.unwanted",
        ]
        .iter()
        .map(|name| {
            fs::write(host.scratch().join(name), vec![7; 5000]).unwrap();
            format!(
                "<apex-info moduleName=\"{name}\" modulePath=\"/scratch/{name}\" \
                     preinstalledModulePath=\"/system/apex/{name}.apex\" versionCode=\"1\" \
                     versionName=\"\" isFactory=\"true\" isActive=\"true\" \
                     lastUpdateMillis=\"7\" provideSharedApexLibs=\"{}\" partition=\"SYSTEM\"/>",
                *name == "lib"
            )
        })
        .collect();
        fs::create_dir_all(host.root.join("apex")).unwrap();
        fs::write(
            host.root.join("apex/apex-info-list.xml"),
            format!("<?xml version=\"1.0\"?><apex-info-list>{list}</apex-info-list>"),
        )
        .unwrap();
        let manager = host.manager("virtmgr");
        let extras = ["one.apk", "two.apk"].map(|name| {
            let apk = apps.apk(name, &[Entry::file("name", name)]);
            let idsig = apps.idsig(&manager, &apk);
            (apk, idsig)
        });
        let json = r#"{ "task": { "command": "show.sh" },
            "apexes": [ { "name": "com.a" }, { "name": "com.c" }, { "name": "com.b" } ],
            "extra_apks": [ { "path": "/scratch/one.apk" }, { "path": "/scratch/two.apk" } ] }"#;
        let entries = [
            Entry::library("show.sh", SHOW.into()),
            Entry::file("config.json", json),
        ];
        let apk = apps.apk("app.apk", &entries);
        let idsig = apps.idsig(&manager, &apk);
        let instance = apps.instance(&manager, "instance.img");
        let storage = apps.instance(&manager, "storage.img");
        let vendor = host.scratch().join("vendor.img");
        fs::write(&vendor, VENDOR).unwrap();
        let app = VirtualMachineAppConfig {
            instanceId: [b'i'; 64],
            payload: Payload::ConfigPath("config.json".into()),
            extraIdsigs: extras.iter().map(|(_, idsig)| fd(idsig)).collect(),
            encryptedStorageImage: Some(rsbinder::ParcelFileDescriptor::new(writable(&storage))),
            customConfig: Some(CustomConfig {
                vendorImage: Some(fd(&vendor)),
                extraKernelCmdlineParams: vec!["one=1".into(), "two=2".into()],
                ..Default::default()
            }),
            ..apps.config([&apk, &idsig, &instance], "")
        };
        let (death, log) = run(&manager, app);
        assert_eq!(death, DeathReason::Shutdown, "{log}");
        println!("{log}");
        assert_eq!(
            labels(&log, "payload-metadata"),
            [
                "payload-metadata",
                "microdroid-apex-0",
                "microdroid-apex-1",
                "microdroid-apex-2",
                "microdroid-apex-3",
                "microdroid-apex-4",
                "microdroid-apk",
                "microdroid-apk-idsig",
                "extra-apk-0",
                "extra-idsig-0",
                "extra-apk-1",
                "extra-idsig-1",
            ],
        );
        assert_eq!(
            labels(&log, "vm-instance"),
            ["vm-instance", "encryptedstore"]
        );
        assert_eq!(labels(&log, "microdroid-vendor"), ["microdroid-vendor"]);
        let says = |text: &str| assert!(log.contains(text), "no {text:?} in\n{log}");
        says("avf.app androidboot.microdroid.mount_vendor=1 one=1 two=2");
        says("extra APK 1 verified");
        if log.contains("the host gives no properties") {
            skip::skip!("crosvm gives properties in a device tree, which this kernel has not");
            return;
        }
        says(&format!("untrusted/instance-id: {}", "i".repeat(64)));
        says(&format!(
            "vendor_hashtree_descriptor_root_digest: {VENDOR_DIGEST}"
        ));
    });
}

/// A client that names the further APKs itself, of which one does not match its idsig.
#[test]
fn every_extra_apk_is_verified() {
    host::run("every_extra_apk_is_verified", |host| {
        let Some(apps) = Apps::new(host) else { return };
        let manager = host.early();
        let [apk, one, two] = ["app.apk", "one.apk", "two.apk"].map(|name| {
            let apk = apps.apk(name, &[apps.payload(), Entry::file("name", name)]);
            let idsig = apps.idsig(&manager, &apk);
            (apk, idsig)
        });
        let instance = apps.instance(&manager, "instance.img");
        let app = VirtualMachineAppConfig {
            extraIdsigs: vec![fd(&one.1), fd(&one.1)],
            payload: Payload::PayloadConfig(VirtualMachinePayloadConfig {
                payloadBinaryName: PAYLOAD.into(),
                extraApks: vec![fd(&one.0), fd(&two.0)],
            }),
            ..apps.config([&apk.0, &apk.1, &instance], PAYLOAD)
        };
        let (death, log) = run(&manager, app);
        assert_eq!(
            death,
            DeathReason::MicrodroidPayloadVerificationFailed,
            "{log}"
        );
        assert!(log.contains("extra APK 0 verified"), "{log}");
        assert!(
            log.contains("extra APK 1: the file's root hash is"),
            "{log}"
        );
    });
}
