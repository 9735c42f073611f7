// SPDX-License-Identifier: Apache-2.0
//! Managers of each release: calls whose codes and bytes are written out from the contract.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    dead_code,
    unreachable_pub,
    reason = "a test may fail like this, also in what it calls"
)]

mod harness;
mod raw;

use harness::{Daemon, until};
use raw::{Arg, Arg::*, Caller, Outcome, id, refused};
use rsbinder::ExceptionCode::{IllegalArgument, Security, UnsupportedOperation};
use rsbinder::StatusCode;
use service_client::wire::{ListedVm, Release, Wire};
use std::path::Path;

/// Not a test: a manager in a process of its own.
#[test]
fn client() {
    raw::serve_orders();
}

/// A parcelable's fields after its presence and its size.
fn sized(size: i32, fields: &[Arg]) -> Vec<Arg> {
    [&[Int(1), Int(size)], fields].concat()
}

fn booted(uid: i32) -> Vec<Arg> {
    // uid, "vm", 7 ms: 4 + 4 + 12 + 8 bytes.
    sized(28, &[Int(uid), Text("vm"), Long(7)])
}

fn creation_requested(uid: i32) -> Vec<Arg> {
    let tail = [Int(1), Int(0), Int(-3), Int(2), Int(4), Int(256), Text("")];
    sized(
        4 + 4 + 12 + 24 + 8,
        &[&[Int(uid), Text("vm")][..], &tail].concat(),
    )
}

fn exited(uid: i32) -> Vec<Arg> {
    let tail = [Int(6), Int(9), Long(1), Long(2), Long(3), Long(4)];
    sized(
        4 + 4 + 12 + 8 + 32,
        &[&[Int(uid), Text("vm")][..], &tail].concat(),
    )
}

/// What is called in every form, with what the answer begins or the log contains.
fn calls_of_every_form(uid: i32) -> Vec<(&'static str, Vec<Arg>, Outcome)> {
    let says = |code, text| Outcome::Says(code, text);
    vec![
        ("atomVmBooted", booted(uid), Outcome::Logs("atom=vm_booted")),
        (
            "atomVmCreationRequested",
            creation_requested(uid),
            Outcome::Logs("atom=vm_creation_requested"),
        ),
        ("atomVmExited", exited(uid), Outcome::Logs("atom=vm_exited")),
        ("debugListVms", vec![], Outcome::Words(&[0])),
        (
            "requestAttestation",
            vec![Bytes(&[1, 2, 3]), Int(7), Int(1)],
            says(UnsupportedOperation, "declared"),
        ),
        (
            "enableTestAttestation",
            vec![],
            says(UnsupportedOperation, "declared"),
        ),
        ("isRemoteAttestationSupported", vec![], Outcome::Words(&[0])),
        ("getAssignableDevices", vec![], Outcome::Words(&[0])),
        (
            "bindDevicesToVfioDriver",
            vec![Int(1), Text("/sys/x")],
            says(UnsupportedOperation, "vfio"),
        ),
        (
            "getDtboFile",
            vec![],
            says(UnsupportedOperation, "no overlay for VMs"),
        ),
        ("allocateInstanceId", vec![], Outcome::Begins(64, 17)),
        ("removeVmInstance", id(1), Outcome::Words(&[])),
        ("claimVmInstance", id(2), Outcome::Words(&[])),
        (
            "setDisplayService",
            vec![Binder],
            says(UnsupportedOperation, "display service"),
        ),
        (
            "clearDisplayService",
            vec![],
            says(UnsupportedOperation, "display service"),
        ),
        (
            "waitDisplayService",
            vec![],
            says(UnsupportedOperation, "display service"),
        ),
        (
            "createTapInterface",
            vec![Text("a/b")],
            says(IllegalArgument, "interface's name"),
        ),
        (
            "deleteTapInterface",
            vec![File],
            says(IllegalArgument, "not /dev/tun"),
        ),
    ]
}

/// The codes of [`calls_of_every_form`], in its order.
const ANDROID_15: [u32; 18] = [
    3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
];
const ANDROID_16_QPR2: [u32; 18] = [
    5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23,
];

/// Makes every call of a form, after one that only this form has.
fn call_all(daemon: &Daemon, caller: &Caller, codes: [u32; 18]) {
    for (code, (method, arguments, outcome)) in
        codes.into_iter().zip(calls_of_every_form(caller.uid()))
    {
        let answer = caller.call(code, &arguments);
        outcome.check(&format!("{code} {method}"), &answer, || daemon.log_text());
    }
    assert_eq!(
        caller.call(25, &[]),
        Err(StatusCode::UnknownTransaction.into())
    );
}

#[test]
fn codes_of_android_15() {
    let daemon = Daemon::start(&[]);
    let caller = Caller::connect(&daemon);
    // allocateGlobalVmContext(int): an object.
    let context = caller.call(2, &[Int(77)]).unwrap();
    assert_eq!(context[0], 1);
    call_all(&daemon, &caller, ANDROID_15);
    // claimSecretkeeperEntry came with Android 16.
    refused(caller.call(21, &id(1)), IllegalArgument, "earlier calls");
    refused(
        caller.call(2, &[Int(0)]),
        IllegalArgument,
        "requesterDebugPid 0",
    );
    let log = daemon.log_text();
    assert!(log.contains("speaks as in Android 15, by call 2"), "{log}");
}

#[test]
fn codes_of_android_16() {
    let daemon = Daemon::start(&[]);
    let caller = Caller::connect(&daemon);
    let context = caller.context(2, &[Text("my vm"), Int(77)]);
    // One VM: name, CID, directory, user, process, no console.
    let list = caller.call(6, &[]).unwrap();
    let mut expected = raw::words(&[Text("my vm"), Int(2048)]);
    expected.splice(0..0, [1, 1, list[2]]);
    assert_eq!(list[..expected.len()], expected);
    assert_eq!(list[list.len() - 2..], [77, -1]);
    assert_eq!(usize::try_from(list[2]).unwrap(), (list.len() - 2) * 4);
    drop(context);
    until("the context's end", || caller.call(6, &[]) == Ok(vec![0]));
    call_all(&daemon, &caller, ANDROID_15);
    assert_eq!(caller.call(21, &id(1)), Ok(vec![]));
    let log = daemon.log_text();
    assert!(log.contains("speaks as in Android 16, by call 2"), "{log}");
}

#[test]
fn codes_of_android_16_qpr2() {
    let daemon = Daemon::start(&[]);
    let caller = Caller::connect(&daemon);
    let context = caller.call(2, &[]).unwrap();
    // Presence, size, the CID, and the directory's name.
    assert_eq!(context[0], 1);
    assert_eq!(context[2], 2048);
    assert_eq!(
        usize::try_from(context[1]).unwrap(),
        (context.len() - 1) * 4
    );
    assert_eq!(caller.call(4, &[Int(2048)]), Ok(vec![]));
    call_all(&daemon, &caller, ANDROID_16_QPR2);
    assert_eq!(caller.call(24, &id(1)), Ok(vec![]));
    // forwardAtom: the union's tag 1, fsckFailedReported, exit code 3; user; name.
    let uid = caller.uid();
    let event = [Int(1), Int(1), Int(1), Int(8), Int(3), Int(uid), Text("vm")];
    assert_eq!(caller.call(8, &event), Ok(vec![]));
    // Tag 7, vmExited.
    let fields = [Int(6), Int(9), Long(1), Long(2), Long(33)];
    let event = [
        &[Int(1), Int(7)],
        &sized(36, &fields)[..],
        &[Int(uid), Text("late")],
    ];
    assert_eq!(caller.call(8, &event.concat()), Ok(vec![]));
    // Later builds have one number less.
    let late = [
        Int(uid),
        Text("vm"),
        Int(6),
        Int(9),
        Long(1),
        Long(2),
        Long(3),
    ];
    assert_eq!(
        caller.call(7, &sized(4 + 4 + 12 + 8 + 24, &late)),
        Ok(vec![])
    );
    let log = daemon.log_text();
    for line in [
        "atom=fsck_failed exit_code=3",
        "name=\"late\" death_reason=6",
        "rss_vmm_kb=33",
        "speaks as in Android 16 QPR2, by call 2",
    ] {
        assert!(log.contains(line), "{line}: {log}");
    }
}

#[test]
fn what_a_call_does_not_show_is_not_guessed() {
    let daemon = Daemon::start(&[]);
    let caller = Caller::connect(&daemon);
    // allocateInstanceId, or getAssignableDevices.
    refused(caller.call(13, &[]), IllegalArgument, "--wire RELEASE");
    // isRemoteAttestationSupported, or debugListVms; getDtboFile, or isRemoteAttestationSupported.
    assert_eq!(caller.call(9, &[]), Ok(vec![0]));
    refused(caller.call(12, &[]), UnsupportedOperation, "no overlay");
    for (release, is_id) in [("15", true), ("16-qpr", false), ("17.1", false)] {
        let daemon = Daemon::start(&["--wire", release]);
        let answer = Caller::connect(&daemon).call(13, &[]).unwrap();
        assert_eq!(answer.len() == 17, is_id, "{release}: {answer:?}");
    }
}

#[test]
fn a_process_that_mixes_releases_gets_errors() {
    let daemon = Daemon::start(&[]);
    let caller = Caller::connect(&daemon);
    let context = caller.context(2, &[Text("vm"), Int(77)]);
    let mixed = "are of Android 16";
    refused(caller.call(2, &[]), IllegalArgument, mixed);
    refused(caller.call(2, &[Int(77)]), IllegalArgument, mixed);
    refused(caller.call(4, &[Int(2048)]), IllegalArgument, mixed);
    // removeVmInstance of Android 16 QPR2, and enableTestAttestation.
    refused(caller.call(17, &id(1)), IllegalArgument, mixed);
    refused(caller.call(11, &[]), IllegalArgument, mixed);
    // The context is still there.
    assert_eq!(caller.call(6, &[]).unwrap()[0], 1);
    drop(context);
}

#[test]
fn two_releases_at_once() {
    let daemon = Daemon::start(&[]);
    let mine = Caller::connect(&daemon);
    let _context = mine.context(2, &[Int(77)]);
    let mut other = raw::Process::start(daemon.root.path());
    let context = other.call(2, &[]).unwrap();
    assert_eq!(context[2], 2049);
    // The same bytes, each in its form.
    assert_eq!(mine.call(13, &[]).unwrap().len(), 17);
    assert_eq!(other.call(13, &[]), Ok(vec![0]));
    assert_eq!(mine.call(9, &[]), Ok(vec![0]));
    assert_eq!(other.call(9, &[]).unwrap()[0], 2);
    assert_eq!(mine.call(6, &[]).unwrap()[0], 2);
    // With the process goes what it did not register a VM for.
    drop(other);
    until("the other's context's end", || {
        mine.call(6, &[]).unwrap()[0] == 1
    });
}

#[test]
fn bytes_that_fit_no_form_are_refused() {
    let daemon = Daemon::start(&[]);
    let caller = Caller::connect(&daemon);
    let booted = booted(0);
    let mut longer = booted.clone();
    longer[1] = Int(32);
    let mut overlapping = booted.clone();
    overlapping[1] = Int(i32::MAX);
    let cases: Vec<(u32, Vec<Arg>, &str)> = vec![
        (1, vec![Int(0)], "removeMemlockRlimit of Android 15"),
        (
            2,
            vec![Int(1), Int(2)],
            "allocateVmContext of Android 16 QPR2",
        ),
        (2, vec![Text("vm")], "allocateGlobalVmContext of Android 16"),
        // A string without its end, with a NUL inside, with dirt behind, null, far too long.
        (2, vec![Int(2), Int(0x0042_0041), Int(1), Int(7)], "call 2"),
        (2, vec![Int(2), Int(0x0000_0041), Int(0), Int(7)], "call 2"),
        (2, vec![Int(1), Int(0x41), Int(0x41), Int(7)], "call 2"),
        (2, vec![Int(-1), Int(7)], "call 2"),
        (2, vec![Int(i32::MAX), Int(7)], "call 2"),
        (3, booted[..4].to_vec(), "registerVirtualMachine"),
        (3, longer, "atomVmBooted of Android 15"),
        (3, overlapping, "call 3"),
        (3, vec![Int(2048), Int(0), Int(0)], "call 3"),
        (7, vec![Int(3), Int(0x0403_0201), Int(7), Int(1)], "call 7"),
        (7, vec![Int(-2), Int(7), Int(1)], "call 7"),
        (7, vec![Bytes(&[1]), Int(7), Int(2)], "requestAttestation"),
        (
            8,
            vec![Int(1), Int(8), Int(1), Int(4), Int(0), Text("")],
            "forwardAtom",
        ),
        (11, vec![Int(i32::MAX)], "bindDevicesToVfioDriver"),
        (11, vec![Int(-1)], "bindDevicesToVfioDriver"),
        (11, vec![Int(2), Text("a")], "bindDevicesToVfioDriver"),
        (14, [&[Int(63)], &id(1)[1..]].concat(), "removeVmInstance"),
        (14, id(1)[..16].to_vec(), "removeVmInstance"),
        (14, [id(1), vec![Int(0)]].concat(), "removeVmInstance"),
        (17, vec![Int(0)], "clearDisplayService"),
        // A descriptor that was not sent, of another kind, with another index.
        (20, vec![Int(0)], "deleteTapInterface"),
        (
            20,
            vec![Int(1), Int(0), Int(3), Int(0)],
            "deleteTapInterface",
        ),
        (
            20,
            vec![Int(1), Int(0), Int(2), Int(1)],
            "deleteTapInterface",
        ),
        (20, vec![File, File], "deleteTapInterface"),
        (24, vec![], "claimSecretkeeperEntry"),
    ];
    for (code, arguments, part) in cases {
        let begun = std::time::Instant::now();
        refused(caller.call(code, &arguments), IllegalArgument, part);
        let text = caller.call(code, &arguments).unwrap_err().to_string();
        assert!(
            text.contains(&format!("cannot read call {code}: its")),
            "{text}"
        );
        assert!(begun.elapsed().as_secs() < 60);
    }
    // Nothing was learnt and nothing was made.
    assert_eq!(caller.context(2, &[Text("vm"), Int(77)]).cid(), 2048);
}

#[test]
fn registered_vms_say_what_they_are_and_take_their_contexts_along() {
    let daemon = Daemon::start(&[]);
    let wire = Wire::named(Release::V16Qpr);
    let caller = Caller::connect(&daemon);
    let manager = raw::connect_as(&daemon, wire);
    let cids = [(); 3].map(|()| caller.call(2, &[]).unwrap()[2]);
    assert_eq!(cids, [2048, 2049, 2050]);
    let vm = ListedVm::new(raw::info("one", 2048));
    manager.internal().register_vm(2048, &vm.object()).unwrap();
    // A VM of Android 17.1, whose code 14 is resume; and one of 16 QPR2, which has nothing after it.
    let (newer, resumed) = raw::vm_of_17_1("two");
    manager.internal().register_vm(2049, &newer).unwrap();
    manager
        .internal()
        .register_vm(2050, &raw::vm_of_16_qpr2("three"))
        .unwrap();
    vm.update(|info| info.hostConsoleName = Some("/dev/pts/1".into()));
    let list = manager.internal().debug_list_vms().unwrap();
    let names: Vec<_> = list.iter().map(|vm| (vm.cid, vm.name.as_str())).collect();
    assert_eq!(names, [(2048, "one"), (2049, "two"), (2050, "three")]);
    assert_eq!(list[0].hostConsoleName.as_deref(), Some("/dev/pts/1"));
    assert_eq!(list[0].requesterPid, 4321);
    assert_eq!(list[0].instanceId, [9; 64]);
    // What the service knows itself is not taken from managers.
    assert_eq!(list[0].requesterUid, caller.uid());
    assert!(Path::new(&list[0].temporaryDirectory).is_dir());
    assert!(!resumed());
    // A CID that nobody gave, and none.
    let error = manager.internal().register_vm(7, &vm.object()).unwrap_err();
    assert_eq!(error.exception_code(), Security, "{error}");
    let error = manager
        .internal()
        .register_vm(-1, &vm.object())
        .unwrap_err();
    assert_eq!(error.exception_code(), Security, "{error}");
    manager.internal().unregister_vm(2049).unwrap();
    manager.internal().unregister_vm(2049).unwrap();
    assert_eq!(caller.call(9, &[]).unwrap()[0], 2);
    // With the manager's connection die the objects it registered.
    drop(manager);
    until("the VMs' contexts' end", || {
        caller.call(9, &[]) == Ok(vec![0])
    });
}

#[test]
fn vms_of_a_named_release_are_asked_as_it_has_it() {
    for (release, name) in [
        ("16", ""),
        ("16-qpr", "vm"),
        ("17", "vm"),
        ("17.1", "newer"),
    ] {
        let daemon = Daemon::start(&["--wire", release]);
        let manager = raw::connect_as(&daemon, Wire::named(Release::V16Qpr));
        let caller = Caller::connect(&daemon);
        assert_eq!(caller.call(2, &[]).unwrap()[2], 2048);
        let (newer, resumed) = raw::vm_of_17_1("newer");
        let vm = match release {
            "17.1" => newer,
            _ => raw::vm_of_16_qpr2("vm"),
        };
        manager.internal().register_vm(2048, &vm).unwrap();
        let list = manager.internal().debug_list_vms().unwrap();
        assert_eq!(list[0].name, name, "{release}");
        assert!(!resumed());
    }
}

#[test]
fn a_vm_that_does_not_answer_holds_nobody_up() {
    let daemon = Daemon::start(&[]);
    let manager = raw::connect_as(&daemon, Wire::named(Release::V16Qpr));
    let silent = raw::connect_as(&daemon, Wire::named(Release::V16Qpr));
    let caller = Caller::connect(&daemon);
    assert_eq!(
        [(); 2].map(|()| caller.call(2, &[]).unwrap()[2]),
        [2048, 2049]
    );
    let (vm, answer) = raw::vm_that_waits();
    silent.internal().register_vm(2048, &vm).unwrap();
    let other = ListedVm::new(raw::info("other", 2049));
    manager
        .internal()
        .register_vm(2049, &other.object())
        .unwrap();
    for _ in 0..3 {
        let list = manager.internal().debug_list_vms().unwrap();
        assert_eq!(list.len(), 2);
        assert_eq!(list[0].name, "");
    }
    // Whoever was asked before it is known; from the second time on it is not asked at all.
    assert_eq!(
        manager.internal().debug_list_vms().unwrap()[1].name,
        "other"
    );
    drop(answer);
    until("the answer", || {
        manager.internal().debug_list_vms().unwrap()[0].name == "late"
    });
}

#[test]
fn other_users_vms_stay_theirs() {
    if !rustix::process::geteuid().is_root() {
        skip::skip!("only root can run processes of other users");
        return;
    }
    let root = harness::new_root();
    std::fs::create_dir_all(root.path().join("etc/avf")).unwrap();
    let permissions = format!(r#"{{"manage": [{}]}}"#, raw::GROUP);
    std::fs::write(root.path().join("etc/avf/permissions.json"), permissions).unwrap();
    let daemon = Daemon::start_in(root, &["--group", &raw::GROUP.to_string()]);
    let mine = Caller::connect(&daemon);
    assert_eq!(mine.call(2, &[]).unwrap()[2], 2048);
    let mut other = raw::Process::start_as(daemon.root.path(), 65534);
    refused(other.call(4, &[Int(2048)]), Security, "not of user 65534");
    assert_eq!(other.call(2, &[]).unwrap()[2], 2049);
    // forwardAtom about a VM of root's.
    let event = [Int(1), Int(1), Int(1), Int(8), Int(3), Int(0), Text("vm")];
    refused(other.call(8, &event), Security, "user 65534");
    drop(other);
    until("the other's context's end", || {
        mine.call(9, &[]).unwrap()[0] == 1
    });
}

#[test]
fn a_manager_registers_its_vm_again_with_the_next_service() {
    let mut daemon = Daemon::start(&[]);
    let caller = Caller::connect(&daemon);
    assert_eq!(caller.call(2, &[]).unwrap()[2], 2048);
    daemon.kill_and_restart();
    let manager = raw::connect_as(&daemon, Wire::named(Release::V17));
    let vm = ListedVm::new(raw::info("again", 2048));
    manager.internal().register_vm(2048, &vm.object()).unwrap();
    let list = manager.internal().debug_list_vms().unwrap();
    assert_eq!((list[0].cid, list[0].name.as_str()), (2048, "again"));
    // It is not given out meanwhile.
    let next = Caller::connect(&daemon).call(2, &[]).unwrap();
    assert_eq!(next[2], 2049);
    manager.internal().unregister_vm(2048).unwrap();
}
