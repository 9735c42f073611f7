// SPDX-License-Identifier: Apache-2.0
//! What can go wrong for a client.

use crate::names::DeathReason;
use rsbinder::{ExceptionCode, Status, StatusCode};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// A client's error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The manager's program could not be run.
    #[error("cannot run the VM manager {}", program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The manager was run but did not say that it is ready.
    #[error("the VM manager {} did not become ready: {cause}{log}", program.display())]
    NotReady {
        /// The program.
        program: PathBuf,
        /// What it did instead.
        cause: NotReady,
        /// The end of its log as it follows in a sentence; empty if it was not kept.
        log: String,
    },
    /// The manager was ready, but its RPC session could not be set up.
    #[error("cannot talk to the VM manager {}", program.display())]
    Session {
        /// The program.
        program: PathBuf,
        /// The cause.
        source: avf_rpc::Error,
    },
    /// The manager's root object is not an `IVirtualizationService`.
    #[error("the VM manager {} serves another interface ({status:?})", program.display())]
    NoService {
        /// The program.
        program: PathBuf,
        /// The RPC library's status.
        status: StatusCode,
    },
    /// The manager refused a call.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The manager ended while it was needed, and every VM of it with it.
    #[error("the VM manager is gone ({how}), and its VMs with it; its log says why")]
    ManagerLost {
        /// How it ended, as far as known.
        how: String,
    },
    /// The VM died while something else was expected of it.
    #[error("the VM died: {reason}{}", detail.as_ref().map(|d| format!(" ({d})")).unwrap_or_default())]
    Died {
        /// Why.
        reason: DeathReason,
        /// The last error that the guest reported.
        detail: Option<String>,
    },
    /// The payload ended while it was expected to get ready.
    #[error("the payload ended before it was ready, with exit code {code}")]
    Finished {
        /// Its exit code.
        code: i32,
    },
    /// Something did not happen in time.
    #[error("{what} did not happen within {} s", after.as_secs_f32())]
    Timeout {
        /// What was awaited.
        what: &'static str,
        /// How long.
        after: Duration,
    },
    /// A vsock port that no guest can have.
    #[error(
        "vsock port {port} is out of range: the interface carries ports up to {}",
        i32::MAX
    )]
    Port {
        /// The port.
        port: u32,
    },
    /// The VM has more files than one message can carry.
    #[error(
        "the VM needs {count} file descriptors, and one message carries at most {most}: use fewer \
         partitions, for example by putting several file systems into one image"
    )]
    TooManyFiles {
        /// Descriptors of the configuration and the streams.
        count: usize,
        /// What one message carries.
        most: usize,
    },
    /// The payload's binder service could not be reached.
    #[error("cannot connect to the binder service at vsock port {port} of the guest")]
    Connect {
        /// The port.
        port: u32,
        /// The cause.
        source: avf_rpc::Error,
    },
    /// The payload's service has another interface than was asked for.
    #[error(
        "the service at vsock port {port} of the guest is not the wanted interface ({status:?})"
    )]
    WrongService {
        /// The port.
        port: u32,
        /// The RPC library's status.
        status: StatusCode,
    },
    /// A VM of another client could not be reached.
    #[error("cannot reach the VM in {}", directory.display())]
    Control {
        /// The VM's directory.
        directory: PathBuf,
        /// The system's answer, or that there was none.
        source: io::Error,
    },
    /// A VM of another client ended while it was needed.
    #[error("the VM in {} is gone", directory.display())]
    Gone {
        /// The VM's directory.
        directory: PathBuf,
    },
    /// A system call failed.
    #[error("{what}")]
    System {
        /// What was being done.
        what: &'static str,
        /// The system's answer.
        source: io::Error,
    },
}

/// What a manager did instead of becoming ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotReady {
    /// It ended.
    Ended(ExitStatus),
    /// It said nothing for so long.
    Silent(Duration),
    /// It said this in place of `o`.
    Word(u8),
    /// It closed the ready pipe and went on.
    Closed,
}

impl NotReady {
    /// The exit status by which a manager says that the client, or the manager itself, lacks a
    /// permission: `EX_NOPERM` of `sysexits.h`.
    pub const NOT_PERMITTED: i32 = 77;

    /// Whether the manager ended for lack of a permission.
    #[must_use]
    pub fn is_not_permitted(&self) -> bool {
        matches!(self, Self::Ended(status) if status.code() == Some(Self::NOT_PERMITTED))
    }
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended(status) => write!(f, "it ended at once ({status})"),
            Self::Silent(time) => write!(f, "no word from it in {} s", time.as_secs_f32()),
            Self::Word(word) => write!(
                f,
                "it said {:?} where `o` was due; is it a VM manager?",
                char::from(*word)
            ),
            Self::Closed => f.write_str("it closed the ready pipe without a word"),
        }
    }
}

impl Error {
    /// Wraps an I/O error with what was being done.
    pub(crate) fn system<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |e| Self::System {
            what,
            source: e.into(),
        }
    }
}

/// A binder call that was answered by an exception, or not at all.
#[derive(Debug, Clone)]
pub struct CallError {
    /// The method, as the interface names it.
    pub method: &'static str,
    /// The answer.
    pub status: Status,
}

impl std::error::Error for CallError {}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, status } = self;
        match status.exception_code() {
            ExceptionCode::TransactionFailed => {
                write!(
                    f,
                    "{method}: the call failed: {:?}",
                    status.transaction_error()
                )?;
            }
            ExceptionCode::ServiceSpecific => {
                write!(
                    f,
                    "{method}: SERVICE_SPECIFIC {}",
                    status.service_specific_error()
                )?;
            }
            other => write!(f, "{method}: {}", exception_name(other))?,
        }
        match status.message() {
            Some(message) if !message.is_empty() => write!(f, ": {message}"),
            _ => Ok(()),
        }
    }
}

/// The name that binder's interface documentation gives an exception.
fn exception_name(code: ExceptionCode) -> String {
    match code {
        ExceptionCode::Security => "SECURITY".into(),
        ExceptionCode::BadParcelable => "BAD_PARCELABLE".into(),
        ExceptionCode::IllegalArgument => "ILLEGAL_ARGUMENT".into(),
        ExceptionCode::NullPointer => "NULL_POINTER".into(),
        ExceptionCode::IllegalState => "ILLEGAL_STATE".into(),
        ExceptionCode::UnsupportedOperation => "UNSUPPORTED_OPERATION".into(),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_call_shows_exception_and_message() {
        let text = |status| {
            CallError {
                method: "createVm",
                status,
            }
            .to_string()
        };
        assert_eq!(
            text(Status::from((
                ExceptionCode::UnsupportedOperation,
                "no network here"
            ))),
            "createVm: UNSUPPORTED_OPERATION: no network here"
        );
        assert_eq!(
            text(Status::new_service_specific_error(
                -1,
                Some("disk full".into())
            )),
            "createVm: SERVICE_SPECIFIC -1: disk full"
        );
        assert_eq!(
            text(Status::from(StatusCode::NameNotFound)),
            "createVm: the call failed: NameNotFound"
        );
    }
}
