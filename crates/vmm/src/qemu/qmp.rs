// SPDX-License-Identifier: Apache-2.0
//! QEMU's machine protocol over an inherited socketpair.
//!
//! The owner of the VM polls [`Qmp::event_fd`] and calls [`Control::events`]; a thread that wants a
//! command writes it and waits for its answer to be read there.

use crate::death::Ending;
use crate::launch::Launch;
use crate::{Control, Error, Event};
use qapi_qmp::{GUEST_PANICKED, SHUTDOWN, ShutdownCause, WATCHDOG, cont, qmp_capabilities, stop};
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

type Answer = Result<Value, String>;

#[derive(Debug, Default)]
struct State {
    /// Bytes of a line that is not complete yet.
    pending: Vec<u8>,
    /// Who waits for the answer to which command.
    waiting: HashMap<u64, SyncSender<Answer>>,
    last_id: u64,
    closed: bool,
}

/// The machine protocol's channel to one QEMU.
#[derive(Debug)]
pub struct Qmp {
    socket: OwnedFd,
    state: Mutex<State>,
}

impl Qmp {
    /// Makes the channel and adds QEMU's end to `launch`.
    pub(super) fn attach(launch: &mut Launch) -> Result<Self, Error> {
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
        })
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
        } else if let Some(waiter) = line.id.and_then(|id| self.state().waiting.remove(&id)) {
            // The waiter may have given up; then no one wants the answer.
            let _ = waiter.try_send(answer);
        }
        Ok(())
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
    fn event_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
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
}
