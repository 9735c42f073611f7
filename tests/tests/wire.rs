// SPDX-License-Identifier: Apache-2.0
//! Clients of every release, whose bytes are written from the contract and not by generated code:
//! each drives a real guest from its creation to its end.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test panics"
)]

use rsbinder::{SIBinder, Strong};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;
use system_tests::host::{self, Host, VM};
use system_tests::raw_client::{Answer, Failure, ON_DIED, Part, RawClient};
use system_tests::raw_vm::{DEAD, Files, NOT_STARTED, READ_ONLY_TEXT, READY, ReadyVm};
use vm_demo::IDemoService;
use wire_bytes::guest::{CPUS, DISK_ID, MEMORY_MIB, READ_ONLY_LABEL, SERIAL_NUMBER, instance_id};
use wire_bytes::schema::Type;
use wire_bytes::{Layout, Reader, Value, Writer};

/// What a suspended guest does not do.
const SILENCE: Duration = Duration::from_millis(500);
/// How long it may take to do it when it has been resumed.
const PATIENCE: Duration = Duration::from_secs(300);
/// `DeathReason.KILLED`.
const KILLED: i32 = 1;
/// `ServiceSpecificException`, `UnsupportedOperationException`, `IllegalStateException`.
const REFUSALS: [i32; 3] = [-8, -7, -5];
/// What a client says of its terminal.
const CONSOLE: &str = "/dev/pts/17";

/// What the manager calls the release of a layout.
fn title(layout: Layout) -> &'static str {
    match layout {
        Layout::A15 => "Android 15",
        Layout::A15Qpr1 => "Android 15 QPR1",
        Layout::A15Qpr2 => "Android 15 QPR2",
        Layout::A16 => "Android 16",
        Layout::A16Hs => "Android 16 QPR1/QPR2",
        Layout::A16Main => "Android main after 16 QPR2",
        Layout::A17R1 => "Android 17 preview",
        Layout::A17 => "Android 17",
        Layout::A17_1 => "Android 17 (API 37.1)",
    }
}

fn text(text: &str) -> Vec<i32> {
    let mut writer = Writer::default();
    writer.value(&Type::Text, &Value::text(text));
    writer.finish().words()
}

/// The whole life of a VM of one release's client.
fn live(host: &Host, program: &str, layout: Layout) {
    let client = RawClient::start(host, program, layout);
    let files = Files::new(host, "vm", &["--write=/tmp/here:1"]);
    let vm = files
        .create(&client)
        .unwrap_or_else(|e| panic!("createVm: {e:?}\n{}", client.log()));
    expect_recognised(&client, layout);
    assert_eq!(state(&client, &vm), NOT_STARTED);
    let ready = ReadyVm::start(&client, vm);
    assert_eq!(state(&client, &ready.vm), READY);

    let demo = ready.service(&client);
    assert_eq!(demo.addInteger(20, 22).unwrap(), 42);
    expect_fields(layout, &*demo);
    assert!(files.console().contains("vm_demo_payload") || !files.log().is_empty());
    if layout.machine_code("suspend").is_some() {
        suspend_and_resume(&client, &ready, demo);
    }
    balloon(&client, &ready);
    debug_info(&client, &ready);
    if layout == Layout::A15 {
        // There is nothing to trim; the call is one all the same.
        let answer = client.machine(&ready.vm, "onTrimMemory", &[Part::Words(&[0])]);
        answer.unwrap().void();
    }
    about_the_host(&client);

    client.machine(&ready.vm, "stop", &[]).unwrap().void();
    assert_eq!(ready.calls.wait(ON_DIED, &client), [ready.cid, KILLED]);
    assert_eq!(state(&client, &ready.vm), DEAD);
    // onPayloadStarted, onPayloadReady, onDied; nothing that the release does not have.
    let codes: Vec<u32> = ready.calls.all().into_iter().map(|call| call.0).collect();
    assert_eq!(codes, [1, 2, 5]);
    drop(ready);
    client.close();
}

fn state(client: &RawClient, vm: &SIBinder) -> i32 {
    client.machine(vm, "getState", &[]).unwrap().int()
}

/// The log says once which release was recognised and by what.
fn expect_recognised(client: &RawClient, layout: Layout) {
    client.expect_in_log(&["speaks the wire of", title(layout), "createVm"]);
    let log = client.log();
    let lines: Vec<_> = log
        .lines()
        .filter(|line| line.contains("speaks the wire of"))
        .collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    let (_, releases) = lines[0].split_once("speaks the wire of ").unwrap();
    let (releases, _) = releases.split_once(", by createVm").unwrap();
    assert_eq!(releases, title(layout));
}

/// What the guest sees of the config shows that each field was read from its place.
fn expect_fields(layout: Layout, demo: &dyn IDemoService) {
    let read = |path: &str| {
        let bytes = demo
            .readFile(path)
            .unwrap_or_else(|e| panic!("{path}: {e:?}"));
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let memory = read("/proc/meminfo");
    let kib: i32 = memory.split_whitespace().nth(1).unwrap().parse().unwrap();
    let mib = kib / 1024;
    assert!((MEMORY_MIB - 100..=MEMORY_MIB).contains(&mib), "{mib} MiB");
    let cpus = read("/proc/cpuinfo").matches("processor\t:").count();
    let expected = match layout {
        Layout::A15 | Layout::A15Qpr1 | Layout::A15Qpr2 => {
            thread::available_parallelism().unwrap().get()
        }
        _ => usize::try_from(CPUS).unwrap(),
    };
    assert_eq!(cpus, expected);
    assert!(read("/proc/cmdline").contains("avf.payload="));
    let partition = read("/sys/class/block/vda1/uevent");
    let name = format!("PARTNAME={READ_ONLY_LABEL}");
    assert!(partition.lines().any(|line| line == name), "{partition}");
    let content = read("/dev/vda1");
    assert!(content.starts_with(READ_ONLY_TEXT), "{content:.40}");
    assert_eq!(read("/sys/class/block/vda1/ro").trim(), "0");
    // The second disk is one image.
    assert_eq!(read("/sys/class/block/vdb/size").trim(), "2048");
    if matches!(layout, Layout::A17R1 | Layout::A17 | Layout::A17_1) {
        assert_eq!(read("/sys/class/block/vda/serial").trim(), DISK_ID);
        assert_eq!(
            read("/sys/class/dmi/id/product_serial").trim(),
            SERIAL_NUMBER
        );
    }
}

fn suspend_and_resume(client: &RawClient, ready: &ReadyVm, demo: Strong<dyn IDemoService>) {
    client.machine(&ready.vm, "suspend", &[]).unwrap().void();
    let (answer, answers) = channel();
    let asking = thread::spawn(move || {
        let _ = answer.send(demo.addInteger(1, 2));
    });
    assert_eq!(
        answers.recv_timeout(SILENCE).err(),
        Some(RecvTimeoutError::Timeout)
    );
    client.machine(&ready.vm, "resume", &[]).unwrap().void();
    assert_eq!(answers.recv_timeout(PATIENCE).unwrap().unwrap(), 3);
    asking.join().unwrap();
}

/// The config of releases before 16 says `noBalloon`, that of later ones `balloon`.
fn balloon(client: &RawClient, ready: &ReadyVm) {
    let layout = client.layout;
    let has = |method| layout.machine_code(method).is_some();
    let get = if has("getMemoryBalloon") {
        "getMemoryBalloon"
    } else {
        "getActualMemoryBalloonBytes"
    };
    if has("isMemoryBalloonEnabled") {
        let is_enabled = client.machine(&ready.vm, "isMemoryBalloonEnabled", &[]);
        assert_eq!(is_enabled.unwrap().int(), 1);
        let Value::Long(bytes) = client
            .machine(&ready.vm, get, &[])
            .unwrap()
            .value(&Type::Long)
        else {
            unreachable!("a long is a long");
        };
        assert!(
            (0..=i64::from(MEMORY_MIB) << 20).contains(&bytes),
            "{bytes}"
        );
        let size = [8 << 20, 0];
        let set = client.machine(&ready.vm, "setMemoryBalloon", &[Part::Words(&size)]);
        set.unwrap().void();
    } else if has(get) {
        expect_refused(client.machine(&ready.vm, get, &[]), "alloon");
    }
}

fn expect_refused(answer: Result<Answer, Failure>, part: &str) {
    match answer.unwrap_err() {
        Failure::Exception { code, text, .. } => {
            assert!(REFUSALS.contains(&code), "{code}: {text}");
            assert!(text.contains(part), "{text}");
        }
        other => panic!("{other:?}"),
    }
}

/// `VirtualMachineDebugInfo` has the fields of the client's release.
fn debug_info(client: &RawClient, ready: &ReadyVm) {
    let layout = client.layout;
    let names_console = layout.machine_code("setHostConsoleName").is_some();
    if names_console {
        let name = text(CONSOLE);
        let set = client.machine(&ready.vm, "setHostConsoleName", &[Part::Words(&name)]);
        set.unwrap().void();
    }
    let info = Type::Parcelable(layout.debug_info());
    let check = |value: &Value| {
        let Value::Parcelable(values) = value else {
            panic!("{value:?}");
        };
        for (field, value) in layout.debug_info().fields.iter().zip(values) {
            match (field.name, value) {
                ("name", value) => assert_eq!(*value, Value::text(VM)),
                ("cid", value) => assert_eq!(*value, Value::Int(ready.cid)),
                ("temporaryDirectory", Value::Text(path)) => {
                    assert!(path.ends_with(&ready.cid.to_string()), "{path}");
                }
                ("requesterUid", value) => {
                    let uid = rustix::process::getuid().as_raw().cast_signed();
                    assert_eq!(*value, Value::Int(uid));
                }
                ("requesterPid", value) => {
                    let pid = std::process::id().cast_signed();
                    assert_eq!(*value, Value::Int(pid));
                }
                ("hostConsoleName", value) => assert_eq!(*value, Value::text(CONSOLE)),
                ("instanceId", value) => assert_eq!(*value, Value::Bytes(instance_id().to_vec())),
                other => panic!("{other:?}"),
            }
        }
    };
    let words = client.service("debugListVms", &[]).unwrap().words();
    let mut all = Reader::new(&words);
    assert_eq!(all.word(), 1, "the number of VMs");
    check(&all.value(&info));
    assert_eq!(all.rest(), [0; 0]);
    if layout.machine_code("getDebugInfo").is_some() {
        check(
            &client
                .machine(&ready.vm, "getDebugInfo", &[])
                .unwrap()
                .value(&info),
        );
    }
}

/// Calls that say something of the host, with the codes of the client's release.
fn about_the_host(client: &RawClient) {
    let is_enabled = |feature: &str| {
        let name = text(feature);
        client
            .service("isFeatureEnabled", &[Part::Words(&name)])
            .unwrap()
            .int()
    };
    assert_eq!(is_enabled("com.android.kvm.NETWORK"), 1);
    assert_eq!(is_enabled("com.android.kvm.NO_SUCH_FEATURE"), 0);
    let texts = Type::Array(&Type::Text);
    let list = client
        .service("getSupportedOSList", &[])
        .unwrap()
        .value(&texts);
    assert_eq!(list, Value::Array(Vec::new()));
    let is_supported = client.service("isUpdatableVmSupported", &[]).unwrap();
    assert_eq!(is_supported.int(), 0);
    if client.layout.service_code("getDebugPolicy").is_some() {
        let policy = client.service("getDebugPolicy", &[]).unwrap();
        assert!(matches!(policy.value(&Type::Text), Value::Text(text) if !text.is_empty()));
    }
}

macro_rules! lives {
    ($($test:ident: $layout:ident,)*) => {
        $(#[test]
        fn $test() {
            host::run(stringify!($test), |host| live(host, "virtmgr", Layout::$layout));
        })*
    };
}

lives! {
    a_client_of_15: A15,
    a_client_of_15_qpr1: A15Qpr1,
    a_client_of_15_qpr2: A15Qpr2,
    a_client_of_16: A16,
    a_client_of_16_qpr2: A16Hs,
    a_client_of_the_main_branch_after_16: A16Main,
    a_client_of_the_preview_of_17: A17R1,
    a_client_of_17: A17,
    a_client_of_17_1: A17_1,
}

/// `early_virtmgr` knows the same releases. One of them runs a guest.
#[test]
fn early_clients_of_every_release() {
    host::run("early_clients_of_every_release", |host| {
        for layout in Layout::ALL {
            let client = RawClient::start(host, "early_virtmgr", layout);
            let files = Files::new(host, "vm", &[]);
            let vm = files
                .create(&client)
                .unwrap_or_else(|e| panic!("{}: {e:?}\n{}", layout.name(), client.log()));
            expect_recognised(&client, layout);
            assert_eq!(state(&client, &vm), NOT_STARTED);
            if layout == Layout::A16 {
                let ready = ReadyVm::start(&client, vm);
                assert_eq!(ready.service(&client).addInteger(1, 1).unwrap(), 2);
                drop(ready);
            } else {
                drop(vm);
            }
            client.end();
        }
    });
}
