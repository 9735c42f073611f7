// SPDX-License-Identifier: Apache-2.0
//! Clients of different releases at once, clients that mix releases, and arguments that are of no
//! release: each is answered by an exception that says why, and the session goes on.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test panics"
)]

use std::time::{Duration, Instant};
use system_tests::host::{self, Host};
use system_tests::raw_client::{Answer, Failure, Part, RawClient};
use system_tests::raw_vm::{Files, READY, ReadyVm};
use system_tests::refusal::no_directories;
use wire_bytes::methods::{MACHINE, SERVICE};
use wire_bytes::random::MAX_DESCRIPTORS;
use wire_bytes::schema::Type;
use wire_bytes::writer::{Insertion, Mark};
use wire_bytes::{Layout, Message, Value, Writer};

/// How long an answer to bad input may take on a busy machine.
const BOUND: Duration = Duration::from_secs(10);
/// By how many KiB bad input may make the manager grow: 1 MiB, and as much for buffers of its session.
const GROWTH: u64 = 2048;
/// The releases by the names that errors have for them.
const TITLES: [&str; 9] = [
    "Android 15",
    "Android 15 QPR1",
    "Android 15 QPR2",
    "Android 16",
    "Android 16 QPR1/QPR2",
    "Android main after 16 QPR2",
    "Android 17 preview",
    "Android 17",
    "Android 17 (API 37.1)",
];
/// A VM's descriptors other than partitions: kernel, initial RAM disk, console, input, log.
const OTHERS: usize = 5;
/// What no client enables by asking.
const ENABLE: &str = "enableTestAttestation";
/// One of each generation.
const SOME: [Layout; 4] = [Layout::A15, Layout::A15Qpr1, Layout::A16, Layout::A17_1];

fn text(text: &str) -> Vec<i32> {
    let mut writer = Writer::default();
    writer.value(&Type::Text, &Value::text(text));
    writer.finish().words()
}

/// The text of the exception that a call must be answered with.
fn refused(what: &str, answer: Result<Answer, Failure>) -> String {
    match answer {
        Err(Failure::Exception { text, .. }) if !text.is_empty() => text,
        other => panic!("{what}: {other:?}"),
    }
}

/// The session still works.
fn expect_alive(client: &RawClient, what: &str) {
    let name = text("com.android.kvm.VENDOR_MODULES");
    let answer = client.service("isFeatureEnabled", &[Part::Words(&name)]);
    let answer = answer.unwrap_or_else(|e| panic!("after {what}: {e:?}\n{}", client.log()));
    assert!((0..=1).contains(&answer.int()), "after {what}");
}

#[test]
fn clients_of_two_releases_at_once() {
    host::run("clients_of_two_releases_at_once", |host| {
        let clients = [Layout::A15, Layout::A17_1].map(|layout| {
            let client = RawClient::start(host, "virtmgr", layout);
            let files = Files::new(host, layout.name(), &[]);
            (client, files)
        });
        let vms = clients
            .each_ref()
            .map(|(client, files)| files.create(client).unwrap());
        let ready: Vec<_> = clients
            .iter()
            .zip(vms)
            .map(|((client, _), vm)| ReadyVm::start(client, vm))
            .collect();
        assert_ne!(ready[0].cid, ready[1].cid);
        for ((client, _), vm) in clients.iter().zip(&ready) {
            let demo = vm.service(client);
            assert_eq!(demo.addInteger(vm.cid, 1).unwrap(), vm.cid + 1);
        }
        drop(ready);
    });
}

#[test]
fn a_client_that_mixes_releases_harms_nothing() {
    host::run("a_client_that_mixes_releases_harms_nothing", |host| {
        let client = RawClient::start(host, "virtmgr", Layout::A15Qpr1);
        let files = Files::new(host, "vm", &[]);
        let vm = files.create(&client).unwrap();
        let ready = ReadyVm::start(&client, vm);
        // createVm as other releases write it.
        for other in Layout::ALL {
            if other != client.layout {
                let message = files.message(other);
                let text = refused(other.name(), files.send(&client, &message));
                assert!(text.contains("15 QPR1"), "{text}");
            }
        }
        // What is a method of 15 QPR1, with the arguments that another release has for its code.
        let feature = text("com.android.kvm.NETWORK");
        let id = [&[64][..], &[0x0101_0101; 16]].concat();
        let calls: [(&str, u32, &[i32]); 5] = [
            ("setMemoryBalloon of 16", 8, &[8 << 20, 0]),
            ("connectVsock of 16", 9, &[5678]),
            ("connectVsock of 17.1", 10, &[5678]),
            ("suspend of 17.1", 13, &[]),
            ("getDebugInfo of 17", 14, &[]),
        ];
        for (what, code, words) in calls {
            let answer = client.transact(&ready.vm, MACHINE, code, &[Part::Words(words)]);
            assert!(answer.is_err(), "{what}: {answer:?}");
        }
        let calls: [(&str, u32, &[i32]); 4] = [
            ("isFeatureEnabled of 16", 10, &feature),
            ("removeVmInstance of 16", 14, &id),
            ("getSupportedOSList of 16", 8, &[]),
            ("requestShutdown of 17", 17, &[]),
        ];
        for (what, code, words) in calls {
            let answer = client.transact(&client.service, SERVICE, code, &[Part::Words(words)]);
            assert!(answer.is_err(), "{what}: {answer:?}");
        }
        // The VM goes on, and so does its client.
        let state = client.machine(&ready.vm, "getState", &[]).unwrap().int();
        assert_eq!(state, READY, "{}", client.log());
        assert_eq!(ready.service(&client).addInteger(2, 3).unwrap(), 5);
        expect_alive(&client, "mixed calls");
        drop(ready);
        client.close();
    });
}

#[test]
fn an_unknown_layout_is_refused_by_name() {
    host::run("an_unknown_layout_is_refused_by_name", |host| {
        let files = Files::new(host, "vm", &[]);
        let places = [
            ("VirtualMachineRawConfig", "disks"),
            ("VirtualMachineRawConfig", "memoryMib"),
            ("VirtualMachineRawConfig", "networkSupported"),
            ("VirtualMachineRawConfig", ""),
            ("DiskImage", "partitions"),
            ("DisplayConfig", "width"),
            ("Partition", ""),
        ];
        for layout in Layout::ALL {
            // The first call of a session, so that nothing is known of its client.
            for (parcelable, before) in places {
                let client = RawClient::start(host, "virtmgr", layout);
                let words = [77];
                let insertion = Insertion {
                    parcelable,
                    before,
                    words: &words,
                };
                let what = format!("{}: {parcelable}.{before}", layout.name());
                let message = files.message_with(layout, insertion);
                let text = refused(&what, files.send(&client, &message));
                for title in TITLES {
                    // `Android 15, createVm: disks (byte 108) …`, and not `Android 15 QPR1, …`.
                    let stop = format!("{title}, createVm: ");
                    let places = text.split("; ").filter(|part| part.contains(&stop));
                    let is_told = places.clone().count() == 1
                        && places.into_iter().all(|part| part.contains("(byte "));
                    assert!(is_told, "{what}: no {stop:?} in {text}");
                }
                assert!(!text.contains('\n'), "{text}");
                // The session goes on: the release as it is, is understood.
                expect_alive(&client, &what);
                drop(files.create(&client).unwrap());
                client.close();
            }
        }
    });
}

/// Before createVm some calls do not tell which release they are of.
#[test]
fn a_wrong_guess_never_enables_test_attestation() {
    host::run("a_wrong_guess_never_enables_test_attestation", |host| {
        // What code 6, 7, 9 and 11 are, up to 15 QPR2 and from 16 on.
        let old = [
            "getAssignableDevices",
            "getSupportedOSList",
            ENABLE,
            "isUpdatableVmSupported",
        ];
        let new = [
            "debugListVms",
            "getAssignableDevices",
            "getDebugPolicy",
            ENABLE,
        ];
        for (told, methods) in [
            (None, None),
            (Some("15"), Some(old)),
            (Some("15-qpr2"), Some(old)),
            (Some("16"), Some(new)),
            (Some("17.1"), Some(new)),
        ] {
            for (at, code) in [6, 7, 9, 11].into_iter().enumerate() {
                let variables = told.map(|release| ("VIRTMGR_WIRE", release));
                let variables: Vec<_> = variables.into_iter().collect();
                let client = RawClient::start_with(host, "virtmgr", Layout::A16, &variables);
                let answer = client.transact(&client.service, SERVICE, code, &[]);
                let method = methods.map(|methods| methods[at]);
                // There is no global service, so some calls fail, and say what they were.
                match (&answer, method) {
                    (Ok(_), method) => assert_ne!(method, Some(ENABLE), "{told:?}, {code}"),
                    (Err(failure), Some(method)) => {
                        let text = failure.text();
                        assert!(text.contains(method), "{told:?}, {code}: {text}");
                    }
                    (Err(failure), None) => {
                        let text = failure.text();
                        assert!(!text.contains(ENABLE), "{told:?}, {code}: {text}");
                    }
                }
                client.close();
            }
        }
    });
}

/// Replaces the word at `at`.
fn put(message: &mut Message, at: usize, word: i32) {
    message.bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
}

/// Where the words with this mark are, but for those that the session writes with a descriptor.
fn marked(message: &Message, mark: Mark) -> Vec<usize> {
    let marks = message.marks.iter();
    let places = marks.filter(|(_, it)| *it == mark).map(|(at, _)| *at);
    places
        .filter(|at| !message.objects.contains(&(at + 8)))
        .collect()
}

/// Messages that no release writes, made of a good one.
fn faults(good: &Message) -> Vec<(String, Message)> {
    let mut faults = Vec::new();
    let mut add = |what: String, change: &dyn Fn(&mut Message)| {
        let mut message = good.clone();
        change(&mut message);
        if message.bytes != good.bytes {
            faults.push((what, message));
        }
    };
    let cut = |message: &mut Message, length: usize| {
        message.bytes.truncate(length);
        let kept = message
            .objects
            .iter()
            .filter(|at| **at + 8 <= length)
            .count();
        message.objects.truncate(kept);
        message.descriptors.truncate(kept);
    };
    let length = good.bytes.len();
    for end in [0, 4, 8, 12, 16, 200, (length / 2) & !3, length - 4] {
        add(format!("cut off after {end} bytes"), &|message| {
            cut(message, end);
        });
    }
    for extra in [1, 100, 20_000, 100_000] {
        add(format!("{extra} words more"), &|message| {
            message.bytes.resize(length + 4 * extra, 0);
        });
    }
    for (mark, words) in [
        (
            Mark::Size,
            &[0, 3, 4, -1, i32::MAX, i32::MIN, 0x4000_0000][..],
        ),
        (Mark::Count, &[-2, -1, i32::MAX, i32::MIN, 0x1000_0000]),
        (Mark::Length, &[-2, i32::MAX, i32::MIN, 0x1000_0000]),
        (Mark::Tag, &[-1, 2, 7, 99, i32::MAX]),
        (Mark::Presence, &[-1, 2, i32::MAX]),
        (Mark::Bool, &[-1, 2, i32::MAX]),
    ] {
        let places = marked(good, mark);
        for at in [
            places[0],
            places[places.len() / 2],
            places[places.len() - 1],
        ] {
            for word in words {
                add(format!("{mark:?} {word} at {at}"), &|message| {
                    put(message, at, *word);
                });
            }
        }
    }
    // Sizes that reach into what follows, and that end early.
    for at in marked(good, Mark::Size) {
        for change in [-4, 4, 8] {
            add(format!("size at {at}, {change} bytes other"), &|message| {
                let word = message.words()[at / 4] + change;
                put(message, at, word);
            });
        }
    }
    let name = marked(good, Mark::Length)[0] + 4;
    add("a NUL inside a text".into(), &|message| {
        message.bytes[name..name + 2].fill(0);
    });
    for (what, index) in [("0 once more", 0), ("too far", 64), ("negative", -1)] {
        add(format!("a descriptor's index is {what}"), &|message| {
            // Its words are sent as they are, without the descriptor.
            let at = message.objects.pop().unwrap();
            message.descriptors.pop();
            put(message, at + 4, index);
        });
    }
    // The words say that a descriptor comes, and none does.
    let mut lacking = good.clone();
    lacking.objects.pop();
    lacking.descriptors.pop();
    faults.push(("a descriptor that is not there".into(), lacking));
    faults
}

fn bad_input(host: &Host, layout: Layout) {
    let client = RawClient::start(host, "virtmgr", layout);
    let files = Files::new(host, layout.name(), &[]);
    let good = files.message(layout);
    // What the manager allocates once.
    drop(files.create(&client).unwrap());
    let before = client.peak_memory_kib();
    let mut slowest = (Duration::ZERO, String::new());
    for (what, message) in faults(&good) {
        let begin = Instant::now();
        let answer = files.send(&client, &message);
        let took = begin.elapsed();
        let text = refused(&what, answer);
        slowest = slowest.max((took, what.clone()));
        assert!(took < BOUND, "{what}: {took:?}");
        assert!(!text.contains('\n'), "{what}: {text}");
        expect_alive(&client, &what);
    }
    let grown = client.peak_memory_kib() - before;
    println!(
        "{}: answers within {slowest:?}, {grown} KiB more",
        layout.name()
    );
    assert!(grown <= GROWTH, "{}: {grown} KiB", layout.name());
    // Descriptors of the wrong kind.
    let socket = std::os::unix::net::UnixStream::pair().unwrap().0;
    let mut wrong = Files::new(host, layout.name(), &[]);
    wrong.list[0] = rsbinder::ParcelFileDescriptor::new(socket);
    let text = refused("a socket", wrong.send(&client, &good));
    assert!(text.contains("kernel"), "{text}");
    no_directories(&host.root);
    // Good ones are taken after all that, with as many descriptors as fit into a message.
    let most = files.message_of_partitions(layout, MAX_DESCRIPTORS - OTHERS);
    assert_eq!(most.descriptors.len(), MAX_DESCRIPTORS);
    for message in [good, most] {
        let answer = files.send(&client, &message);
        let vm = answer.unwrap_or_else(|e| panic!("{e:?}\n{}", client.log()));
        drop(vm.object());
    }
    client.close();
}

#[test]
fn bad_input_is_answered() {
    host::run("bad_input_is_answered", |host| {
        for layout in SOME {
            bad_input(host, layout);
        }
    });
}
