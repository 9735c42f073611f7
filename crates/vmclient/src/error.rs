// SPDX-License-Identifier: Apache-2.0
//! What can go wrong for a client.

use crate::names::DeathReason;
use avf_rpc::{explain, explain_status};
use rsbinder::{ExceptionCode, Status, StatusCode};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// A client's error.
///
/// `Display` says what failed, for people; the causes are in `source`. `Debug` is both in one line, so
/// that a `main` which returns this error prints a sentence. What a program wants to know is in the
/// variants and in [`CallError`]'s methods.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The manager's program could not be run.
    #[error("cannot run the VM manager {}", program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// The system error.
        source: io::Error,
    },
    /// The manager was run but did not get ready.
    #[error("cannot start the VM manager {}: {cause}{log}", program.display())]
    NotReady {
        /// The program.
        program: PathBuf,
        /// What it did instead.
        cause: NotReady,
        /// The end of its log, as it follows in a sentence; empty if it was not kept.
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
    #[error("cannot use the VM manager {}: {}", program.display(), explain(*status))]
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
    #[error("the VM manager has ended, and its VMs with it: {how}")]
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
    #[error("the payload ended with exit code {code} before it was ready")]
    Finished {
        /// Its exit code.
        code: i32,
    },
    /// Something did not happen in time.
    #[error("{what} within {} s", after.as_secs_f32())]
    Timeout {
        /// What did not happen.
        what: &'static str,
        /// How long.
        after: Duration,
    },
    /// A vsock port that no guest can have.
    #[error(
        "vsock port {port} is out of range; use a port up to {}, the largest that the interface carries",
        i32::MAX
    )]
    Port {
        /// The port.
        port: u32,
    },
    /// The VM has more files than one call can carry.
    #[error(
        "the VM needs {count} file descriptors, and one call may carry {max}; use fewer partitions, for \
         example by putting several file systems into one image"
    )]
    TooManyFiles {
        /// Descriptors of the configuration and the streams.
        count: usize,
        /// What one call carries.
        max: usize,
    },
    /// The payload's binder service could not be reached.
    #[error("cannot connect to the service at vsock port {port} of the guest")]
    Connect {
        /// The port.
        port: u32,
        /// The cause.
        source: avf_rpc::Error,
    },
    /// The payload's service has another interface than was asked for.
    #[error("cannot use the service at vsock port {port} of the guest: {}", explain(*status))]
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
    #[error("the VM in {} has ended", directory.display())]
    Gone {
        /// The VM's directory.
        directory: PathBuf,
    },
    /// A system call failed.
    #[error("{what}")]
    System {
        /// What was being done.
        what: &'static str,
        /// The system error.
        source: io::Error,
    },
}

/// What a manager did instead of becoming ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotReady {
    /// It ended.
    Ended(ExitStatus),
    /// It neither ended nor got ready for so long.
    Silent(Duration),
    /// It wrote this byte in place of `o`.
    Word(u8),
    /// It closed the ready pipe and ran on.
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
            Self::Silent(time) => {
                write!(f, "it was not ready after {} s", time.as_secs_f32())
            }
            Self::Word(word) => write!(
                f,
                "it wrote '{}' in place of 'o'; name a VM manager",
                word.escape_ascii()
            ),
            Self::Closed => f.write_str("it closed the ready pipe"),
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

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)?;
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            write!(f, ": {cause}")?;
            next = cause.source();
        }
        Ok(())
    }
}

/// A call that the manager answered by an exception, or not at all. `Display` is for people, the
/// methods are for programs.
#[derive(Clone)]
pub struct CallError {
    /// The method, as the interface names it.
    pub method: &'static str,
    /// The answer.
    pub status: Status,
}

impl CallError {
    /// The exception. [`ExceptionCode::TransactionFailed`] if there was no answer; then
    /// [`CallError::transaction`] has the cause.
    #[must_use]
    pub fn exception(&self) -> ExceptionCode {
        self.status.exception_code()
    }

    /// The name that binder's documentation gives the exception, such as `ILLEGAL_ARGUMENT`.
    #[must_use]
    pub fn exception_name(&self) -> &'static str {
        match self.exception() {
            ExceptionCode::None => "NONE",
            ExceptionCode::Security => "SECURITY",
            ExceptionCode::BadParcelable => "BAD_PARCELABLE",
            ExceptionCode::IllegalArgument => "ILLEGAL_ARGUMENT",
            ExceptionCode::NullPointer => "NULL_POINTER",
            ExceptionCode::IllegalState => "ILLEGAL_STATE",
            ExceptionCode::UnsupportedOperation => "UNSUPPORTED_OPERATION",
            ExceptionCode::ServiceSpecific => "SERVICE_SPECIFIC",
            ExceptionCode::TransactionFailed => "TRANSACTION_FAILED",
            _ => "OTHER",
        }
    }

    /// The number that comes with the exception [`ExceptionCode::ServiceSpecific`], else 0.
    #[must_use]
    pub fn service_specific(&self) -> i32 {
        self.status.service_specific_error()
    }

    /// Why there was no answer. [`StatusCode::Ok`] if there was one.
    #[must_use]
    pub fn transaction(&self) -> StatusCode {
        self.status.transaction_error()
    }

    /// The manager's own words, if it sent any.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.status.message().filter(|message| !message.is_empty())
    }
}

impl std::error::Error for CallError {}

impl fmt::Debug for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.method {
            "createVm" => "cannot create the VM",
            "start" => "cannot start the VM",
            "stop" => "cannot stop the VM",
            "suspend" => "cannot suspend the VM",
            "resume" => "cannot resume the VM",
            "connectVsock" => "cannot connect to the guest",
            "getState" => "cannot get the VM's state",
            "getCid" => "cannot get the VM's CID",
            "registerCallback" | "linkToDeath" => "cannot watch the VM",
            "getMemoryBalloon" => "cannot get the size of the memory balloon",
            "setMemoryBalloon" => "cannot set the size of the memory balloon",
            other => return write!(f, "call {other} failed: {}", explain_status(&self.status)),
        };
        write!(f, "{what}: {}", explain_status(&self.status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(method: &'static str, status: impl Into<Status>) -> CallError {
        CallError {
            method,
            status: status.into(),
        }
    }

    #[test]
    fn people_read_words_and_programs_read_codes() {
        let refused = failed(
            "createVm",
            (ExceptionCode::UnsupportedOperation, "no network here"),
        );
        assert_eq!(refused.to_string(), "cannot create the VM: no network here");
        assert_eq!(refused.exception(), ExceptionCode::UnsupportedOperation);
        assert_eq!(refused.exception_name(), "UNSUPPORTED_OPERATION");

        let status = Status::new_service_specific_error(-1, Some("disk full".into()));
        let specific = failed("start", status);
        assert_eq!(specific.to_string(), "cannot start the VM: disk full");
        assert_eq!(specific.service_specific(), -1);

        let lost = failed("isFeatureEnabled", StatusCode::UnknownTransaction);
        assert_eq!(
            lost.to_string(),
            "call isFeatureEnabled failed: the other end does not know this call"
        );
        assert_eq!(lost.transaction(), StatusCode::UnknownTransaction);
    }

    /// What a `main` prints that returns the error.
    #[test]
    fn the_debug_form_is_one_line_for_people() {
        let error = Error::from(failed("stop", (ExceptionCode::IllegalState, "it is dead")));
        assert_eq!(format!("{error:?}"), "cannot stop the VM: it is dead");
        let error = Error::Spawn {
            program: "/x/virtmgr".into(),
            source: io::ErrorKind::NotFound.into(),
        };
        assert_eq!(
            format!("{error:?}"),
            "cannot run the VM manager /x/virtmgr: entity not found"
        );
        for status in [
            StatusCode::DeadObject,
            StatusCode::Errno(-24),
            StatusCode::Ok,
        ] {
            let text = explain(status);
            assert!(
                !text.contains("Errno") && !text.contains("DeadObject"),
                "{text}"
            );
        }
    }
}
