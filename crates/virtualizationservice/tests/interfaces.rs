// SPDX-License-Identifier: Apache-2.0
//! What the service does besides contexts, and what it refuses, over its Unix socket.
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

use avf_aidl::maintenance::{
    BnVirtualizationReconciliationCallback, IVirtualizationMaintenance,
    IVirtualizationReconciliationCallback,
};
use avf_aidl::r15_qpr1::global::{AtomVmBooted, AtomVmCreationRequested, AtomVmExited};
use harness::{Daemon, OfAndroid15 as _, listed, new_root, until};
use rsbinder::{BinderResult, ExceptionCode, FromIBinder, Interface, ParcelFileDescriptor};
use service_client::{MAINTENANCE_SOCKET, SOCKET};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::time::Duration;

#[test]
fn bad_input_is_refused_by_name() {
    let daemon = Daemon::start(&[]);
    let service = daemon.connect();
    let binder = service.binder();
    let refused = |result: BinderResult<()>, part: &str| {
        let e = result.unwrap_err();
        assert_eq!(
            e.exception_code(),
            ExceptionCode::IllegalArgument,
            "{part}: {e}"
        );
        assert!(e.to_string().contains(part), "{part}: {e}");
    };
    for pid in [0, -1, i32::MIN] {
        refused(
            binder.allocateGlobalVmContext(pid).map(drop),
            &format!("Pid {pid}"),
        );
    }
    let context = binder.allocateGlobalVmContext(1).unwrap();
    for name in ["/dev/pts/1\nuid 0", "\0", &"x".repeat(4096)] {
        refused(context.setHostConsoleName(name), "console's name");
    }
    context.setHostConsoleName("").unwrap();
    context.setHostConsoleName(&"\u{e9}".repeat(2047)).unwrap();
    for suffix in ["", "12345678", "a/b", "a b", "%d", &"x".repeat(100_000)] {
        refused(
            binder.createTapInterface(suffix).map(drop),
            "end of an interface's name",
        );
    }
    let null = ParcelFileDescriptor::new(File::open("/dev/null").unwrap());
    refused(binder.deleteTapInterface(&null), "not /dev/tun");
    // The kernel lacks VFIO below this root, which is said first.
    let e = binder
        .bindDevicesToVfioDriver(&["/sys/x".into()])
        .map(drop)
        .unwrap_err();
    assert_eq!(e.exception_code(), ExceptionCode::UnsupportedOperation);
    for path in ["dev/vfio", "sys/bus/platform/drivers/vfio-platform"] {
        fs::create_dir_all(daemon.path(path)).unwrap();
    }
    fs::write(daemon.path("dev/vfio/vfio"), "").unwrap();
    for device in ["", "/sys/x", "../../etc", "x\ny"] {
        let result = binder.bindDevicesToVfioDriver(&[device.to_owned()]);
        refused(result.map(drop), "may not be given to a VM");
    }
    assert!(binder.bindDevicesToVfioDriver(&[]).unwrap().is_empty());
    assert!(binder.getAssignableDevices().unwrap().is_empty());

    let unsupported = |result: BinderResult<()>, part: &str| {
        let e = result.unwrap_err();
        assert_eq!(
            e.exception_code(),
            ExceptionCode::UnsupportedOperation,
            "{e}"
        );
        assert!(e.to_string().contains(part), "{part}: {e}");
    };
    unsupported(binder.getDtboFile().map(drop), "no overlay for VMs");
    unsupported(
        binder.requestAttestation(&[0; 9], -1, true).map(drop),
        "declared",
    );
    unsupported(binder.enableTestAttestation(), "declared");
    assert!(!binder.isRemoteAttestationSupported().unwrap());
    unsupported(binder.waitDisplayService().map(drop), "kernel binder");
    unsupported(
        binder.setDisplayService(&binder.as_binder()),
        "kernel binder",
    );
    unsupported(binder.clearDisplayService(), "kernel binder");

    // One call of more than a mebibyte ends its session, and no one else's.
    let other = daemon.connect();
    assert!(binder.createTapInterface(&"x".repeat(2 << 20)).is_err());
    assert!(listed(&other.binder()).len() <= 1);
}

#[test]
fn noise_and_silence_hurt_no_one() {
    let daemon = Daemon::start(&[]);
    let _silent: Vec<_> = (0..20)
        .map(|_| UnixStream::connect(daemon.path(SOCKET)).unwrap())
        .collect();
    for noise in [&[0xff; 64][..], &[0; 4096], b"GET / HTTP/1.1\r\n\r\n"] {
        let mut stream = UnixStream::connect(daemon.path(SOCKET)).unwrap();
        // It may be closed before all is written.
        let _ = stream.write_all(noise);
    }
    let service = daemon.connect();
    let context = service.binder().allocateGlobalVmContext(1).unwrap();
    assert_eq!(context.getCid().unwrap(), 2048);
}

#[test]
fn a_tap_interface_is_handed_over() {
    let suffix = format!("d{}", std::process::id() % 1_000_000);
    let sysfs = format!("/sys/class/net/avf_tap_{suffix}");
    // Below the root there is no device; a link to the real one stands for it.
    let daemon = Daemon::start(&[]);
    let service = daemon.connect();
    let e = service
        .binder()
        .createTapInterface(&suffix)
        .map(drop)
        .unwrap_err();
    assert!(e.to_string().contains("load the kernel module tun"), "{e}");
    fs::create_dir_all(daemon.path("dev/net")).unwrap();
    std::os::unix::fs::symlink("/dev/net/tun", daemon.path("dev/net/tun")).unwrap();
    let tap = match service.binder().createTapInterface(&suffix) {
        Ok(tap) => tap,
        Err(e) => {
            skip::skip!("{e}");
            return;
        }
    };
    let flags = || fs::read_to_string(format!("{sysfs}/flags")).unwrap();
    let is_up = |text: String| {
        text.trim_end()
            .ends_with(['1', '3', '5', '7', '9', 'b', 'd', 'f'])
    };
    assert!(is_up(flags()), "{}", flags());
    let e = service
        .binder()
        .createTapInterface(&suffix)
        .map(drop)
        .unwrap_err();
    assert!(e.to_string().contains("is in use"), "{e}");
    service.binder().deleteTapInterface(&tap).unwrap();
    assert!(!is_up(flags()), "{}", flags());
    drop(tap);
    until("the interface's end", || !Path::new(&sysfs).exists());
}

struct NoOneExists;

impl Interface for NoOneExists {}

impl IVirtualizationReconciliationCallback for NoOneExists {
    fn doUsersExist(&self, users: &[i32]) -> BinderResult<Vec<bool>> {
        Ok(vec![false; users.len()])
    }
    fn doAppsExist(&self, _: i32, apps: &[i32]) -> BinderResult<Vec<bool>> {
        Ok(vec![false; apps.len()])
    }
}

#[test]
fn instance_ids_and_their_maintenance() {
    if !rustix::process::geteuid().is_root() {
        skip::skip!("only root may say which users and apps are gone");
        return;
    }
    let daemon = Daemon::start(&["--record-instance-ids"]);
    let database = daemon.path("var/lib/virtualizationservice/vmdb.sqlite");
    let mode = fs::metadata(&database).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    let count = || -> i64 {
        rusqlite::Connection::open(&database)
            .unwrap()
            .query_row("SELECT count(*) FROM instance_ids", [], |row| row.get(0))
            .unwrap()
    };
    let service = daemon.connect();
    let ids = [(); 2].map(|()| service.binder().allocateInstanceId().unwrap());
    assert_ne!(ids[0], ids[1]);
    // This is root, whose are not noted.
    assert_eq!(count(), 0);
    let connection = rusqlite::Connection::open(&database).unwrap();
    let insert = "INSERT INTO instance_ids (id, user_id, app_id) VALUES (?, ?, ?)";
    for (number, (user, app)) in [(0, 10_001), (0, 10_002), (10, 10_001)].iter().enumerate() {
        let id = [u8::try_from(number).unwrap(); 64];
        connection.execute(insert, (id, user, app)).unwrap();
    }
    // Not root's to remove by their ids.
    service.binder().removeVmInstance(&[0; 64]).unwrap();
    let e = service.binder().claimVmInstance(&[0; 64]).unwrap_err();
    assert_eq!(e.exception_code(), ExceptionCode::Security, "{e}");
    assert_eq!(count(), 3);

    let session =
        avf_rpc::unix::connect(&daemon.path(MAINTENANCE_SOCKET), Duration::from_secs(60)).unwrap();
    let maintenance =
        <dyn IVirtualizationMaintenance>::try_from(session.get_root().unwrap()).unwrap();
    for result in [
        maintenance.appRemoved(-1, 10_001),
        maintenance.appRemoved(0, i32::MIN),
        maintenance.userRemoved(-1),
    ] {
        assert_eq!(
            result.unwrap_err().exception_code(),
            ExceptionCode::IllegalArgument
        );
    }
    maintenance.appRemoved(0, 10_001).unwrap();
    assert_eq!(count(), 2);
    maintenance.userRemoved(10).unwrap();
    assert_eq!(count(), 1);
    let callback = BnVirtualizationReconciliationCallback::new_binder(NoOneExists);
    maintenance.performReconciliation(&callback).unwrap();
    assert_eq!(count(), 0);
    session.close_session();
}

#[test]
fn atoms_are_logged_and_sent() {
    if !rustix::process::geteuid().is_root() {
        skip::skip!("only root may count other users' VMs");
        return;
    }
    let root = new_root();
    fs::create_dir_all(root.path().join("dev/socket")).unwrap();
    let statsd = UnixDatagram::bind(root.path().join("dev/socket/statsdw")).unwrap();
    statsd.set_read_timeout(Some(harness::PATIENCE)).unwrap();
    let daemon = Daemon::start_in(root, &["--statsd-atoms", "exited=4321"]);
    let service = daemon.connect();
    let created = AtomVmCreationRequested {
        uid: 10_001,
        vmIdentifier: "my \"vm\"\n".into(),
        isProtected: false,
        creationSucceeded: true,
        binderExceptionCode: 0,
        configType: 2,
        numCpus: 1,
        memoryMib: 256,
        apexes: String::new(),
    };
    service.binder().atomVmCreationRequested(&created).unwrap();
    // Of this one the number is not known here.
    service
        .binder()
        .atomVmBooted(&AtomVmBooted::default())
        .unwrap();
    let exited = AtomVmExited {
        vmIdentifier: "vm".into(),
        elapsedTimeMillis: 7,
        ..AtomVmExited::default()
    };
    service.binder().atomVmExited(&exited).unwrap();
    let mut datagram = [0; 8192];
    let mut next = || {
        let length = statsd.recv(&mut datagram).unwrap();
        datagram[..length].to_vec()
    };
    let event = next();
    // Log header and tag, then: an object of 13 fields, the first the time since boot.
    assert_eq!(event[0], 5);
    assert_eq!(event[11..17], [b't', b'a', b't', b's', 7, 13]);
    assert_eq!(event[26..31], [0, 0x99, 1, 0, 0]);
    let boot = i64::from_le_bytes(event[18..26].try_into().unwrap());
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime).tv_sec;
    assert!((0..=120).contains(&(now - boot / 1_000_000_000)));
    let exited = next();
    assert_eq!(exited[26..31], [0, 0xe1, 0x10, 0, 0]);
    let log = daemon.log_text();
    let line = log
        .lines()
        .find(|line| line.contains("atom=vm_creation_requested"))
        .unwrap();
    assert!(
        line.contains(r#"uid=10001 name="my \"vm\"\n" protected=false"#),
        "{line}"
    );
    assert!(
        log.contains("atom=vm_exited uid=0 name=\"vm\" death_reason=0"),
        "{log}"
    );
}
