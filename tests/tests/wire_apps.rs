// SPDX-License-Identifier: Apache-2.0
//! App configs of every release, written from the contract and not by generated code: what a client
//! does to run a payload from an APK, from its idsig to its end.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test panics"
)]

use rsbinder::ParcelFileDescriptor;
use std::path::Path;
use system_tests::app::{Apps, PAYLOAD, fd, writable};
use system_tests::host::{self, Host, VM};
use system_tests::raw_client::{ON_DIED, Part, RawClient};
use system_tests::raw_vm::ReadyVm;
use wire_bytes::guest::{App, CPUS, MEMORY_MIB, app_config};
use wire_bytes::{Layout, Value, Writer};

/// `PartitionType`.
const ANDROID_VM_INSTANCE: i32 = 1;
const ENCRYPTEDSTORE: i32 = 2;
/// `DeathReason.KILLED`.
const KILLED: i32 = 1;
/// The app, whose files are those that [`make`] makes.
const APP: App<'_> = App {
    name: VM,
    apk: 0,
    idsig: 1,
    instance: 2,
    binary: PAYLOAD,
};
/// Bytes of images.
const IMAGE: i32 = 10 << 20;

fn image(path: &Path) -> ParcelFileDescriptor {
    ParcelFileDescriptor::new(writable(path))
}

/// What a client makes before it asks for a VM: the APK's idsig, an instance image.
fn make(client: &RawClient, host: &Host, apk: &Path) -> [ParcelFileDescriptor; 3] {
    let path = |kind: &str| {
        host.scratch()
            .join(format!("{}.{kind}", client.layout.name()))
    };
    let idsig = image(&path("idsig"));
    client
        .service(
            "createOrUpdateIdsigFile",
            &[Part::File(&fd(apk)), Part::File(&idsig)],
        )
        .unwrap()
        .void();
    let instance = image(&path("instance"));
    let storage = image(&path("storage"));
    for (file, kind) in [(&instance, ANDROID_VM_INSTANCE), (&storage, ENCRYPTEDSTORE)] {
        let words = [IMAGE, 0, kind];
        client
            .service(
                "initializeWritablePartition",
                &[Part::File(file), Part::Words(&words)],
            )
            .unwrap()
            .void();
    }
    if client
        .layout
        .service_code("setEncryptedStorageSize")
        .is_some()
    {
        let words = [2 * IMAGE, 0];
        client
            .service(
                "setEncryptedStorageSize",
                &[Part::File(&storage), Part::Words(&words)],
            )
            .unwrap()
            .void();
        let size = path("storage").metadata().unwrap().len();
        assert_eq!(size, u64::from(IMAGE.unsigned_abs()) * 2);
    }
    [fd(apk), idsig, instance]
}

fn run(host: &Host, apk: &Path, layout: Layout) {
    let name = layout.name();
    let client = RawClient::start(host, "virtmgr", layout);
    let files = make(&client, host, apk);
    let streams = vec![Value::Null; layout.files()];
    let message = Writer::default().create_vm(layout, &app_config(layout, &APP), &streams);
    let vm = client
        .service("createVm", &[Part::Message(&message, &files)])
        .unwrap_or_else(|e| panic!("{name}: createVm: {e:?}\n{}", client.log()))
        .object();
    let ready = ReadyVm::start(&client, vm);
    let demo = ready.service(&client);
    assert_eq!(demo.addInteger(40, 2).unwrap(), 42, "{name}");
    let read = |path: &str| String::from_utf8(demo.readFile(path).unwrap()).unwrap();
    let memory = read("/proc/meminfo");
    let kib: i32 = memory.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(
        (MEMORY_MIB - 100..=MEMORY_MIB).contains(&(kib / 1024)),
        "{name}: {kib} KiB"
    );
    let cpus = read("/proc/cpuinfo").matches("processor\t:").count();
    let expected = match layout {
        Layout::A15 | Layout::A15Qpr1 | Layout::A15Qpr2 => {
            std::thread::available_parallelism().unwrap().get()
        }
        _ => usize::try_from(CPUS).unwrap(),
    };
    assert_eq!(cpus, expected, "{name}");
    let params = read("/proc/cmdline");
    let has_extra = params.split_whitespace().any(|word| word == "wire.extra=1");
    assert_eq!(has_extra, layout != Layout::A15, "{name}: {params}");
    client.machine(&ready.vm, "stop", &[]).unwrap().void();
    assert_eq!(
        ready.calls.wait(ON_DIED, &client),
        [ready.cid, KILLED],
        "{name}"
    );
    drop((demo, ready));
    client.close();
}

/// Without a custom config, 15 and 15 QPR1 write the same createVm: the calls after it tell them apart.
fn run_plain(host: &Host, apk: &Path, layout: Layout) {
    let name = layout.name();
    let client = RawClient::start(host, "virtmgr", layout);
    let files = make(&client, host, apk);
    let mut config = app_config(layout, &APP);
    let place = layout
        .app_config()
        .fields
        .iter()
        .position(|field| field.name == "customConfig");
    let Value::Union(_, fields) = &mut config else {
        panic!("{config:?}");
    };
    let Value::Parcelable(values) = &mut **fields else {
        panic!("{fields:?}");
    };
    values[place.unwrap()] = Value::Null;
    let streams = vec![Value::Null; layout.files()];
    let message = Writer::default().create_vm(layout, &config, &streams);
    let answer = client.service("createVm", &[Part::Message(&message, &files)]);
    let vm = answer
        .unwrap_or_else(|e| panic!("{name}: {e:?}\n{}", client.log()))
        .object();
    client.expect_in_log(&["speaks the wire of Android 15 or Android 15 QPR1, by createVm"]);
    let ready = ReadyVm::start(&client, vm);
    // connectVsock has another code in each; setMemoryBalloon of 15 QPR1 has that of 15.
    let demo = ready.service(&client);
    assert_eq!(demo.addInteger(40, 2).unwrap(), 42, "{name}");
    client.expect_in_log(&[&format!(
        "speaks the wire of {}, by connectVsock",
        title(layout)
    )]);
    if layout.machine_code("suspend").is_some() {
        client.machine(&ready.vm, "suspend", &[]).unwrap().void();
        client.machine(&ready.vm, "resume", &[]).unwrap().void();
        assert_eq!(demo.addInteger(1, 2).unwrap(), 3, "{name}");
    }
    client.machine(&ready.vm, "stop", &[]).unwrap().void();
    assert_eq!(
        ready.calls.wait(ON_DIED, &client),
        [ready.cid, KILLED],
        "{name}"
    );
    drop((demo, ready));
    client.close();
}

fn title(layout: Layout) -> &'static str {
    if layout == Layout::A15 {
        "Android 15"
    } else {
        "Android 15 QPR1"
    }
}

#[test]
fn apps_of_releases_that_write_the_same() {
    host::run("apps_of_releases_that_write_the_same", |host| {
        let Some(apps) = Apps::new(host) else { return };
        let apk = apps.apk("app.apk", &[apps.payload()]);
        for layout in [Layout::A15, Layout::A15Qpr1] {
            run_plain(host, &apk, layout);
        }
    });
}

#[test]
fn apps_of_every_release() {
    host::run("apps_of_every_release", |host| {
        let Some(apps) = Apps::new(host) else { return };
        let apk = apps.apk("app.apk", &[apps.payload()]);
        for layout in Layout::ALL {
            run(host, &apk, layout);
        }
    });
}
