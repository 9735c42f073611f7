// SPDX-License-Identifier: Apache-2.0
//! What can go wrong while a channel is set up.

use std::io;

/// A channel could not be set up or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A system call on the named object failed.
    #[error("{what}")]
    Io {
        /// What was being done, with the value concerned.
        what: String,
        /// The system error.
        source: io::Error,
    },
    /// The RPC binder library refused; the text says at which step.
    #[error("{what}: {}", explain(*status))]
    Rpc {
        /// What was being done.
        what: &'static str,
        /// The library's status.
        status: rsbinder::StatusCode,
    },
    /// A port of the host's vsock is in use.
    #[error("vsock port {port} of this host is used by another program")]
    PortTaken {
        /// The port.
        port: u32,
    },
    /// The peer of a hybrid vsock socket did not accept the connection.
    #[error("vsock port {port} of the guest refused the connection: nothing listens there")]
    Refused {
        /// The port in the guest.
        port: u32,
    },
}

impl Error {
    /// The error with the system's answer, for a log.
    pub(crate) fn line(&self) -> String {
        match self {
            Self::Io { what, source } => format!("{what}: {source}"),
            _ => self.to_string(),
        }
    }

    /// Wraps an I/O error with what was being done.
    pub(crate) fn io(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Io {
            what: what.into(),
            source: source.into(),
        }
    }

    /// Wraps a status of the RPC library.
    pub(crate) fn rpc(what: &'static str) -> impl FnOnce(rsbinder::StatusCode) -> Self {
        move |status| Self::Rpc { what, status }
    }
}

/// Why a call failed, in words: what the server said, or else what its exception means.
#[must_use]
pub fn explain_status(status: &rsbinder::Status) -> String {
    use rsbinder::ExceptionCode;
    // The server's own words are better than any that are known here.
    if let Some(message) = status.message().filter(|message| !message.is_empty()) {
        return message.to_owned();
    }
    match status.exception_code() {
        ExceptionCode::TransactionFailed => explain(status.transaction_error()),
        ExceptionCode::ServiceSpecific => {
            format!(
                "the service refused it (error {})",
                status.service_specific_error()
            )
        }
        ExceptionCode::Security => "permission denied".into(),
        ExceptionCode::IllegalArgument => "an argument is not valid".into(),
        ExceptionCode::NullPointer => "a value that the interface demands is missing".into(),
        ExceptionCode::IllegalState => "it is not possible in the present state".into(),
        ExceptionCode::UnsupportedOperation => "it is not supported".into(),
        other => format!("the call was refused (exception {})", other as i32),
    }
}

/// A status of the RPC library in words.
#[must_use]
pub fn explain(status: rsbinder::StatusCode) -> String {
    use rsbinder::StatusCode;
    match status {
        StatusCode::DeadObject => "the other end has closed the connection".into(),
        StatusCode::TimedOut | StatusCode::WouldBlock => "the other end does not answer".into(),
        StatusCode::BadType => "the other end has another interface".into(),
        StatusCode::BadValue | StatusCode::BadIndex | StatusCode::NotEnoughData => {
            "the other end sent data that does not fit the interface".into()
        }
        StatusCode::UnknownTransaction => "the other end does not know this call".into(),
        StatusCode::UnexpectedNull => "a value that the interface demands is missing".into(),
        StatusCode::FdsNotAllowed => "file descriptors cannot be passed on this connection".into(),
        StatusCode::NameNotFound => "there is no such name".into(),
        StatusCode::PermissionDenied => "permission denied".into(),
        StatusCode::NoMemory => "out of memory".into(),
        StatusCode::InvalidOperation => "the operation is not possible now".into(),
        StatusCode::FailedTransaction => "the call failed".into(),
        StatusCode::Errno(errno) => io::Error::from_raw_os_error(errno.abs()).to_string(),
        other => format!("the call failed (status {})", i32::from(other)),
    }
}
