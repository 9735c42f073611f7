// SPDX-License-Identifier: Apache-2.0
//! Why the guest could not do its work, and the names by which the host knows that.

use std::fmt::Display;
use vm_payload::ErrorCode;

/// The classes of failure that the host tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What the host asked for cannot be: parameters, payload, partitions.
    Config,
    /// A payload is not what its idsig says.
    Verification,
    /// A payload is not the one that the instance knows.
    Changed,
    /// The host cannot be reached.
    NoHost,
    /// Everything else.
    Runtime,
}

impl Kind {
    /// The text that the failure line (ttyS1) begins with: a name of the host's `DeathReason`.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Config => "MICRODROID_INVALID_PAYLOAD_CONFIG",
            Self::Verification => "MICRODROID_PAYLOAD_VERIFICATION_FAILED",
            Self::Changed => "MICRODROID_PAYLOAD_HAS_CHANGED",
            Self::NoHost => "MICRODROID_FAILED_TO_CONNECT_TO_VIRTUALIZATION_SERVICE",
            Self::Runtime => "MICRODROID_UNKNOWN_RUNTIME_ERROR",
        }
    }

    /// The code for `notifyError`.
    pub(crate) fn code(self) -> ErrorCode {
        match self {
            Self::Config => ErrorCode::PAYLOAD_INVALID_CONFIG,
            Self::Verification => ErrorCode::PAYLOAD_VERIFICATION_FAILED,
            Self::Changed => ErrorCode::PAYLOAD_CHANGED,
            Self::NoHost | Self::Runtime => ErrorCode::UNKNOWN,
        }
    }
}

/// A failure with a text for humans, on one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    message: String,
}

impl Failure {
    /// A failure of `kind`; line breaks in `message` become spaces.
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        let message = message.into().replace(['\r', '\n'], " ");
        Self { kind, message }
    }

    /// A failure to do `what`, such as "read FILE", with the system's answer.
    pub(crate) fn io(kind: Kind, what: impl Display, source: &impl Display) -> Self {
        Self::new(kind, format!("cannot {what}: {source}"))
    }

    /// What is written to the failure line.
    pub(crate) fn line(&self) -> String {
        format!("{}|{}", self.kind.reason(), self.message)
    }
}
