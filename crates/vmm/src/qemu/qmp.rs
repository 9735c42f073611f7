// SPDX-License-Identifier: Apache-2.0
//! QEMU's machine protocol over an inherited socketpair.
//!
//! The owner of the VM polls [`Qmp::event_fd`] and calls [`Control::events`]; a thread that wants a
//! command writes it and waits for its answer to be read there.

use super::uclamp;
use crate::death::{Ending, Status};
use crate::launch::Launch;
use crate::plan::{Balloon, Plan};
use crate::{Control, Error, Event};
use qapi_qmp::{
    GUEST_PANICKED, SHUTDOWN, ShutdownCause, WATCHDOG, balloon, cont, qmp_capabilities,
    query_balloon, query_cpus_fast, stop,
};
use qapi_spec::{Command, Event as _, Execute};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The longest line that is accepted: far above any answer to the commands used here.
const MAX_LINE: usize = 1 << 20;
/// How long QEMU may take to answer a command before it counts as stuck.
const ANSWER: Duration = Duration::from_secs(30);
/// The id of the first command, which the greeting causes.
const HELLO: u64 = 0;
/// The id of the question for the CPUs' threads, which the end of the greeting causes.
const CPUS: u64 = 1;

/// One line from QEMU: a greeting, an event, or an answer.
#[derive(Debug, Deserialize)]
struct Line {
    #[serde(rename = "QMP")]
    greeting: Option<Value>,
    event: Option<String>,
    #[serde(default)]
    data: Value,
    #[serde(rename = "return")]
    answer: Option<Value>,
    error: Option<Refusal>,
    id: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Refusal {
    desc: String,
}

/// What `query-cpus-fast` says of each CPU.
#[derive(Debug, Deserialize)]
struct CpuThread {
    #[serde(rename = "thread-id")]
    id: i32,
}

type Answer = Result<Value, String>;

#[derive(Debug)]
struct State {
    /// Bytes of a line that is not complete yet.
    pending: Vec<u8>,
    /// Who waits for the answer to which command.
    waiting: HashMap<u64, SyncSender<Answer>>,
    last_id: u64,
    closed: bool,
}

impl Default for State {
    fn default() -> Self {
        Self {
            pending: Vec::new(),
            waiting: HashMap::new(),
            last_id: CPUS,
            closed: false,
        }
    }
}

/// The machine protocol's channel to one QEMU.
#[derive(Debug)]
pub struct Qmp {
    socket: OwnedFd,
    state: Mutex<State>,
    /// The guest's memory in bytes.
    memory: u64,
    balloon: Balloon,
    /// Whether the CPUs' threads are to ask for the host's fastest, once they are there.
    boost: bool,
}

impl Qmp {
    /// Makes the channel and adds QEMU's end to `launch`.
    pub(super) fn attach(launch: &mut Launch, plan: &Plan) -> Result<Self, Error> {
        let (ours, theirs) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )
        .map_err(|e| Error::io("make a socket for the VMM's control channel", e))?;
        let fd = launch.pass(theirs);
        launch.args(["-chardev", &format!("socket,id=qmp,fd={fd}")]);
        launch.args(["-mon", "chardev=qmp,mode=control"]);
        Ok(Self {
            socket: ours,
            state: Mutex::default(),
            memory: u64::from(plan.machine.memory_mib.get()) << 20,
            balloon: plan.machine.balloon,
            boost: plan.machine.boost_uclamp,
        })
    }

    fn has_balloon(&self) -> Result<(), Error> {
        if self.balloon == Balloon::Absent {
            return Err(Error::NoBalloon);
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes one command. The commands are shorter than any socket buffer, so this fails rather
    /// than blocks if QEMU does not read.
    fn send<C: Command>(&self, command: C, id: u64) -> Result<(), Error> {
        let gone = || Error::Gone { command: C::NAME };
        let mut text =
            serde_json::to_vec(&Execute::<C, u64>::new(command, Some(id))).map_err(|e| {
                Error::Protocol {
                    what: e.to_string(),
                }
            })?;
        text.push(b'\n');
        match rustix::net::send(
            &self.socket,
            &text,
            SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
        ) {
            Ok(n) if n == text.len() => Ok(()),
            _ => Err(gone()),
        }
    }

    /// Sends a command and waits for its answer.
    fn execute<C: Command>(&self, command: C) -> Result<C::Ok, Error> {
        let gone = || Error::Gone { command: C::NAME };
        let (sender, receiver) = mpsc::sync_channel(1);
        let id = {
            let mut state = self.state();
            if state.closed {
                return Err(gone());
            }
            state.last_id += 1;
            let id = state.last_id;
            state.waiting.insert(id, sender);
            id
        };
        let answer = self
            .send(command, id)
            .and_then(|()| receiver.recv_timeout(ANSWER).map_err(|_| gone()));
        self.state().waiting.remove(&id);
        match answer? {
            Ok(value) => serde_json::from_value(value).map_err(|e| Error::Protocol {
                what: format!("answer to {}: {e}", C::NAME),
            }),
            Err(answer) => Err(Error::Refused {
                command: C::NAME,
                answer,
            }),
        }
    }

    /// What one line means.
    fn line(&self, line: &[u8], events: &mut Vec<Event>) -> Result<(), Error> {
        let line: Line = serde_json::from_slice(line).map_err(|e| Error::Protocol {
            what: format!(
                "{e} in {:?}",
                String::from_utf8_lossy(&line[..line.len().min(200)])
            ),
        })?;
        if line.greeting.is_some() {
            return self.send(qmp_capabilities { enable: None }, HELLO);
        }
        if let Some(name) = line.event {
            events.extend(ending(&name, line.data).map(Event::Ending));
            return Ok(());
        }
        let answer = match (line.answer, line.error) {
            (_, Some(refusal)) => Err(refusal.desc),
            (value, None) => Ok(value.unwrap_or_default()),
        };
        if line.id == Some(HELLO) {
            events.push(Event::Ready);
            if self.boost {
                return self.send(query_cpus_fast {}, CPUS);
            }
        } else if line.id == Some(CPUS) {
            boost(answer);
        } else if let Some(waiter) = line.id.and_then(|id| self.state().waiting.remove(&id)) {
            // The waiter may have given up; then no one wants the answer.
            let _ = waiter.try_send(answer);
        }
        Ok(())
    }
}

/// Has the threads of the virtual CPUs ask for the host's fastest. It is a wish, so a refusal is a
/// warning.
fn boost(answer: Answer) {
    let threads = answer.and_then(|value| {
        serde_json::from_value::<Vec<CpuThread>>(value).map_err(|e| e.to_string())
    });
    let done = threads.and_then(|threads| {
        threads
            .iter()
            .try_for_each(|cpu| uclamp::boost(cpu.id).map_err(|e| e.to_string()))
    });
    if let Err(e) = done {
        log::warn!("boostUclamp: the virtual CPUs are not boosted: {e}");
    }
}

/// How the guest ended, if this event says so.
fn ending(name: &str, data: Value) -> Option<Ending> {
    match name {
        GUEST_PANICKED::NAME => Some(Ending::Crash),
        WATCHDOG::NAME => Some(Ending::Watchdog),
        SHUTDOWN::NAME => {
            let reason = serde_json::from_value::<SHUTDOWN>(data).ok()?.reason;
            Some(match reason {
                ShutdownCause::guest_reset | ShutdownCause::subsystem_reset => Ending::Reboot,
                ShutdownCause::guest_panic => Ending::Crash,
                ShutdownCause::guest_shutdown => Ending::Shutdown,
                _ => Ending::Host,
            })
        }
        _ => None,
    }
}

impl Control for Qmp {
    fn event_fd(&self) -> Option<BorrowedFd<'_>> {
        (!self.state().closed).then(|| self.socket.as_fd())
    }

    fn events(&self) -> Result<Vec<Event>, Error> {
        let mut events = Vec::new();
        let mut buffer = [0u8; 4096];
        loop {
            match rustix::net::recv(&self.socket, &mut buffer[..], RecvFlags::DONTWAIT) {
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return Ok(events),
                Ok((0, _)) | Err(_) => {
                    let mut state = self.state();
                    state.closed = true;
                    // Dropping the senders wakes those who wait.
                    state.waiting.clear();
                    events.push(Event::Closed);
                    return Ok(events);
                }
                Ok((n, _)) => {
                    let mut pending = std::mem::take(&mut self.state().pending);
                    pending.extend_from_slice(&buffer[..n]);
                    let mut rest = &pending[..];
                    while let Some(end) = rest.iter().position(|b| *b == b'\n') {
                        let line = rest[..end].trim_ascii();
                        rest = &rest[end + 1..];
                        if !line.is_empty() {
                            self.line(line, &mut events)?;
                        }
                    }
                    if rest.len() > MAX_LINE {
                        return Err(Error::Protocol {
                            what: format!("a line of over {MAX_LINE} bytes"),
                        });
                    }
                    self.state().pending = rest.to_vec();
                }
            }
        }
    }

    fn suspend(&self) -> Result<(), Error> {
        self.execute(stop {}).map(|_| ())
    }

    fn resume(&self) -> Result<(), Error> {
        self.execute(cont {}).map(|_| ())
    }

    fn balloon(&self) -> Result<u64, Error> {
        self.has_balloon()?;
        // QEMU tells what is left to the guest.
        let left = self.execute(query_balloon {})?.actual;
        Ok(self.memory.saturating_sub(left.unsigned_abs()))
    }

    fn set_balloon(&self, bytes: u64) -> Result<(), Error> {
        self.has_balloon()?;
        let left = self.memory.saturating_sub(bytes);
        let value = i64::try_from(left).unwrap_or(i64::MAX);
        self.execute(balloon { value }).map(|_| ())
    }

    fn exit_status(&self, _code: i32) -> Status {
        Status::Silent
    }
}
