// SPDX-License-Identifier: Apache-2.0
//! The state of a VM, and the moves that it may make.
//!
//! ```text
//!              start()             the VMM runs the guest
//!  NotStarted ────────▶ Starting ─────────────────────────▶ Running(payload)
//!      │                   │                                      │
//!      │ dropped           │ the VMM cannot be started            │ the VMM ends, whoever ended it
//!      ▼                   ▼                                      ▼
//!    Dead ◀────────────────┴──────────────────────────────────────┘        there is no way back
//!
//!  payload:  Starting ──▶ Started ──▶ Ready ──▶ Finished    each may be skipped, none repeated
//!                └───────────┴──────────┴────▶ Hangup       killed, because it did not report
//! ```

use crate::error::{Error, Kind};
use vmm::death::Death;

/// How far the payload in a running guest has got, as the guest says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadState {
    /// The guest boots.
    Starting,
    /// The payload runs.
    Started,
    /// The payload is ready to serve.
    Ready,
    /// The payload has ended with this exit code.
    Finished(i32),
    /// The payload did not report in time; the VM is being killed for it.
    Hangup,
}

impl PayloadState {
    fn rank(self) -> u8 {
        match self {
            Self::Starting => 0,
            Self::Started => 1,
            Self::Ready => 2,
            Self::Finished(_) => 3,
            Self::Hangup => 4,
        }
    }
}

/// The state of a VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Created, not started.
    NotStarted,
    /// The VMM is being started.
    Starting,
    /// The guest runs.
    Running(PayloadState),
    /// It has ended, for good.
    Dead(Death),
}

impl State {
    /// A word for messages.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::NotStarted => "not started",
            Self::Starting => "being started",
            Self::Running(_) => "running",
            Self::Dead(_) => "dead",
        }
    }

    /// The number of `VirtualMachineState` for this state.
    #[must_use]
    pub fn number(self) -> i32 {
        match self {
            Self::NotStarted => 0,
            Self::Starting | Self::Running(PayloadState::Starting) => 1,
            Self::Running(PayloadState::Started) => 2,
            Self::Running(PayloadState::Ready) => 3,
            Self::Running(PayloadState::Finished(_)) => 4,
            Self::Running(PayloadState::Hangup) | Self::Dead(_) => 6,
        }
    }

    /// A start begins.
    ///
    /// # Errors
    /// If the VM has been started before.
    pub fn begin(&mut self) -> Result<(), Error> {
        if *self != Self::NotStarted {
            return Err(Error::state(self.word(), "start", "not started"));
        }
        *self = Self::Starting;
        Ok(())
    }

    /// The VMM runs the guest.
    pub fn run(&mut self) {
        if *self == Self::Starting {
            *self = Self::Running(PayloadState::Starting);
        }
    }

    /// The guest reports on its payload. A guest may report before its VMM does.
    ///
    /// # Errors
    /// If that would be a step back, or the VM does not run.
    pub fn advance(&mut self, to: PayloadState) -> Result<(), Error> {
        self.run();
        match self {
            Self::Running(from) if from.rank() < to.rank() => {
                *from = to;
                Ok(())
            }
            Self::Running(from) => Err(no_step(*from, to)),
            _ => Err(no_step(PayloadState::Hangup, to)),
        }
    }

    /// The VM has ended. The first reason stays.
    pub fn die(&mut self, death: Death) {
        if !matches!(self, Self::Dead(_)) {
            *self = Self::Dead(death);
        }
    }
}

/// The guest reports a payload state that cannot follow the present one.
fn no_step(from: PayloadState, to: PayloadState) -> Error {
    Error::new(
        Kind::State,
        format!("the payload is {from:?}, so it cannot become {to:?}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use PayloadState::{Finished, Ready, Started, Starting};

    #[test]
    fn a_payload_only_moves_forward() {
        let mut state = State::NotStarted;
        assert!(state.advance(Started).is_err());
        state.begin().unwrap();
        assert!(state.begin().is_err());
        state.run();
        assert_eq!(state.number(), 1);
        for (step, number) in [(Started, 2), (Ready, 3), (Finished(7), 4)] {
            state.advance(step).unwrap();
            assert_eq!(state.number(), number);
            assert!(state.advance(step).is_err());
            assert!(state.advance(Starting).is_err());
        }
        state.die(Death::Shutdown);
        state.die(Death::Killed);
        assert_eq!(state, State::Dead(Death::Shutdown));
        assert!(state.begin().is_err() && state.advance(Ready).is_err());
        assert_eq!(state.number(), 6);
    }

    #[test]
    fn a_payload_may_finish_at_once() {
        let mut state = State::Running(Starting);
        state.advance(Finished(0)).unwrap();
        assert!(state.advance(Ready).is_err());
    }
}
