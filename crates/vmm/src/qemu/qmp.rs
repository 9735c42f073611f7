// SPDX-License-Identifier: Apache-2.0
//! QEMU's machine protocol over an inherited socketpair.
//!
//! The owner of the VM polls [`Qmp::event_fd`] and calls [`Control::events`]; a thread that wants a
//! command writes it and waits for its answer to be read there.

use super::messages::{self, BalloonSize, Command, CpuThread, Line, Request};
use super::uclamp;
use crate::death::Status;
use crate::launch::Launch;
use crate::plan::{Balloon, Display, Plan};
use crate::{Control, Error, Event};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The longest line that is accepted: far above any answer to the commands used here.
const MAX_LINE: usize = 1 << 20;
/// Bytes of a wrong line that are quoted.
const MAX_QUOTE: usize = 200;
/// How long QEMU may take to answer a command before it counts as stuck.
const ANSWER: Duration = Duration::from_secs(30);
/// The id of the first command, the reply to the greeting.
const HELLO: u64 = 0;
/// The id of the question for the CPUs' threads, which follows the greeting.
const CPUS: u64 = 1;

type Answer = Result<Value, String>;

#[derive(Debug)]
struct State {
    /// Bytes of a line that is not complete yet.
    pending: Vec<u8>,
    /// The callers that wait for the answers to their commands.
    waiting: HashMap<u64, SyncSender<Answer>>,
    last_id: u64,
    closed: bool,
    /// Whether a failed disk was reported since the guest was last resumed: each request that was
    /// under way fails for itself.
    fault_reported: bool,
}

impl Default for State {
    fn default() -> Self {
        Self {
            pending: Vec::new(),
            waiting: HashMap::new(),
            last_id: CPUS,
            closed: false,
            fault_reported: false,
        }
    }
}

/// The machine protocol's channel to one QEMU.
#[derive(Debug)]
pub(super) struct Qmp {
    socket: OwnedFd,
    state: Mutex<State>,
    /// The guest's memory in bytes.
    memory: u64,
    balloon: Balloon,
    /// Whether to boost the CPUs' threads once they exist.
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
        .map_err(|e| Error::io("cannot make a socket for the VMM's control channel", e))?;
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

    fn check_balloon(&self) -> Result<(), Error> {
        match self.balloon {
            Balloon::PageReporting => Ok(()),
            Balloon::Absent => Err(Error::NoBalloon),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes one command. Commands are shorter than any socket buffer, so if QEMU does not read,
    /// this fails rather than blocks.
    fn send(&self, command: Command, id: u64) -> Result<(), Error> {
        let mut text =
            serde_json::to_vec(&Request { command, id }).map_err(|e| Error::Protocol {
                what: e.to_string(),
            })?;
        text.push(b'\n');
        match rustix::net::send(
            &self.socket,
            &text,
            SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
        ) {
            Ok(n) if n == text.len() => Ok(()),
            _ => Err(Error::Gone {
                command: command.name(),
            }),
        }
    }

    /// Sends a command and waits for its answer.
    fn execute(&self, command: Command) -> Result<Value, Error> {
        let name = command.name();
        let gone = || Error::Gone { command: name };
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
        answer?.map_err(|answer| Error::Refused {
            command: name,
            answer,
        })
    }

    /// Sends a command whose answer says something.
    fn ask<T: DeserializeOwned>(&self, command: Command) -> Result<T, Error> {
        serde_json::from_value(self.execute(command)?).map_err(|e| Error::Protocol {
            what: format!("answer to {}: {e}", command.name()),
        })
    }

    /// Whether an event says something new: only the first failure of a disk does.
    fn is_news(&self, event: &Event) -> bool {
        let mut state = self.state();
        match event {
            Event::DiskFault(_) => !std::mem::replace(&mut state.fault_reported, true),
            Event::Resumed => {
                state.fault_reported = false;
                true
            }
            _ => true,
        }
    }

    /// What one line means.
    fn line(&self, line: &[u8], events: &mut Vec<Event>) -> Result<(), Error> {
        let line: Line = serde_json::from_slice(line).map_err(|e| Error::Protocol {
            what: format!(
                "{e} in '{}'",
                line[..line.len().min(MAX_QUOTE)].escape_ascii()
            ),
        })?;
        if line.greeting.is_some() {
            return self.send(Command::Capabilities, HELLO);
        }
        if let Some(name) = line.event {
            events.extend(messages::event(&name, line.data).filter(|event| self.is_news(event)));
            return Ok(());
        }
        let answer = match (line.answer, line.error) {
            (_, Some(refusal)) => Err(refusal.desc),
            (value, None) => Ok(value.unwrap_or_default()),
        };
        if line.id == Some(HELLO) {
            events.push(Event::Ready);
            if self.boost {
                return self.send(Command::QueryCpus, CPUS);
            }
        } else if line.id == Some(CPUS) {
            boost(answer);
        } else if let Some(waiter) = line.id.and_then(|id| self.state().waiting.remove(&id)) {
            // The waiter may have given up; then nobody wants the answer.
            let _ = waiter.try_send(answer);
        }
        Ok(())
    }
}

/// The number of a graphics processor's displays is fixed when QEMU starts.
fn no_displays(call: &str) -> Error {
    Error::Unsupported {
        vmm: super::NAME,
        what: format!("{call}: its displays are fixed when the VM starts; use crosvm"),
    }
}

/// Asks the scheduler to run the threads of the virtual CPUs at full speed. It is an optimization,
/// so a refusal is only a warning.
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
                    // Dropping the senders wakes the waiting callers.
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
        self.execute(Command::Stop).map(drop)
    }

    fn resume(&self) -> Result<(), Error> {
        self.execute(Command::Cont).map(drop)
    }

    fn balloon(&self) -> Result<u64, Error> {
        self.check_balloon()?;
        let left: BalloonSize = self.ask(Command::QueryBalloon)?;
        Ok(self.memory.saturating_sub(left.actual))
    }

    fn set_balloon(&self, bytes: u64) -> Result<(), Error> {
        self.check_balloon()?;
        let value = self.memory.saturating_sub(bytes);
        self.execute(Command::Balloon { value }).map(drop)
    }

    fn add_display(&self, _display: &Display) -> Result<(), Error> {
        Err(no_displays("addDisplay"))
    }

    fn remove_display(&self, _number: u32) -> Result<(), Error> {
        Err(no_displays("removeDisplay"))
    }

    fn displays(&self) -> Result<Vec<(u32, Display)>, Error> {
        Err(no_displays("getDisplays"))
    }

    fn exit_status(&self, _code: i32) -> Status {
        Status::Silent
    }
}
