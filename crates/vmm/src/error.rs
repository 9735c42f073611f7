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
        /// What was looked for, and where.
        looked: String,
    },
    /// No VMM is known for this processor.
    #[error("no VMM is known for {arch} hosts; use an x86-64 or arm64 host")]
    NoVmmForHost {
        /// The processor.
        arch: &'static str,
    },
    /// The named VMM is not one that is known.
    #[error("VIRTMGR_VMM={0}: its file name must begin with crosvm, qemu-system- or qemu-kvm", path.display())]
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
    /// A file that the client gave cannot be used.
    #[error("{field}")]
    InvalidFile {
        /// The field that has the file.
        field: String,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Another VM uses a disk's file.
    #[error(
        "{field}: cannot lock '{file}' for {purpose}: {holder} uses it; stop that VM, or give each VM a file of its own"
    )]
    ImageInUse {
        /// The field.
        field: String,
        /// The file's path.
        file: String,
        /// `reading` or `writing`.
        purpose: &'static str,
        /// Who has locked it.
        holder: String,
    },
    /// Two disks of one VM have the same file, which one of them may write to.
    #[error(
        "{field}: '{file}' is also {other}, and a writable file can be used only once; give each a file of its own"
    )]
    SameImage {
        /// The field.
        field: String,
        /// The file's path.
        file: String,
        /// The other field.
        other: String,
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
    #[error(
        "the VM has no memory balloon; create it with balloon (in Android 15: without noBalloon)"
    )]
    NoBalloon,
    /// A system call failed.
    #[error("{what}")]
    Io {
        /// What was being done, with the value concerned.
        what: String,
        /// The system error.
        source: io::Error,
    },
    /// A program was started and killed again, since it cannot be watched.
    #[error("cannot watch {0} by a pidfd", program.display())]
    Pidfd {
        /// The program.
        program: PathBuf,
        /// The system error, and the remedy.
        source: io::Error,
    },
    /// The VMM said what is not in its protocol.
    #[error("the VMM breaks the protocol of its control channel: {what}")]
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
    /// The VMM has ended, or does not answer.
    #[error("the VMM does not answer {command}: it has ended or hangs")]
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
        matches!(
            self,
            Self::Invalid { .. } | Self::InvalidFile { .. } | Self::SameImage { .. }
        )
    }
}
