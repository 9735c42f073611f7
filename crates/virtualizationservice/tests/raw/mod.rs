// SPDX-License-Identifier: Apache-2.0
//! Calls put together word by word, without any generated code.

use crate::harness::{CLIENT, Daemon, PATIENCE};
use rsbinder::rpc::RpcSession;
use rsbinder::{
    Binder as LocalBinder, ExceptionCode, FLAG_CLEAR_BUF, FLAG_PRIVATE_LOCAL, Interface, Parcel,
    ParcelFileDescriptor, Remotable, SIBinder, Status, StatusCode, TransactionCode,
};
use service_client::wire::{DESCRIPTOR, ListedVm, Wire};
use service_client::{SOCKET, Service, Way};
use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

/// A part of a call.
#[derive(Debug, Clone, Copy)]
pub enum Arg {
    Int(i32),
    Long(i64),
    Text(&'static str),
    Bytes(&'static [u8]),
    File,
    Binder,
}

/// A `byte[64]` that begins with this byte.
pub fn id(first: i32) -> Vec<Arg> {
    let mut words = vec![Arg::Int(64), Arg::Int(first)];
    words.resize(17, Arg::Int(0));
    words
}

/// The words of parts that are neither files nor binders.
pub fn words(parts: &[Arg]) -> Vec<i32> {
    let packed = |bytes: Vec<u8>| {
        bytes
            .chunks(4)
            .map(|chunk| {
                let mut word = [0; 4];
                word[..chunk.len()].copy_from_slice(chunk);
                i32::from_le_bytes(word)
            })
            .collect::<Vec<_>>()
    };
    let length = |length: usize| i32::try_from(length).unwrap();
    let mut words = Vec::new();
    for part in parts {
        match part {
            Arg::Int(value) => words.push(*value),
            Arg::Long(value) => words.extend(packed(value.to_le_bytes().to_vec())),
            Arg::Text(text) => {
                let units: Vec<u16> = text.encode_utf16().collect();
                words.push(length(units.len()));
                let units = units.into_iter().chain([0]);
                words.extend(packed(units.flat_map(u16::to_le_bytes).collect()));
            }
            Arg::Bytes(bytes) => {
                words.push(length(bytes.len()));
                words.extend(packed(bytes.to_vec()));
            }
            Arg::File | Arg::Binder => panic!("{part:?} is not words"),
        }
    }
    words
}

/// Why a call failed.
#[derive(Debug, PartialEq)]
pub struct Failure {
    pub code: ExceptionCode,
    pub text: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self {
            code: status.exception_code(),
            text: status.to_string(),
        }
    }
}

impl From<StatusCode> for Failure {
    fn from(code: StatusCode) -> Self {
        Status::from(code).into()
    }
}

/// The words after the status of an answer.
pub type Answer = Result<Vec<i32>, Failure>;

#[track_caller]
pub fn refused(answer: Answer, code: ExceptionCode, part: &str) {
    let failure = answer.unwrap_err();
    assert_eq!(failure.code, code, "{part}: {failure}");
    assert!(failure.text.contains(part), "{part}: {failure}");
    assert!(!failure.text.contains('\n'), "{failure}");
}

/// What is expected of a call.
pub enum Outcome {
    Words(&'static [i32]),
    /// The first word, and how many there are.
    Begins(i32, usize),
    Says(ExceptionCode, &'static str),
    Logs(&'static str),
}

impl Outcome {
    pub fn check(&self, what: &str, answer: &Answer, log: impl FnOnce() -> String) {
        match (self, answer) {
            (Self::Words(expected), Ok(words)) => assert_eq!(words, expected, "{what}"),
            (Self::Begins(first, count), Ok(words)) => {
                assert_eq!(
                    (words.first(), words.len()),
                    (Some(first), *count),
                    "{what}"
                );
            }
            (Self::Says(code, part), Err(failure)) => {
                assert_eq!(failure.code, *code, "{what}: {failure}");
                assert!(failure.text.contains(part), "{what}: {failure}");
            }
            (Self::Logs(part), Ok(words)) => {
                assert!(words.is_empty(), "{what}");
                assert!(log().contains(part), "{what}");
            }
            (_, other) => panic!("{what}: {other:?}"),
        }
    }
}

/// A connection of a manager of this release.
pub fn connect_as(daemon: &Daemon, wire: Wire) -> Service {
    let service = service_client::connect_as(daemon.root.path(), &[Way::Socket], wire);
    service.unwrap().unwrap()
}

/// A connection that shows nothing of its release by itself.
pub struct Caller {
    session: RpcSession,
    object: SIBinder,
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.session.close_session();
    }
}

/// An `IGlobalVmContext`.
pub struct Context(SIBinder);

impl Context {
    pub fn cid(&self) -> i32 {
        let name = "android.system.virtualizationservice_internal.IGlobalVmContext";
        transact(&self.0, name, 1, &[]).unwrap()[0]
    }
}

impl Caller {
    pub fn connect(daemon: &Daemon) -> Self {
        Self::connect_below(daemon.root.path())
    }

    pub fn connect_below(root: &Path) -> Self {
        let session = avf_rpc::unix::connect(&root.join(SOCKET), PATIENCE).unwrap();
        let object = session.get_root().unwrap();
        Self { session, object }
    }

    pub fn uid(&self) -> i32 {
        rustix::process::geteuid().as_raw().cast_signed()
    }

    pub fn call(&self, code: u32, arguments: &[Arg]) -> Answer {
        transact(&self.object, DESCRIPTOR, code, arguments)
    }

    /// A call that answers with a context.
    pub fn context(&self, code: u32, arguments: &[Arg]) -> Context {
        let mut reply = send(&self.object, DESCRIPTOR, code, arguments).unwrap();
        Context(reply.read().unwrap())
    }
}

fn send(
    object: &SIBinder,
    descriptor: &str,
    code: u32,
    arguments: &[Arg],
) -> Result<Parcel, Failure> {
    // Gives an object of a session its descriptor.
    rsbinder::__rpc_stamp_descriptor(object, Box::leak(descriptor.to_owned().into_boxed_str()));
    let remote = object.as_remote().unwrap();
    let mut data = remote.prepare_transact(true)?;
    for argument in arguments {
        match argument {
            Arg::File => {
                let null = std::fs::File::open("/dev/null").unwrap();
                data.write(&ParcelFileDescriptor::new(null))?;
            }
            Arg::Binder => data.write(&ListedVm::new(info("display", 0)).object())?,
            other => {
                for word in words(&[*other]) {
                    data.write(&word)?;
                }
            }
        }
    }
    let reply = remote.submit_transact(code, &data, FLAG_CLEAR_BUF | FLAG_PRIVATE_LOCAL)?;
    let mut reply = reply.unwrap();
    let status: Status = reply.read()?;
    if status.is_ok() {
        Ok(reply)
    } else {
        Err(status.into())
    }
}

fn transact(object: &SIBinder, descriptor: &str, code: u32, arguments: &[Arg]) -> Answer {
    let mut reply = send(object, descriptor, code, arguments)?;
    let mut words = Vec::new();
    while reply.data_avail() >= 4 {
        words.push(reply.read_i32().unwrap());
    }
    Ok(words)
}

pub fn info(name: &str, cid: i32) -> avf_aidl::service::VirtualMachineDebugInfo {
    avf_aidl::service::VirtualMachineDebugInfo {
        name: name.to_owned(),
        cid,
        temporaryDirectory: "/nowhere".to_owned(),
        requesterUid: 12345,
        requesterPid: 4321,
        hostConsoleName: None,
        instanceId: [9; 64],
    }
}

/// An `IVirtualMachine` that notes calls of what must not be called.
struct Vm {
    name: &'static str,
    debug_info: TransactionCode,
    has_instance_id: bool,
    was_resumed: Arc<AtomicBool>,
}

impl Remotable for Vm {
    fn descriptor() -> &'static str {
        "android.system.virtualizationservice.IVirtualMachine"
    }

    fn on_transact(
        &self,
        code: TransactionCode,
        _: &mut Parcel,
        reply: &mut Parcel,
    ) -> rsbinder::Result<()> {
        if code != self.debug_info {
            if code < self.debug_info {
                self.was_resumed.store(true, Ordering::Release);
                return reply.write(&Status::from(StatusCode::Ok));
            }
            return Err(StatusCode::UnknownTransaction);
        }
        reply.write(&Status::from(StatusCode::Ok))?;
        reply.write(&1_i32)?;
        reply.sized_write(|reply| {
            reply.write(self.name)?;
            reply.write(&7_i32)?;
            reply.write("/nowhere")?;
            reply.write(&8_i32)?;
            reply.write(&9_i32)?;
            reply.write(&-1_i32)?;
            if self.has_instance_id {
                reply.write(&[5_u8; 64])?;
            }
            Ok(())
        })
    }

    fn on_dump(&self, _: &mut dyn Write, _: &[String]) -> rsbinder::Result<()> {
        Ok(())
    }
}

/// A VM of Android 17.1, and whether anything else was called.
pub fn vm_of_17_1(name: &'static str) -> (SIBinder, impl Fn() -> bool) {
    let was_resumed = Arc::new(AtomicBool::new(false));
    let vm = Vm {
        name,
        debug_info: 15,
        has_instance_id: true,
        was_resumed: Arc::clone(&was_resumed),
    };
    let was = move || was_resumed.load(Ordering::Acquire);
    (LocalBinder::new(vm).as_binder(), was)
}

/// A VM of Android 16 QPR2.
pub fn vm_of_16_qpr2(name: &'static str) -> SIBinder {
    let vm = Vm {
        name,
        debug_info: 14,
        has_instance_id: false,
        was_resumed: Arc::default(),
    };
    LocalBinder::new(vm).as_binder()
}

/// A VM that says what it is when what is returned with it is dropped.
pub fn vm_that_waits() -> (SIBinder, Sender<()>) {
    struct Waits(Mutex<Receiver<()>>, Vm);
    impl Remotable for Waits {
        fn descriptor() -> &'static str {
            Vm::descriptor()
        }

        fn on_transact(
            &self,
            code: TransactionCode,
            reader: &mut Parcel,
            reply: &mut Parcel,
        ) -> rsbinder::Result<()> {
            let _ = self.0.lock().unwrap().recv();
            self.1.on_transact(code, reader, reply)
        }

        fn on_dump(&self, _: &mut dyn Write, _: &[String]) -> rsbinder::Result<()> {
            Ok(())
        }
    }
    let (sender, receiver) = channel();
    let vm = Vm {
        name: "late",
        debug_info: 15,
        has_instance_id: true,
        was_resumed: Arc::default(),
    };
    let waits = Waits(Mutex::new(receiver), vm);
    (LocalBinder::new(waits).as_binder(), sender)
}

/// A group that another user's manager is in.
pub const GROUP: u32 = 54321;

/// A manager in a process of its own, which makes the calls that it is ordered to.
pub struct Process {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Process {
    pub fn start(root: &Path) -> Self {
        Self::spawn(root, None)
    }

    /// The same for another user, of the group [`GROUP`].
    pub fn start_as(root: &Path, uid: u32) -> Self {
        Self::spawn(root, Some((uid, GROUP)))
    }

    fn spawn(root: &Path, user: Option<(u32, u32)>) -> Self {
        let mut command = Command::new("/proc/self/exe");
        command
            .args(["--exact", "client", "--nocapture"])
            .env(CLIENT, root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if let Some((uid, gid)) = user {
            command.uid(uid).gid(gid);
        }
        let mut child = command.spawn().unwrap();
        let orders = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self {
            child,
            orders,
            answers,
        }
    }

    /// As [`Caller::call`].
    pub fn call(&mut self, code: u32, arguments: &[Arg]) -> Answer {
        let words: Vec<String> = words(arguments).iter().map(i32::to_string).collect();
        writeln!(self.orders, "{code} {}", words.join(" ")).unwrap();
        for line in (&mut self.answers).lines() {
            let line = line.unwrap();
            let numbers = |text: &str| -> Vec<i32> {
                text.split_whitespace()
                    .map(|word| word.parse().unwrap())
                    .collect()
            };
            if let Some((_, words)) = line.split_once("words:") {
                return Ok(numbers(words));
            }
            if let Some((_, failure)) = line.split_once("failure: ") {
                let (code, text) = failure.split_once(' ').unwrap();
                return Err(Failure {
                    code: exception(code.parse().unwrap()),
                    text: text.to_owned(),
                });
            }
        }
        panic!("the process ended without an answer");
    }
}

fn exception(code: i32) -> ExceptionCode {
    [
        ExceptionCode::Security,
        ExceptionCode::IllegalArgument,
        ExceptionCode::IllegalState,
        ExceptionCode::UnsupportedOperation,
        ExceptionCode::ServiceSpecific,
        ExceptionCode::TransactionFailed,
    ]
    .into_iter()
    .find(|exception| *exception as i32 == code)
    .unwrap()
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes the calls that come as lines, if this process was started for that.
pub fn serve_orders() {
    let Some(root) = std::env::var_os(CLIENT) else {
        return;
    };
    let caller = Caller::connect_below(Path::new(&root));
    for order in std::io::stdin().lock().lines() {
        let order = order.unwrap();
        let (code, words) = order.split_once(' ').unwrap();
        let words: Vec<Arg> = words
            .split_whitespace()
            .map(|word| Arg::Int(word.parse().unwrap()))
            .collect();
        match caller.call(code.parse().unwrap(), &words) {
            Ok(words) => {
                let words: Vec<_> = words.iter().map(i32::to_string).collect();
                println!("\nwords:{}", words.join(" "));
            }
            Err(failure) => println!("\nfailure: {} {failure}", failure.code as i32),
        }
        std::io::stdout().flush().unwrap();
    }
}
