// SPDX-License-Identifier: Apache-2.0
//! Runs a virtual machine monitor (VMM) for a validated plan.
//!
//! ```text
//!   Plan ──Vmm::prepare──▶ Prepared { launch: argv + fds, control, helpers }
//!                              │
//!                        Launch::spawn ──▶ Child (pid, pidfd, stderr)
//!                              │
//!            Control: events while it runs, commands to it, and how the guest ended
//! ```
//!
//! A [`plan::Plan`] says what machine the guest gets and holds every descriptor it needs. A [`Vmm`]
//! turns it into a command line. Nothing here knows binder, and nothing here waits: the owner of
//! the VM has one thread that polls the child's pidfd and the control descriptor.
#![deny(unsafe_code)]

pub mod accel;
mod arch;
pub mod child;
pub mod crosvm;
pub mod death;
pub mod error;
pub mod find;
mod kernel;
pub mod launch;
pub mod plan;
pub mod qemu;

pub use arch::Arch;
pub use error::Error;

use std::os::fd::BorrowedFd;
use std::path::Path;

/// A program that runs virtual machines.
pub trait Vmm: Send + Sync {
    /// The name for people: `QEMU`, `crosvm`.
    fn name(&self) -> &'static str;

    /// The program's path.
    fn program(&self) -> &Path;

    /// Turns a plan into a command line with its descriptors, and a handle to control the VM.
    ///
    /// # Errors
    /// If the plan asks for what this VMM cannot do, or a descriptor of it is unusable.
    fn prepare(&self, plan: plan::Plan) -> Result<Prepared, Error>;
}

/// A VM that is ready to be started.
pub struct Prepared {
    /// The command line and the descriptors that go with it.
    pub launch: launch::Launch,
    /// The handle to the VM once it runs.
    pub control: Box<dyn Control>,
    /// What must live as long as the VMM does: servers of disks, for example.
    pub helpers: Vec<Box<dyn Send>>,
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared")
            .field("launch", &self.launch)
            .finish_non_exhaustive()
    }
}

/// What a VMM tells while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The VMM has accepted its configuration and runs the guest.
    Ready,
    /// The guest, or someone on the host, ended the VM. The VMM is about to exit.
    Ending(death::Ending),
    /// The control channel is closed: the VMM is gone or going.
    Closed,
}

/// The handle to a VM that runs.
pub trait Control: Send + Sync {
    /// Told once, on the thread that owns the VM, as soon as the VMM has been executed.
    ///
    /// # Errors
    /// If the VMM cannot be asked how it does. The caller should end the VM.
    fn spawned(&self) -> Result<(), Error> {
        Ok(())
    }

    /// A descriptor that is readable when [`Control::events`] has something to say; none if it will
    /// have nothing more to say, or not yet. It may be another after each call of it.
    fn event_fd(&self) -> Option<BorrowedFd<'_>>;

    /// What the VMM has said since the last call. Never blocks.
    ///
    /// # Errors
    /// If the VMM says what is not in its protocol. The caller should end the VM.
    fn events(&self) -> Result<Vec<Event>, Error>;

    /// Stops the guest's CPUs until [`Control::resume`].
    ///
    /// # Errors
    /// If the VMM refuses, is gone, or does not answer.
    fn suspend(&self) -> Result<(), Error>;

    /// Lets the guest's CPUs run again.
    ///
    /// # Errors
    /// If the VMM refuses, is gone, or does not answer.
    fn resume(&self) -> Result<(), Error>;

    /// The size of the guest's balloon in bytes: memory that the host has taken back.
    ///
    /// # Errors
    /// If there is no balloon, or the VMM refuses, is gone, or does not answer.
    fn balloon(&self) -> Result<u64, Error>;

    /// Asks the guest to let the balloon become `bytes` large. The guest does so in its own time.
    ///
    /// # Errors
    /// As for [`Control::balloon`].
    fn set_balloon(&self, bytes: u64) -> Result<(), Error>;

    /// What an exit status of the VMM says about the end of the guest.
    fn exit_status(&self, code: i32) -> death::Status;
}
