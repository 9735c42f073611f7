// SPDX-License-Identifier: Apache-2.0
//! What can go wrong in a VM's life. The exception that a client gets follows from the variant.

use crate::vm::{PayloadState, directory};
use std::io;

/// A VM could not be created, started or controlled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A field has a value that it must not have.
    #[error("{what}")]
    Invalid {
        /// The field, its value and the remedy.
        what: String,
    },
    /// A field cannot be read as what it is.
    #[error("{what}")]
    BadParcelable {
        /// The field, its value and the remedy.
        what: String,
    },
    /// A field asks for what nobody may have.
    #[error("{what}")]
    Forbidden {
        /// The field and the reason.
        what: String,
    },
    /// A file of a protected VM may have been written by anyone.
    #[error("{what}")]
    Untrusted {
        /// The field and the reason.
        what: String,
    },
    /// The client lacks a permission.
    #[error(transparent)]
    Denied(Box<dyn std::error::Error + Send + Sync>),
    /// Who may what cannot be found out.
    #[error("find out who may have VMs")]
    Permissions(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The global service is there, but cannot be spoken with.
    #[error("reach the global virtualization service")]
    GlobalService(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The global service refuses.
    #[error("{what}")]
    Refused {
        /// What was asked of it.
        what: String,
        /// Its answer.
        #[source]
        status: Box<rsbinder::Status>,
    },
    /// The lock of a CID cannot be had or asked for.
    #[error("reserve a CID among all managers")]
    CidLock(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A field asks for what this manager cannot do.
    #[error("{what}")]
    Unsupported {
        /// The field.
        what: String,
    },
    /// The host's debug policy cannot be understood.
    #[error(transparent)]
    DebugPolicy(#[from] crate::debug_policy::Error),
    /// A file of this host's, or in the APK, is not what Microdroid needs.
    #[error("{what}")]
    Microdroid {
        /// Which file, and where it was named.
        what: String,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The client may not have this early VM.
    #[error("this early VM cannot be created")]
    EarlyVm(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The client died while it was being identified.
    #[error("the client, process {pid}, is gone, so it cannot be identified")]
    ClientGone {
        /// Its process id.
        pid: i32,
    },
    /// The VM's directory, and with it its CID, cannot be had.
    #[error(transparent)]
    Directory(#[from] directory::Error),
    /// The kernel says that another VM, of whatever manager, has the CID.
    #[error(
        "CID {cid} is taken: a VM that another program started has it; end that VM, or declare another CID"
    )]
    CidTaken {
        /// The CID.
        cid: u32,
    },
    /// All CIDs are taken.
    #[error("no CID is left: every one from 2048 to 65535 is held by a running VM")]
    NoCid,
    /// The VMM cannot be prepared or controlled.
    #[error(transparent)]
    Vmm(#[from] vmm::Error),
    /// The channel to the guest cannot be made.
    #[error(transparent)]
    Rpc(#[from] avf_rpc::Error),
    /// The VMM ended before it ran the guest.
    #[error("the VMM did not start the guest ({exit}); it said: {said}")]
    StartFailed {
        /// How it ended.
        exit: String,
        /// The end of what it wrote.
        said: String,
    },
    /// The VM was stopped while it started.
    #[error("the VM was stopped while it was being started")]
    Stopped,
    /// The VM is not in the state that the call needs.
    #[error("the VM is {is}: {call} needs one that is {wanted}")]
    State {
        /// What it is.
        is: &'static str,
        /// The call.
        call: &'static str,
        /// What it should be.
        wanted: &'static str,
    },
    /// The guest reports a payload state that cannot follow the present one.
    #[error("the payload is {from:?}, so it cannot become {to:?}")]
    PayloadState {
        /// The present one.
        from: PayloadState,
        /// The reported one.
        to: PayloadState,
    },
    /// The client hung up.
    #[error("the manager is ending, because its client hung up")]
    Ending,
    /// A system call failed.
    #[error("{what}")]
    Io {
        /// What was being done, with the value concerned.
        what: String,
        /// The system's answer.
        source: io::Error,
    },
}

impl Error {
    /// Wraps a system error with what was being done.
    pub fn io(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Io {
            what: what.into(),
            source: source.into(),
        }
    }
}
