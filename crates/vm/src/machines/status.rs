// SPDX-License-Identifier: Apache-2.0
//! How far a VM is.

use super::Machine;
use std::fmt;
use std::time::Duration;
use vm_directory::VmState;
use vmclient::{Control, Error, State};

/// How long a VM may take to answer before it counts as one that does not.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How far a VM is, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// It says so itself.
    Says(State),
    /// Its CPUs were stopped by `suspend`.
    Suspended,
    /// Its VMM paused it, for want of space or after a disk error.
    Paused,
    /// It was created and not started.
    Created,
    /// It is another user's.
    Foreign,
    /// It does not answer.
    Silent,
    /// It has ended since it was found.
    Gone,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Says(State::NotStarted) | Self::Created => "created",
            Self::Says(State::Starting) => "starting",
            Self::Says(State::Started) => "started",
            Self::Says(State::Ready) => "ready",
            Self::Says(State::Finished) => "finished",
            Self::Says(State::Dead) | Self::Gone => "dead",
            Self::Says(State::Unrecognized(_)) => "unknown",
            Self::Suspended => "suspended",
            Self::Paused => "paused",
            Self::Foreign => "-",
            Self::Silent => "no answer",
        })
    }
}

impl Status {
    /// Asks the VM.
    pub(crate) fn of(machine: &Machine) -> Self {
        match machine.reach() {
            Ok(control) => Self::told(machine, control.state()),
            Err(status) => status,
        }
    }

    /// What the VM's answer and its note say together: its life goes on where its CPUs were stopped.
    pub(crate) fn told(machine: &Machine, answer: Result<State, Error>) -> Self {
        let state = match answer {
            Ok(state) => state,
            Err(e) => return Self::from_error(&e),
        };
        let noted = machine.note.as_ref().and_then(|note| note.state);
        match (state, noted) {
            (State::NotStarted | State::Dead, _) | (_, None | Some(VmState::Running)) => {
                Self::Says(state)
            }
            (_, Some(VmState::Suspended)) => Self::Suspended,
            (_, Some(VmState::Paused)) => Self::Paused,
        }
    }

    /// Asks all of them at once, as one that does not answer costs time.
    pub(crate) fn of_all(machines: &[Machine]) -> Vec<Self> {
        std::thread::scope(|scope| {
            let asking: Vec<_> = machines
                .iter()
                .map(|machine| scope.spawn(|| Self::of(machine)))
                .collect();
            asking
                .into_iter()
                .map(|thread| thread.join().unwrap_or(Self::Silent))
                .collect()
        })
    }

    fn from_error(error: &Error) -> Self {
        match error {
            Error::Gone { .. } => Self::Gone,
            Error::Control { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                Self::Gone
            }
            Error::Control { source, .. }
                if source.kind() == std::io::ErrorKind::PermissionDenied =>
            {
                Self::Foreign
            }
            _ => Self::Silent,
        }
    }
}

/// How long a VM may take to be suspended, resumed or stopped: longer than its manager waits for the
/// VMM, so that what still happens is not told as failed.
const ACT_TIMEOUT: Duration = Duration::from_secs(45);

impl Machine {
    /// Connects to the VM to change it, once it has answered at all.
    ///
    /// # Errors
    /// What is known of it if that is not possible.
    pub(crate) fn reach_to_act(&self) -> Result<Control, Status> {
        let control = self.reach()?;
        control.state().map_err(|e| Status::from_error(&e))?;
        drop(control);
        Control::connect(&self.directory, ACT_TIMEOUT).map_err(|e| Status::from_error(&e))
    }

    /// Connects to the VM.
    ///
    /// # Errors
    /// What is known of it if that is not possible.
    pub(crate) fn reach(&self) -> Result<Control, Status> {
        match &self.note {
            None => return Err(Status::Foreign),
            // It does not answer before it is started.
            Some(note) if note.vmm.is_none() => return Err(Status::Created),
            Some(_) => {}
        }
        Control::connect(&self.directory, TIMEOUT).map_err(|e| Status::from_error(&e))
    }
}
