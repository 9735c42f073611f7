// SPDX-License-Identifier: Apache-2.0
//! Faults that a right manager does not have: managers that do not start, lie, die or do not end.
//!
//! This program is its own misbehaving manager: called with `--rpc-server-fd` it is one, of the
//! kind that `FAKE_MANAGER` names; else it runs the tests. A right manager with a guest is tested
//! elsewhere.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test, which Clippy cannot see as it has a main of its own"
)]

use std::os::fd::{FromRawFd, OwnedFd};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use avf_aidl::common::DeathReason as AidlDeathReason;
use avf_aidl::service::{
    IVirtualMachineCallback, IVirtualizationService, VirtualMachineConfig, VirtualMachineRawConfig,
    VirtualMachineState,
};
use avf_rpc::bootstrap;
use avf_rpc::server::{Policy, Server};
use avf_wire::server::{Machine, Service, service};
use avf_wire::{CreateVm, Wire};
use rsbinder::{BinderResult, ExceptionCode, Status, Strong};
use std::sync::{Arc, Mutex, mpsc};
use vmclient::{DeathReason, Error, Event, Manager, ManagerOptions, Stderr, Streams};

const KIND: &str = "FAKE_MANAGER";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    if let Some(at) = args.iter().position(|a| a == "--rpc-server-fd") {
        return fake::main(&args[at..]);
    }
    let tests: [(&str, fn()); 12] = [
        ("missing_program", missing_program),
        ("ends_at_once", ends_at_once),
        ("is_not_permitted", is_not_permitted),
        ("wrong_byte", wrong_byte),
        ("silent_manager", silent_manager),
        ("no_session", no_session),
        ("ready_but_not_serving", ready_but_not_serving),
        ("errors_from_main", errors_from_main),
        ("events_and_refusals", events_and_refusals),
        ("manager_dies", manager_dies),
        ("manager_does_not_end", manager_does_not_end),
        ("detached_manager", detached_manager),
    ];
    // As a harness does: some of the tests by parts of their names, or only the names.
    let words = &args[1..];
    let wanted: Vec<_> = words.iter().filter(|word| !word.starts_with('-')).collect();
    let is_list = words.iter().any(|word| word == "--list");
    let mut count = 0;
    for (name, test) in tests {
        if !wanted.is_empty() && !wanted.iter().any(|part| name.contains(part.as_str())) {
            continue;
        }
        if is_list {
            println!("{name}: test");
            continue;
        }
        println!("test {name} ...");
        test();
        println!("test {name} ... ok");
        count += 1;
    }
    if count > 0 {
        println!("\ntest result: ok. {count} passed; 0 failed; 0 ignored");
    }
    ExitCode::SUCCESS
}

/// A "manager" that is a shell script; `$4` is the number of the ready pipe.
fn script(text: &str) -> ManagerOptions {
    ManagerOptions::new("fake")
        .wrapper(["/bin/sh", "-c", text])
        .stderr(Stderr::Keep)
}

/// This program as a manager.
fn fake(kind: &str) -> ManagerOptions {
    ManagerOptions::new(std::env::current_exe().unwrap())
        .env(KIND, kind)
        .stderr(Stderr::Keep)
}

fn start_error(options: &ManagerOptions) -> String {
    let error = Manager::start(options).expect_err("a manager that does not work");
    assert!(matches!(error, Error::NotReady { .. }), "{error:?}");
    error.to_string()
}

fn missing_program() {
    let error = Manager::start(&ManagerOptions::new("/nonexistent/virtmgr")).unwrap_err();
    let Error::Spawn { source, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(source.kind(), std::io::ErrorKind::NotFound);
    assert!(error.to_string().contains("/nonexistent/virtmgr"));
}

fn ends_at_once() {
    let text = start_error(&script("echo no such luck >&2; exit 3"));
    assert!(text.contains("exit status: 3"), "{text}");
    assert!(text.contains("no such luck"), "{text}");
    // A child that outlives the manager and holds both channels must not hide the end.
    let text = start_error(&script("sleep 1000 & echo $! >&2; exit 4"));
    assert!(text.contains("exit status: 4"), "{text}");
    let pid = text.rsplit(' ').next().unwrap().parse().unwrap();
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(pid).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
}

fn is_not_permitted() {
    let cause = |text| match Manager::start(&script(text)).unwrap_err() {
        Error::NotReady { cause, .. } => cause,
        other => panic!("{other:?}"),
    };
    assert!(cause("exit 77").is_not_permitted());
    assert!(!cause("exit 1").is_not_permitted());
    assert!(!cause("kill -TERM $$").is_not_permitted());
}

fn wrong_byte() {
    let text = start_error(&script("printf x > /proc/self/fd/$4; exec sleep 1000"));
    assert!(text.contains("'x'"), "{text}");
}

fn silent_manager() {
    let options = script("exec sleep 1000").ready_timeout(Duration::from_millis(50));
    let text = start_error(&options);
    assert!(text.contains("it was not ready after 0.05 s"), "{text}");
}

fn no_session() {
    // `o`, but then the bootstrap socket is closed.
    let error = Manager::start(&script("printf o > /proc/self/fd/$4; exit 0")).unwrap_err();
    assert!(matches!(error, Error::Session { .. }), "{error:?}");
}

/// It says that it is ready, keeps the socket open and never answers: the start has a bound all the
/// same, and the process is gone.
fn ready_but_not_serving() {
    let started = Instant::now();
    let options = script("echo $$ >&2; printf o > /proc/self/fd/$4; exec sleep 1000")
        .ready_timeout(Duration::from_millis(200));
    let error = Manager::start(&options).unwrap_err();
    assert!(matches!(error, Error::Session { .. }), "{error:?}");
    assert!(
        format!("{error:?}").ends_with("the other end does not answer"),
        "{error:?}"
    );
    // Far below the 10 s that a manager has to end.
    assert!(started.elapsed() < Duration::from_secs(9));
}

/// What a client's `main` prints that returns the error.
fn errors_from_main() {
    let manager = Manager::start(&fake("works")).unwrap();
    let error = manager
        .create_vm(&config("refuse"), Streams::default())
        .unwrap_err();
    assert_eq!(format!("{error:?}"), "cannot create the VM: not this one");
    let Error::Call(call) = error else {
        panic!("{error:?}")
    };
    assert_eq!(call.exception_name(), "UNSUPPORTED_OPERATION");
    drop(manager);

    let error = Manager::start(&script("exit 3")).unwrap_err();
    assert_eq!(
        format!("{error:?}"),
        "cannot start the VM manager fake: it ended at once (exit status: 3)"
    );
}

fn config(name: &str) -> VirtualMachineConfig {
    VirtualMachineConfig::RawConfig(VirtualMachineRawConfig {
        name: name.into(),
        ..Default::default()
    })
}

fn events_and_refusals() {
    let manager = Manager::start(&fake("works")).unwrap();
    let error = manager
        .create_vm(&config("refuse"), Streams::default())
        .unwrap_err();
    assert_eq!(error.to_string(), "cannot create the VM: not this one");

    let vm = manager
        .create_vm(&config("vm"), Streams::default())
        .unwrap();
    assert_eq!(vm.cid(), 77);
    assert_eq!(vm.wait_for_death(Some(Duration::ZERO)).unwrap(), None);
    let timeout = vm.wait_until_ready(Duration::ZERO).unwrap_err();
    assert!(matches!(timeout, Error::Timeout { .. }), "{timeout:?}");

    let (tx, rx) = mpsc::channel();
    assert!(vm.on_event(move |timed| {
        // After the test has seen enough, no one listens.
        let _ = tx.send(timed.event.clone());
    }));
    assert!(!vm.on_event(|_| ()));
    vm.start().unwrap();
    vm.wait_until_ready(Duration::MAX).unwrap();
    let error = vm.connect_session(5678).err().expect("no one listens");
    assert!(
        matches!(error, Error::Connect { port: 5678, .. }),
        "{error:?}"
    );
    vm.stop().unwrap();
    assert_eq!(vm.wait_for_death(None).unwrap(), Some(DeathReason::Killed));
    let error = vm.wait_until_ready(Duration::MAX).unwrap_err();
    assert_eq!(error.to_string(), "the VM died: KILLED");

    let expected = [
        Event::PayloadStarted,
        Event::PayloadReady,
        Event::PayloadFinished(5),
        Event::Died(DeathReason::Killed),
    ];
    assert_eq!(rx.iter().take(expected.len()).collect::<Vec<_>>(), expected);
    let recorded = vm.events();
    assert!(recorded.is_sorted_by_key(|timed| timed.at));
    assert_eq!(
        recorded
            .into_iter()
            .map(|timed| timed.event)
            .collect::<Vec<_>>(),
        expected
    );
    assert_eq!(vm.payload_exit_code(), Some(5));

    // The fake's VM says a last word when the last reference to it goes.
    drop(vm);
    assert_eq!(rx.recv().unwrap(), Event::Died(DeathReason::Unknown));
    assert!(manager.end().status.unwrap().success());
}

fn manager_dies() {
    let manager = Manager::start(&fake("dies")).unwrap();
    let vm = manager
        .create_vm(&config("vm"), Streams::default())
        .unwrap();
    vm.start().unwrap();
    std::thread::scope(|scope| {
        // One who waits before the manager dies, and those who ask then and later.
        let waiter = scope.spawn(|| vm.wait_for_death(None).map(|_| ()).unwrap_err());
        let during = vm.state().map(|_| ()).unwrap_err();
        // The VM was ready once: only after the loss is noted is it lost for one who waits for that.
        let noted = waiter.join().unwrap();
        let later = vm.wait_until_ready(Duration::MAX).unwrap_err();
        for error in [noted, during, later] {
            assert!(matches!(error, Error::ManagerLost { .. }), "{error:?}");
            let text = error.to_string();
            assert!(
                text.contains("exit status: 7") && text.contains("farewell"),
                "{text}"
            );
        }
    });
}

fn manager_does_not_end() {
    let options = fake("stays").end_timeout(Duration::from_millis(50));
    let manager = Manager::start(&options).unwrap();
    let pid = manager.process_id();
    drop(manager);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
}

fn detached_manager() {
    let detached = vmclient::spawn(&fake("works")).unwrap();
    let pid = rustix::process::Pid::from_raw(detached.process_id.try_into().unwrap()).unwrap();
    // It is served over the descriptor alone.
    let session = bootstrap::connect(&detached.socket, Duration::from_secs(60)).unwrap();
    session
        .get_root()
        .and_then(rsbinder::SIBinder::into_interface::<dyn IVirtualizationService>)
        .unwrap();
    session.close_session();
    rustix::process::test_kill_process(pid).unwrap();
    drop(detached);
    // No zombie stays: the number is free in the end, though no one here waits for the process.
    let deadline = Instant::now() + Duration::from_secs(60);
    while rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH) {
        assert!(Instant::now() < deadline, "manager {pid:?} is still there");
        std::thread::sleep(Duration::from_millis(1));
    }

    let error = vmclient::spawn(&script("echo no such luck >&2; exit 3")).unwrap_err();
    assert!(error.to_string().contains("no such luck"), "{error}");
}

/// The managers that misbehave.
mod fake {
    use super::*;

    pub(super) fn main(args: &[String]) -> ExitCode {
        let fd = |at: usize| {
            let fd = args[at].parse().unwrap();
            // SAFETY: the client passes both descriptors to this program for its own use, and
            // each is taken once.
            unsafe { OwnedFd::from_raw_fd(fd) }
        };
        let (socket, ready) = (fd(1), fd(3));
        let policy = Policy {
            connections: 8,
            threads: 2,
            callbacks: 0,
            call_bytes: None,
            fds: true,
            reply_timeout: None,
        };
        let wire = Wire::new(avf_wire::Default::default());
        let server = Server::new(service(Box::new(Manager), Arc::new(wire)), policy).unwrap();
        rustix::io::write(&ready, b"o").unwrap();
        drop(ready);
        bootstrap::serve(&socket, &server).unwrap();
        if kind() == "stays" {
            std::thread::sleep(Duration::from_secs(1000));
        }
        drop(server);
        ExitCode::SUCCESS
    }

    fn kind() -> String {
        std::env::var(KIND).unwrap()
    }

    struct Vm(Mutex<Option<Strong<dyn IVirtualMachineCallback>>>);

    impl Vm {
        fn callback(&self) -> Strong<dyn IVirtualMachineCallback> {
            self.0
                .lock()
                .unwrap()
                .clone()
                .expect("a callback registered before the start")
        }
    }

    impl Drop for Vm {
        fn drop(&mut self) {
            if let Some(callback) = self.0.lock().unwrap().take() {
                // At the end of the session nobody can be told.
                let _ = callback.onDied(77, AidlDeathReason::UNKNOWN);
            }
        }
    }

    impl Machine for Vm {
        fn cid(&self) -> BinderResult<i32> {
            Ok(77)
        }
        fn state(&self) -> BinderResult<VirtualMachineState> {
            if kind() == "dies" {
                eprintln!("farewell");
                std::process::exit(7);
            }
            Ok(VirtualMachineState::STARTED)
        }
        fn register_callback(
            &self,
            callback: &Strong<dyn IVirtualMachineCallback>,
        ) -> BinderResult<()> {
            *self.0.lock().unwrap() = Some(callback.clone());
            Ok(())
        }
        fn start(&self) -> BinderResult<()> {
            self.callback().onPayloadStarted(77)?;
            self.callback().onPayloadReady(77)
        }
        fn stop(&self) -> BinderResult<()> {
            self.callback().onPayloadFinished(77, 5)?;
            self.callback().onDied(77, AidlDeathReason::KILLED)
        }
    }

    struct Manager;

    impl Service for Manager {
        fn create_vm(&self, arguments: &CreateVm) -> BinderResult<Arc<dyn Machine>> {
            match &arguments.config {
                VirtualMachineConfig::RawConfig(raw) if raw.name == "refuse" => Err(Status::from(
                    (ExceptionCode::UnsupportedOperation, "not this one"),
                )),
                _ => Ok(Arc::new(Vm(Mutex::new(None)))),
            }
        }
    }
}
