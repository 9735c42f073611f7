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
//! turns it into a command line. Nothing here knows binder. The owner of the VM has one thread that
//! polls the child's pidfd and the control descriptor; [`Control::events`] never blocks. Commands
//! to a VMM, and questions about what a build of crosvm can do, block for a limited time.
#![deny(unsafe_code)]

pub mod accel;
mod arch;
pub mod child;
pub mod crosvm;
pub mod death;
pub mod error;
pub mod find;
mod images;
mod kernel;
pub mod launch;
pub mod mask;
pub mod plan;
mod program;
pub mod qemu;
pub mod run;
pub mod supervise;
pub mod usb;

pub use arch::Arch;
pub use error::Error;
pub use run::version;

use std::os::fd::BorrowedFd;
use std::path::Path;

/// A virtual machine monitor: a program that runs virtual machines.
pub trait Vmm: Send + Sync {
    /// The name in messages: `QEMU`, `crosvm`.
    fn name(&self) -> &'static str;

    /// The program's path.
    fn program(&self) -> &Path;

    /// Turns a plan into a command line with its descriptors, and a handle to control the VM.
    ///
    /// # Errors
    /// If the plan asks for something that this VMM cannot do, or one of its files cannot be used.
    fn prepare(&self, plan: plan::Plan) -> Result<Prepared, Error>;
}

/// A VM that is ready to be started.
pub struct Prepared {
    /// The VMM, as [`Vmm::name`] tells it.
    pub name: &'static str,
    /// The command line and the descriptors that go with it.
    pub launch: launch::Launch,
    /// The handle to the VM once it runs.
    pub control: Box<dyn Control>,
    /// Objects that must live as long as the VMM does, such as servers of disks.
    pub helpers: Vec<Box<dyn Send>>,
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared")
            .field("launch", &self.launch)
            .finish_non_exhaustive()
    }
}

/// A disk's file failed, so that the VMM paused the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskFault {
    /// The disk's index in the plan, if the VMM names it.
    pub disk: Option<usize>,
    /// Whether the guest was writing.
    pub is_write: bool,
    /// Whether the file system has no space left.
    pub is_full: bool,
    /// The system's words.
    pub reason: String,
}

impl std::fmt::Display for DiskFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let verb = if self.is_write { "write" } else { "read" };
        match self.disk {
            Some(index) => write!(f, "cannot {verb} disks[{index}]: {}", self.reason),
            None => write!(f, "cannot {verb} a disk: {}", self.reason),
        }
    }
}

/// What a VMM tells while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The VMM has accepted its configuration and runs the guest.
    Ready,
    /// The guest, or someone on the host, ended the VM. The VMM is about to exit.
    Ending(death::Ending),
    /// A disk's file failed. The VMM pauses the guest and retries the access when it is resumed.
    DiskFault(DiskFault),
    /// The guest's CPUs were stopped, by [`Control::suspend`] or by the VMM itself.
    Paused,
    /// The guest's CPUs run again.
    Resumed,
    /// The control channel is closed: the VMM has ended or is about to.
    Closed,
}

/// The handle to a running VM.
pub trait Control: Send + Sync {
    /// Called once, on the thread that owns the VM, as soon as the VMM has been executed.
    ///
    /// # Errors
    /// If the VMM's state cannot be queried. The caller should end the VM.
    fn spawned(&self) -> Result<(), Error> {
        Ok(())
    }

    /// A descriptor that is readable when [`Control::events`] has events; `None` if there are none
    /// yet, or no more. It may differ after each call of [`Control::events`].
    fn event_fd(&self) -> Option<BorrowedFd<'_>>;

    /// The events since the last call. Never blocks.
    ///
    /// # Errors
    /// If the VMM breaks its protocol. The caller should end the VM.
    fn events(&self) -> Result<Vec<Event>, Error>;

    /// Stops the guest's CPUs until [`Control::resume`].
    ///
    /// # Errors
    /// If the VMM refuses, has ended, or does not answer.
    fn suspend(&self) -> Result<(), Error>;

    /// Lets the guest's CPUs run again.
    ///
    /// # Errors
    /// If the VMM refuses, has ended, or does not answer.
    fn resume(&self) -> Result<(), Error>;

    /// The size of the guest's balloon in bytes: memory that the host has taken back.
    ///
    /// # Errors
    /// If there is no balloon, or the VMM refuses, has ended, or does not answer.
    fn balloon(&self) -> Result<u64, Error>;

    /// Asks the guest to grow or shrink the balloon to `bytes`. The guest does so in its own time.
    ///
    /// # Errors
    /// As for [`Control::balloon`].
    fn set_balloon(&self, bytes: u64) -> Result<(), Error>;

    /// Plugs another display into the guest's graphics processor.
    ///
    /// # Errors
    /// If the VMM cannot do that, the guest has no graphics processor, or the VMM refuses, has ended,
    /// or does not answer.
    fn add_display(&self, display: &plan::Display) -> Result<(), Error>;

    /// Unplugs the display of this number.
    ///
    /// # Errors
    /// As for [`Control::add_display`].
    fn remove_display(&self, number: u32) -> Result<(), Error>;

    /// The displays that are plugged in, with their numbers.
    ///
    /// # Errors
    /// As for [`Control::add_display`].
    fn displays(&self) -> Result<Vec<(u32, plan::Display)>, Error>;

    /// What an exit status of the VMM says about the end of the guest.
    fn exit_status(&self, code: i32) -> death::Status;
}
