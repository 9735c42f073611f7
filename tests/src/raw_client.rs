// SPDX-License-Identifier: Apache-2.0
//! A client that speaks to a manager in bytes of its own: no generated code is between it and the
//! session. What it says is that of any release.

use crate::host::Host;
use rsbinder::rpc::RpcSession;
use rsbinder::{
    Binder, Interface, Parcel, ParcelFileDescriptor, Remotable, SIBinder, StatusCode,
    TransactionCode,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};
use vmclient::{Detached, ManagerOptions};
use wire_bytes::methods::{CALLBACK, MACHINE, SERVICE};
use wire_bytes::schema::Type;
use wire_bytes::writer::Piece;
use wire_bytes::{Layout, Message, Reader, Value, Writer};

/// How long the manager may take for its start, and for an event, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);
/// How long a line of the log may take.
const LOG_PATIENCE: Duration = Duration::from_secs(60);
/// A call that waits for its answer.
const TWO_WAY: u32 = 0;

/// `onPayloadReady`.
pub const ON_PAYLOAD_READY: u32 = 2;
/// `onDied`.
pub const ON_DIED: u32 = 5;

/// A manager, and the one session with it.
#[derive(Debug)]
pub struct RawClient {
    /// The release that the client speaks.
    pub layout: Layout,
    /// `IVirtualizationService`.
    pub service: SIBinder,
    log: Arc<Mutex<String>>,
    session: Session,
    manager: Detached,
}

struct Session(RpcSession);

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Session")
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.0.close_session();
    }
}

/// A part of a call's arguments.
#[derive(Debug, Clone, Copy)]
pub enum Part<'a> {
    /// Words as they are.
    Words(&'a [i32]),
    /// A message, with the caller's descriptors.
    Message(&'a Message, &'a [ParcelFileDescriptor]),
    /// A descriptor.
    File(&'a ParcelFileDescriptor),
    /// A binder object.
    Object(&'a SIBinder),
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The service threw an exception.
    Exception {
        /// Which one, as `binder::Status` numbers them.
        code: i32,
        /// The number of a service-specific one.
        specific: i32,
        /// What it says.
        text: String,
    },
    /// The transaction failed.
    Transaction(StatusCode),
}

impl Failure {
    /// What it says; the status of the transaction if it says nothing.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Exception { text, .. } => text.clone(),
            Self::Transaction(status) => format!("{status:?}"),
        }
    }
}

/// The number of a service-specific exception.
const SERVICE_SPECIFIC: i32 = -8;

/// A successful call's result.
#[derive(Debug)]
pub struct Answer(Parcel);

impl Answer {
    /// The words of the result.
    ///
    /// # Panics
    /// If they are not whole.
    #[must_use]
    pub fn words(mut self) -> Vec<i32> {
        words(&mut self.0)
    }

    /// The result as a `ty`, and nothing after it.
    ///
    /// # Panics
    /// If it is not one.
    #[must_use]
    pub fn value(self, ty: &Type) -> Value {
        let words = self.words();
        let mut reader = Reader::new(&words);
        let value = reader.value(ty);
        assert_eq!(reader.rest(), [0; 0], "after {value:?}");
        value
    }

    /// The result, which is a word.
    ///
    /// # Panics
    /// If it is not one.
    #[must_use]
    pub fn int(self) -> i32 {
        match self.words()[..] {
            [word] => word,
            ref words => panic!("{words:?} is not one word"),
        }
    }

    /// Checks that there is no result.
    ///
    /// # Panics
    /// If there is one.
    pub fn void(self) {
        assert_eq!(self.words(), [0; 0]);
    }

    /// The result, which is a binder object.
    ///
    /// # Panics
    /// If it is not one.
    #[must_use]
    pub fn object(mut self) -> SIBinder {
        self.0.read().unwrap()
    }

    /// The result, which is a descriptor.
    ///
    /// # Panics
    /// If it is not one.
    #[must_use]
    pub fn file(mut self) -> ParcelFileDescriptor {
        self.0.read().unwrap()
    }
}

/// The rest of a parcel.
fn words(parcel: &mut Parcel) -> Vec<i32> {
    let count = parcel.data_avail() / 4;
    assert_eq!(parcel.data_avail() % 4, 0, "an answer has whole words");
    (0..count).map(|_| parcel.read_i32().unwrap()).collect()
}

impl RawClient {
    /// Starts the manager `program` for a client of `layout`'s release.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(host: &Host, program: &str, layout: Layout) -> Self {
        Self::start_with(host, program, layout, &[])
    }

    /// The same, with variables of its environment.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start_with(
        host: &Host,
        program: &str,
        layout: Layout,
        variables: &[(&str, &str)],
    ) -> Self {
        let log = Arc::<Mutex<String>>::default();
        let lines = Arc::clone(&log);
        let mut options = ManagerOptions::new(host.dist.path(program))
            .env("VIRTMGR_LOG", "debug")
            .ready_timeout(PATIENCE)
            .on_log(move |line| {
                let mut lines = lines.lock().unwrap();
                lines.push_str(line);
                lines.push('\n');
            });
        for (name, value) in variables {
            options = options.env(*name, *value);
        }
        let manager = vmclient::spawn(&options).unwrap();
        let session = avf_rpc::bootstrap::connect(&manager.socket, PATIENCE).unwrap();
        session.set_timeout(None);
        Self {
            layout,
            service: session.get_root().unwrap(),
            log,
            session: Session(session),
            manager,
        }
    }

    /// The manager's log so far.
    ///
    /// # Panics
    /// If the thread that reads it has panicked.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// The most memory that the manager has taken, in KiB.
    ///
    /// # Panics
    /// If it has ended.
    #[must_use]
    pub fn peak_memory_kib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.manager.process_id);
        let status = std::fs::read_to_string(path).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = peak.unwrap().trim().trim_end_matches(" kB");
        number.parse().unwrap()
    }

    /// Waits until a line of the log has all of `parts`.
    ///
    /// # Panics
    /// If none comes.
    pub fn expect_in_log(&self, parts: &[&str]) -> String {
        let end = Instant::now() + LOG_PATIENCE;
        loop {
            let log = self.log();
            let has_all = |line: &&str| parts.iter().all(|part| line.contains(part));
            if let Some(line) = log.lines().find(has_all) {
                return line.to_owned();
            }
            assert!(Instant::now() < end, "no line with {parts:?} in\n{log}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Calls the method of `interface` with this code on `object`.
    ///
    /// # Errors
    /// What the manager answers.
    ///
    /// # Panics
    /// If the call cannot be written, or its answer is not one.
    pub fn transact(
        &self,
        object: &SIBinder,
        interface: &str,
        code: u32,
        parts: &[Part<'_>],
    ) -> Result<Answer, Failure> {
        let remote = object.as_remote().unwrap();
        let mut parcel = remote.prepare_transact(false).unwrap();
        let mut token = Writer::default();
        token.value(&Type::Text, &Value::text(interface));
        put(&mut parcel, &token.finish().words());
        for part in parts {
            match part {
                Part::Words(words) => put(&mut parcel, words),
                Part::Message(message, files) => put_message(&mut parcel, message, files),
                Part::File(file) => parcel.write(*file).unwrap(),
                Part::Object(object) => parcel.write(*object).unwrap(),
            }
        }
        let answer = remote.submit_transact(code, &parcel, TWO_WAY);
        let answer = answer.map_err(Failure::Transaction)?;
        exception(answer.unwrap())
    }

    /// Calls a method of `IVirtualizationService`.
    ///
    /// # Errors
    /// What the manager answers.
    ///
    /// # Panics
    /// If the release has no such method.
    pub fn service(&self, method: &str, parts: &[Part<'_>]) -> Result<Answer, Failure> {
        let code = self.layout.service_code(method).unwrap();
        self.transact(&self.service, SERVICE, code, parts)
    }

    /// Calls a method of `IVirtualMachine`.
    ///
    /// # Errors
    /// What the manager answers.
    ///
    /// # Panics
    /// If the release has no such method.
    pub fn machine(
        &self,
        vm: &SIBinder,
        method: &str,
        parts: &[Part<'_>],
    ) -> Result<Answer, Failure> {
        let code = self.layout.machine_code(method).unwrap();
        self.transact(vm, MACHINE, code, parts)
    }

    /// Registers a new callback of a VM.
    ///
    /// # Panics
    /// If the manager refuses.
    #[must_use]
    pub fn register(&self, vm: &SIBinder) -> Arc<Calls> {
        let calls = Arc::<Calls>::default();
        let callback = Binder::new(Callback(Arc::clone(&calls)));
        let object = callback.as_binder();
        self.machine(vm, "registerCallback", &[Part::Object(&object)])
            .unwrap()
            .void();
        calls
    }

    /// Ends the session.
    pub fn close(self) {
        drop(self.session);
    }

    /// Ends the manager, and waits until it is gone.
    ///
    /// # Panics
    /// If it does not end.
    pub fn end(self) {
        let pid = Pid::from_raw(self.manager.process_id.cast_signed()).unwrap();
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        drop(self);
        let timeout = Timespec::try_from(PATIENCE).unwrap();
        let count = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&timeout)).unwrap();
        assert!(count > 0, "the manager does not end");
    }
}

fn put(parcel: &mut Parcel, words: &[i32]) {
    words
        .iter()
        .for_each(|word| parcel.write_i32(*word).unwrap());
}

fn put_message(parcel: &mut Parcel, message: &Message, files: &[ParcelFileDescriptor]) {
    for piece in message.pieces() {
        match piece {
            Piece::Bytes(bytes) => put(parcel, &wire_bytes::writer::words(bytes)),
            Piece::Descriptor(number) => parcel.write(&files[number]).unwrap(),
        }
    }
}

/// Reads the exception at the start of an answer.
fn exception(mut parcel: Parcel) -> Result<Answer, Failure> {
    let start = parcel.data_position();
    let code = parcel.read_i32().unwrap();
    if code == 0 {
        return Ok(Answer(parcel));
    }
    parcel.set_data_position(start);
    let words = words(&mut parcel);
    let mut reader = Reader::new(&words[1..]);
    let text = match reader.value(&Type::Nullable(&Type::Text)) {
        Value::Text(text) => text,
        _ => String::new(),
    };
    assert_eq!(reader.word(), 0, "a stack trace of a remote program");
    let specific = if code == SERVICE_SPECIFIC {
        reader.word()
    } else {
        0
    };
    Err(Failure::Exception {
        code,
        specific,
        text,
    })
}

/// The calls that a callback has received: code and words.
#[derive(Debug, Default)]
pub struct Calls {
    calls: Mutex<Vec<(u32, Vec<i32>)>>,
    changed: Condvar,
}

impl Calls {
    /// The calls so far.
    ///
    /// # Panics
    /// If a thread that received one has panicked.
    #[must_use]
    pub fn all(&self) -> Vec<(u32, Vec<i32>)> {
        self.calls.lock().unwrap().clone()
    }

    /// Waits for a call with this code, and returns its words.
    ///
    /// # Panics
    /// If it does not come.
    #[must_use]
    pub fn wait(&self, code: u32, client: &RawClient) -> Vec<i32> {
        let calls = self.calls.lock().unwrap();
        let is_missing = |calls: &mut Vec<(u32, Vec<i32>)>| calls.iter().all(|call| call.0 != code);
        let (calls, result) = self
            .changed
            .wait_timeout_while(calls, PATIENCE, is_missing)
            .unwrap();
        assert!(!result.timed_out(), "{calls:?}\n{}", client.log());
        let found = calls.iter().find(|call| call.0 == code);
        found.unwrap().1.clone()
    }
}

struct Callback(Arc<Calls>);

impl Remotable for Callback {
    fn descriptor() -> &'static str {
        CALLBACK
    }

    fn on_transact(
        &self,
        code: TransactionCode,
        reader: &mut Parcel,
        _reply: &mut Parcel,
    ) -> rsbinder::Result<()> {
        let words = words(reader);
        self.0.calls.lock().unwrap().push((code, words));
        self.0.changed.notify_all();
        Ok(())
    }

    fn on_dump(&self, _writer: &mut dyn std::io::Write, _args: &[String]) -> rsbinder::Result<()> {
        Ok(())
    }
}
