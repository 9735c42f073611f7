// SPDX-License-Identifier: Apache-2.0
//! The program as it runs, over its Unix socket.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "a test may fail like this, also in what it calls"
)]

mod harness;

use avf_aidl::r15_qpr1::global::AtomVmBooted;
use cid::CidLocks;
use harness::{CLIENT, Client, Daemon, OfAndroid15 as _, command, listed, new_root, until};
use rsbinder::{BinderResult, ParcelFileDescriptor};
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use service_client::{MAINTENANCE_SOCKET, SOCKET, Service, Way, connect_by};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Stdio;

/// Another user, and a group.
const NOBODY: u32 = 65534;
const GROUP: u32 = 54321;

fn is_root() -> bool {
    let is = rustix::process::geteuid().is_root();
    if !is {
        skip::skip!("only root can run processes of other users");
    }
    is
}

/// Whether this process, and with it the service, may lift limits.
fn has_sys_resource() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let capabilities = u64::from_str_radix(line.unwrap().trim(), 16).unwrap();
    // CAP_SYS_RESOURCE of linux/capability.h.
    capabilities & (1 << 24) != 0
}

/// Not a test: what clients in processes of their own run.
#[test]
fn client() {
    let Some(root) = std::env::var_os(CLIENT) else {
        return;
    };
    let mut service: Option<Service> = None;
    let mut contexts = Vec::new();
    for order in std::io::stdin().lock().lines() {
        let order = order.unwrap();
        if service.is_none() {
            match connect_by(Path::new(&root), &[Way::Socket]) {
                Ok(found) => service = found,
                Err(e) => {
                    println!("answer: cannot connect: {e}");
                    continue;
                }
            }
        }
        let binder = service.as_ref().unwrap().binder();
        let answer = match order.split_once(' ').unwrap_or((&order, "")) {
            ("allocate", count) => (0..count.parse().unwrap())
                .map(|_| {
                    let context = binder.allocateGlobalVmContext(77)?;
                    let cid = context.getCid()?;
                    contexts.push(context);
                    Ok(cid.to_string())
                })
                .collect::<BinderResult<Vec<_>>>()
                .map(|cids| cids.join(" ")),
            ("directory", _) => contexts.last().unwrap().getTemporaryDirectory(),
            ("write", _) => {
                let path = contexts.last().unwrap().getTemporaryDirectory();
                path.inspect(|path| fs::write(Path::new(path).join("file"), "x").unwrap())
            }
            ("list", _) => binder
                .debugListVms()
                .map(|vms| format!("{} VMs", vms.len())),
            ("tap", _) => binder.createTapInterface("x").map(|_| "made".into()),
            ("delete-tap", _) => {
                let null = ParcelFileDescriptor::new(File::open("/dev/null").unwrap());
                binder.deleteTapInterface(&null).map(|()| "deleted".into())
            }
            ("devices", _) => binder
                .getAssignableDevices()
                .map(|list| format!("{} devices", list.len())),
            ("memlock", _) => {
                let low = Rlimit {
                    current: Some(65536),
                    maximum: Some(65536),
                };
                setrlimit(Resource::Memlock, low).unwrap();
                binder.removeMemlockRlimit().map(|()| {
                    let limit = getrlimit(Resource::Memlock);
                    format!("{:?} {:?}", limit.current, limit.maximum)
                })
            }
            ("atom", uid) => binder
                .atomVmBooted(&AtomVmBooted {
                    uid: uid.parse().unwrap(),
                    ..Default::default()
                })
                .map(|()| "counted".into()),
            (other, _) => panic!("{other}?"),
        };
        match answer {
            Ok(text) => println!("\nanswer: {text}"),
            Err(e) => println!("\nanswer: {:?} {e}", e.exception_code()),
        }
        std::io::stdout().flush().unwrap();
    }
}

#[test]
fn a_context_from_its_beginning_to_its_end() {
    let daemon = Daemon::start(&[]);
    let service = daemon.connect();
    assert_eq!(service.place(), daemon.path(SOCKET).to_str().unwrap());
    let context = service.binder().allocateGlobalVmContext(4242).unwrap();
    assert_eq!(context.getCid().unwrap(), 2048);
    let directory = context.getTemporaryDirectory().unwrap();
    assert!(Path::new(&directory).starts_with(daemon.path("run/virtualizationservice/vms")));
    assert_eq!(fs::metadata(&directory).unwrap().mode() & 0o7777, 0o700);
    fs::write(Path::new(&directory).join("file"), "x").unwrap();
    context.setHostConsoleName("/dev/pts/5").unwrap();
    let vms = service.binder().debugListVms().unwrap();
    assert_eq!(vms.len(), 1);
    assert_eq!(vms[0].cid, 2048);
    assert_eq!(vms[0].temporaryDirectory, directory);
    assert_eq!(
        vms[0].requesterUid.cast_unsigned(),
        rustix::process::geteuid().as_raw()
    );
    assert_eq!(vms[0].requesterPid, 4242);
    assert_eq!(vms[0].hostConsoleName.as_deref(), Some("/dev/pts/5"));
    drop(context);
    until("the context's end", || listed(&service.binder()).is_empty());
    assert!(!Path::new(&directory).exists());
    let next = service.binder().allocateGlobalVmContext(1).unwrap();
    assert_eq!(next.getCid().unwrap(), 2049);
    // A client's resources are released with its connection.
    drop(service);
    let service = daemon.connect();
    until("the session's end", || listed(&service.binder()).is_empty());
}

#[test]
fn eight_processes_at_once_and_no_cid_twice() {
    let daemon = Daemon::start(&[]);
    let mut clients: Vec<_> = (0..8)
        .map(|_| Client::start(daemon.root.path(), 0, 0))
        .collect();
    for client in &mut clients {
        client.order("allocate 63");
    }
    let mut all = BTreeSet::new();
    for client in &mut clients {
        let answer = client.answer();
        let cids: Vec<u32> = answer.split(' ').map(|cid| cid.parse().unwrap()).collect();
        assert_eq!(cids.len(), 63);
        for cid in cids {
            assert!(cid::CIDS.contains(&cid));
            assert!(all.insert(cid), "CID {cid} was handed out twice");
        }
    }
    let service = daemon.connect();
    assert_eq!(listed(&service.binder()).len(), 8 * 63);
    assert_eq!(
        fs::read_dir(daemon.path("run/virtualizationservice/vms"))
            .unwrap()
            .count(),
        504
    );
    // A client that is killed loses what it had, the others do not.
    clients.pop();
    until("the end of a client's", || {
        listed(&service.binder()).len() == 7 * 63
    });
    drop(clients);
    until("the end of all clients'", || {
        listed(&service.binder()).is_empty()
    });
    assert_eq!(
        fs::read_dir(daemon.path("run/virtualizationservice/vms"))
            .unwrap()
            .count(),
        0
    );
}

/// The work for one, in bytes and system calls: it does not depend on how many there are.
#[test]
fn five_hundred_and_none_costs_more_than_the_tenth() {
    let daemon = Daemon::start(&[]);
    let service = daemon.connect();
    let mut contexts = Vec::new();
    let mut cost_of = |count: usize| {
        let before = daemon.io();
        for _ in 0..count {
            contexts.push(service.binder().allocateGlobalVmContext(1).unwrap());
        }
        let after = daemon.io().into_iter();
        after
            .zip(before)
            .map(|(after, before)| after - before)
            .collect::<Vec<_>>()
    };
    cost_of(10);
    let early = cost_of(50);
    cost_of(380);
    let late = cost_of(50);
    cost_of(10);
    for ((early, late), what) in
        early
            .iter()
            .zip(&late)
            .zip(["bytes read", "bytes written", "reads", "writes"])
    {
        // Numbers of five digits are longer than numbers of four.
        assert!(
            *late <= early + early / 10,
            "{what} for 50: {early} from the 10th on, {late} from the 440th on"
        );
    }
    println!("for 50, early: {early:?}, late: {late:?}");
    let cids = contexts.iter().map(|context| context.getCid().unwrap());
    assert_eq!(cids.collect::<BTreeSet<_>>().len(), 500);
}

#[test]
fn vms_outlive_a_killed_service() {
    let mut daemon = Daemon::start(&[]);
    let first = daemon.connect();
    let held = first.binder().allocateGlobalVmContext(11).unwrap();
    let locked = first.binder().allocateGlobalVmContext(12).unwrap();
    let lost = first.binder().allocateGlobalVmContext(13).unwrap();
    held.setHostConsoleName("/dev/pts/1").unwrap();
    let paths = [&held, &locked, &lost].map(|context| context.getTemporaryDirectory().unwrap());
    // What managers do.
    let holder = File::open(&paths[0]).unwrap();
    flock(&holder, FlockOperation::LockExclusive).unwrap();
    let locks = CidLocks::open(daemon.root.path()).unwrap();
    let lock = locks.lock(2049).unwrap().unwrap();

    daemon.kill_and_restart();
    assert!(first.binder().debugListVms().is_err());
    let second = daemon.connect();
    let vms = second.binder().debugListVms().unwrap();
    let known: Vec<_> = vms.iter().map(|vm| (vm.cid, vm.requesterPid)).collect();
    assert_eq!(known, [(2048, 11), (2049, 12)]);
    assert_eq!(vms[0].hostConsoleName.as_deref(), Some("/dev/pts/1"));
    assert_eq!(
        paths.map(|path| Path::new(&path).exists()),
        [true, true, false]
    );
    // The next is next, also after the one that is gone.
    let next = second.binder().allocateGlobalVmContext(14).unwrap();
    assert_eq!(next.getCid().unwrap(), 2051);

    // Once more, and all the way around: theirs are left out.
    drop(next);
    daemon.child.kill().unwrap();
    daemon.child.wait().unwrap();
    fs::write(daemon.path("run/virtualizationservice/state"), "65535\n").unwrap();
    daemon.kill_and_restart();
    let third = daemon.connect();
    let next = third.binder().allocateGlobalVmContext(15).unwrap();
    assert_eq!(next.getCid().unwrap(), 2050);
    drop(lock);
    assert_eq!(listed(&third.binder()), [2048, 2050]);
    drop(holder);
    assert_eq!(listed(&third.binder()), [2050]);
}

#[test]
fn cids_of_managers_without_the_service_are_left_out() {
    let daemon = Daemon::start(&[]);
    let locks = CidLocks::open(daemon.root.path()).unwrap();
    let _locks = [2048, 2050].map(|cid| locks.lock(cid).unwrap().unwrap());
    let service = daemon.connect();
    let contexts = [(); 2].map(|()| service.binder().allocateGlobalVmContext(1).unwrap());
    assert_eq!(
        contexts.map(|context| context.getCid().unwrap()),
        [2049, 2051]
    );
}

#[test]
fn a_clean_stop_leaves_what_managers_hold_and_nothing_else() {
    let mut daemon = Daemon::start(&[]);
    let service = daemon.connect();
    let held = service.binder().allocateGlobalVmContext(1).unwrap();
    let other = service.binder().allocateGlobalVmContext(2).unwrap();
    let holder = File::open(held.getTemporaryDirectory().unwrap()).unwrap();
    flock(&holder, FlockOperation::LockExclusive).unwrap();
    let other = other.getTemporaryDirectory().unwrap();
    assert!(daemon.terminate().success(), "{}", daemon.log_text());
    assert!(!Path::new(&other).exists());
    assert!(daemon.path("run/virtualizationservice/vms/2048").exists());
    for socket in [SOCKET, MAINTENANCE_SOCKET] {
        assert!(!daemon.path(socket).exists());
    }
    assert!(
        connect_by(daemon.root.path(), &[Way::Socket])
            .unwrap()
            .is_none()
    );
}

#[test]
fn one_service_on_a_machine() {
    let daemon = Daemon::start(&[]);
    let output = command(daemon.root.path(), &[])
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let error = String::from_utf8(output.stderr).unwrap();
    let pid = format!("runs already: process {}", daemon.child.id());
    assert!(error.contains(&pid), "{error}");
    // The first is not troubled.
    assert!(daemon.connect().binder().debugListVms().unwrap().is_empty());
}

#[test]
fn without_a_service_there_is_none() {
    let root = new_root();
    let none = || connect_by(root.path(), &[Way::Socket]).unwrap().is_none();
    assert!(none());
    // One that was killed leaves its socket.
    let mut daemon = Daemon::start_in(root, &[]);
    daemon.child.kill().unwrap();
    daemon.child.wait().unwrap();
    assert!(daemon.path(SOCKET).exists());
    assert!(
        connect_by(daemon.root.path(), &[Way::Socket])
            .unwrap()
            .is_none()
    );
}

#[test]
fn faulty_settings_are_named() {
    for (args, file, part) in [
        (
            vec!["--group", "no such group"],
            None,
            "--group no such group: no such group",
        ),
        (
            vec![],
            Some(r#"{"mange": []}"#),
            "nearest known key is `manage`",
        ),
        (vec!["--binder", "/dev/null"], None, "/dev/null: "),
        (
            vec!["--binder", "/no/such/device"],
            None,
            "/no/such/device: ",
        ),
    ] {
        let root = new_root();
        if let Some(text) = file {
            fs::create_dir_all(root.path().join("etc/avf")).unwrap();
            fs::write(root.path().join("etc/avf/permissions.json"), text).unwrap();
        }
        let output = command(root.path(), &args)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(
            !output.status.success() && error.contains(part),
            "{args:?}: {error}"
        );
    }
}

#[test]
fn a_wrong_environment_is_an_error_and_not_a_default() {
    for (name, value, error) in [
        (
            "VIRTMGR_LOG",
            "verbose",
            "virtualizationservice: cannot use VIRTMGR_LOG=verbose: it is not a level; \
             set it to off, error, warn, info, debug or trace\n",
        ),
        (
            "VIRTMGR_ROOT",
            "/no/such",
            "virtualizationservice: cannot use VIRTMGR_ROOT=/no/such: \
             No such file or directory (os error 2); name a directory that exists, or unset it\n",
        ),
    ] {
        let root = new_root();
        let output = command(root.path(), &[])
            .env(name, value)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(output.stderr).unwrap(), error);
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn users_may_what_their_groups_may() {
    if !is_root() {
        return;
    }
    let root = new_root();
    fs::create_dir_all(root.path().join("etc/avf")).unwrap();
    fs::write(
        root.path().join("etc/avf/permissions.json"),
        format!(r#"{{"manage": [{GROUP}], "custom": [], "dump": [], "internet": [{GROUP}]}}"#),
    )
    .unwrap();
    let daemon = Daemon::start_in(root, &["--group", &GROUP.to_string()]);
    let socket = fs::metadata(daemon.path(SOCKET)).unwrap();
    assert_eq!((socket.mode() & 0o7777, socket.gid()), (0o660, GROUP));
    let socket = fs::metadata(daemon.path(MAINTENANCE_SOCKET)).unwrap();
    assert_eq!(socket.mode() & 0o7777, 0o600);

    let mut stranger = Client::start(daemon.root.path(), NOBODY, NOBODY);
    let answer = stranger.ask("list");
    assert!(answer.contains("ermission denied"), "{answer}");
    assert!(answer.contains("join the socket's group"), "{answer}");

    let mut member = Client::start(daemon.root.path(), NOBODY, GROUP);
    assert_eq!(member.ask("allocate 1"), "2048");
    // Its own directory, which it can use.
    let directory = member.ask("write");
    assert_eq!(fs::metadata(&directory).unwrap().uid(), NOBODY);
    for order in [
        "list",
        "tap",
        "delete-tap",
        "devices",
        "atom 0",
        "atom 1000",
    ] {
        let answer = member.ask(order);
        assert!(answer.starts_with("Security"), "{order}: {answer}");
    }
    assert!(member.ask("list").contains("android.permission.DUMP"));
    assert!(member.ask("tap").contains("USE_CUSTOM_VIRTUAL_MACHINE"));
    assert_eq!(member.ask(&format!("atom {NOBODY}")), "counted");
    let answer = member.ask("memlock");
    if has_sys_resource() {
        assert_eq!(answer, "None None");
    } else {
        skip::skip!("without CAP_SYS_RESOURCE no limit can be lifted");
        assert!(answer.contains("needs CAP_SYS_RESOURCE"), "{answer}");
    }
    let vms = daemon.connect().binder().debugListVms().unwrap();
    assert_eq!(vms[0].requesterUid.cast_unsigned(), NOBODY);

    // In the socket's group, but without a permission.
    let file = daemon.path("etc/avf/permissions.json");
    fs::write(&file, r#"{"manage": []}"#).unwrap();
    let args = ["--group", &GROUP.to_string()];
    let daemon = daemon.restart(&args);
    let mut member = Client::start(daemon.root.path(), NOBODY, GROUP);
    for order in ["allocate 1", "memlock", "atom 65534"] {
        let answer = member.ask(order);
        assert!(
            answer.contains("MANAGE_VIRTUAL_MACHINE: only root has it"),
            "{order}: {answer}"
        );
    }
}
