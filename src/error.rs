// SPDX-License-Identifier: Apache-2.0
//! The manager's error: what failed, why, and which exception a client gets for it.

use rsbinder::{ExceptionCode, Status};
use std::error::Error as StdError;
use std::{fmt, io};

/// Any error, as a cause.
pub type Cause = Box<dyn StdError + Send + Sync>;

/// What a failure means for the client; the exception follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A step failed, for a reason that is not the client's.
    Failure,
    /// A field has a value that it must not have.
    Invalid,
    /// A field cannot be read as what it is.
    BadParcelable,
    /// The client may not have what it asks for.
    Security,
    /// This manager, or this host, cannot do what a field asks for.
    Unsupported,
    /// The call does not fit the state of the VM or of the machine.
    State,
    /// Another VM of the machine has the CID, or the port of that number.
    Taken,
    /// The global service answered with this exception.
    Answer(ExceptionCode),
}

/// A VM could not be created, started or controlled.
// In a box: every step of creating a VM can return one, and most of the code would be moving it.
#[derive(Debug)]
pub struct Error(Box<Parts>);

#[derive(Debug)]
struct Parts {
    kind: Kind,
    /// Empty if the cause alone says it.
    what: String,
    source: Option<Cause>,
}

impl Error {
    fn made(kind: Kind, what: String, source: Option<Cause>) -> Self {
        Self(Box::new(Parts { kind, what, source }))
    }

    /// An error without a cause: `what` names the value and the remedy.
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self::made(kind, what.into(), None)
    }

    /// A step failed for a cause.
    pub fn failed(what: impl Into<String>, source: impl Into<Cause>) -> Self {
        Self::made(Kind::Failure, what.into(), Some(source.into()))
    }

    /// Wraps a system error with what was being done.
    pub fn io(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::failed(what, source.into())
    }

    /// An error whose text is that of `source`.
    pub fn of(kind: Kind, source: impl Into<Cause>) -> Self {
        Self::made(kind, String::new(), Some(source.into()))
    }

    /// A field has a value that it must not have.
    pub fn invalid(what: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, what)
    }

    /// A field asks for what this manager cannot do.
    pub fn unsupported(what: impl Into<String>) -> Self {
        Self::new(Kind::Unsupported, what)
    }

    /// The global service refused `what` with `status`.
    pub fn refused(what: impl Into<String>, status: Status) -> Self {
        let kind = match status.exception_code() {
            ExceptionCode::ServiceSpecific | ExceptionCode::TransactionFailed => Kind::Failure,
            code => Kind::Answer(code),
        };
        // The words of the answer alone: the exception goes on to the client as one.
        let words = status.message().filter(|words| !words.is_empty());
        let cause = match words {
            Some(words) => Cause::from(words),
            None => status.into(),
        };
        Self::made(kind, what.into(), Some(cause))
    }

    /// The VM is `is`, but `call` needs one that is `wanted`.
    #[must_use]
    pub fn state(is: &str, call: &str, wanted: &str) -> Self {
        Self::new(
            Kind::Failure,
            format!("the VM is {is}: {call} needs one that is {wanted}"),
        )
    }

    /// The manager ends, so that nothing is begun any more.
    #[must_use]
    pub fn ending() -> Self {
        Self::new(Kind::Failure, "the manager is ending; start another one")
    }

    /// Adds what can be done about it.
    #[must_use]
    pub fn with_remedy(mut self, remedy: &str) -> Self {
        let parts = &mut *self.0;
        if parts.what.is_empty() {
            let source = parts.source.take();
            parts.what = source
                .as_deref()
                .map(|e| host::chain(e))
                .unwrap_or_default();
        }
        parts.what = format!("{}; {remedy}", parts.what);
        self
    }

    /// What the failure means for the client.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.source {
            Some(source) if self.0.what.is_empty() => source.fmt(f),
            _ => f.write_str(&self.0.what),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        let source: &(dyn StdError + 'static) = self.0.source.as_deref()?;
        if self.0.what.is_empty() {
            source.source()
        } else {
            Some(source)
        }
    }
}

impl From<vmm::Error> for Error {
    fn from(error: vmm::Error) -> Self {
        let kind = match &error {
            vmm::Error::Unsupported { .. } | vmm::Error::NoBalloon => Kind::Unsupported,
            error if error.is_invalid_input() => Kind::Invalid,
            _ => Kind::Failure,
        };
        Self::of(kind, error)
    }
}

impl From<avf_rpc::Error> for Error {
    fn from(error: avf_rpc::Error) -> Self {
        let kind = match error {
            avf_rpc::Error::PortTaken { .. } => Kind::Taken,
            _ => Kind::Failure,
        };
        Self::of(kind, error)
    }
}

impl From<debug_policy::Error> for Error {
    fn from(error: debug_policy::Error) -> Self {
        Self::of(Kind::Failure, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_repeated_in_its_own_words() {
        let answer = |code, words: &str| Error::refused("devices", Status::from((code, words)));
        let error = answer(ExceptionCode::Security, "not for user 7");
        assert_eq!(host::chain(&error), "devices: not for user 7");
        assert_eq!(error.kind(), Kind::Answer(ExceptionCode::Security));
        let error = answer(ExceptionCode::ServiceSpecific, "");
        assert_eq!(error.kind(), Kind::Failure);
        assert!(host::chain(&error).starts_with("devices: "));
    }

    #[test]
    fn an_error_without_words_has_those_of_its_cause() {
        let cause = || io::Error::other("denied");
        let plain = Error::of(Kind::Security, cause());
        assert_eq!(plain.to_string(), "denied");
        assert!(plain.source().is_none());
        let with = Error::io("open f", cause());
        assert_eq!(with.to_string(), "open f");
        assert_eq!(with.source().unwrap().to_string(), "denied");
    }
}
