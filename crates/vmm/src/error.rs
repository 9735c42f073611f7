// SPDX-License-Identifier: Apache-2.0
//! Why a VM could not be prepared, started or controlled.

use std::io;
use std::path::PathBuf;

/// A VM could not be prepared, started or controlled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No VMM was found.
    #[error(
        "no VMM found: {looked}; install crosvm or QEMU (Debian: qemu-system-x86 or qemu-system-arm), or set VIRTMGR_VMM to the VMM's path"
    )]
    NoVmm {
        /// Where was looked.
        looked: String,
    },
    /// The named VMM is not one that is known.
    #[error("VIRTMGR_VMM={0}: its file name must begin with \"crosvm\" or \"qemu-system-\"", path.display())]
    UnknownVmm {
        /// The setting's value.
        path: PathBuf,
    },
    /// crosvm was chosen where it cannot run guests.
    #[error("{0} needs KVM, which does not work here; use a host whose CPU has virtualization, or set VIRTMGR_VMM to QEMU", path.display())]
    NeedsKvm {
        /// The crosvm.
        path: PathBuf,
    },
    /// A value that the client gave cannot be used.
    #[error("{what}")]
    Invalid {
        /// The field, its value and the remedy.
        what: String,
    },
    /// A value that the client gave cannot be used, for the reason that follows.
    #[error("{what}")]
    InvalidDisk {
        /// The disk.
        what: String,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The VMM cannot do what the plan asks for.
    #[error("{vmm} cannot do this: {what}")]
    Unsupported {
        /// The VMM.
        vmm: &'static str,
        /// What is asked for.
        what: String,
    },
    /// The VM was created without a balloon.
    #[error("the VM has no memory balloon: it was created with noBalloon")]
    NoBalloon,
    /// A system call failed.
    #[error("{what}")]
    Io {
        /// What was being done, with the value concerned.
        what: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The VMM said what is not in its protocol.
    #[error("the VMM's control channel: {what}")]
    Protocol {
        /// What it said.
        what: String,
    },
    /// The VMM refused a command.
    #[error("the VMM refused {command}: {answer}")]
    Refused {
        /// The command.
        command: &'static str,
        /// The VMM's words.
        answer: String,
    },
    /// The VMM is gone.
    #[error("the VMM does not answer {command}: it is gone or stuck")]
    Gone {
        /// The command.
        command: &'static str,
    },
}

impl Error {
    /// Wraps a system error with what was being done.
    pub(crate) fn io(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Io {
            what: what.into(),
            source: source.into(),
        }
    }

    /// Whether the client's own values are to blame.
    #[must_use]
    pub fn is_invalid_input(&self) -> bool {
        matches!(self, Self::Invalid { .. } | Self::InvalidDisk { .. })
    }
}
