// SPDX-License-Identifier: Apache-2.0
//! Errors as clients see them: the exception of the contract, and the whole chain of causes as
//! text.

use crate::vm;
use host::chain;
use rsbinder::{ExceptionCode, Status};
use std::error::Error;

/// A status with `exception` and a message.
#[must_use]
pub fn exception(exception: ExceptionCode, message: &str) -> Status {
    Status::from((exception, message))
}

/// What is not supported, by the name of the method or field.
#[must_use]
pub fn unsupported(message: &str) -> Status {
    exception(ExceptionCode::UnsupportedOperation, message)
}

/// The default: service-specific error -1.
#[must_use]
pub fn failure(error: &dyn Error) -> Status {
    Status::new_service_specific_error(-1, Some(chain(error)))
}

impl From<&vm::Error> for Status {
    fn from(error: &vm::Error) -> Self {
        let code = match error {
            vm::Error::BadParcelable { .. } => ExceptionCode::BadParcelable,
            vm::Error::Invalid { .. } => ExceptionCode::IllegalArgument,
            vm::Error::Forbidden { .. } | vm::Error::Denied(_) => ExceptionCode::Security,
            vm::Error::Refused { status, .. }
                if !matches!(
                    status.exception_code(),
                    ExceptionCode::ServiceSpecific | ExceptionCode::TransactionFailed
                ) =>
            {
                status.exception_code()
            }
            vm::Error::Vmm(cause) if cause.is_invalid_input() => ExceptionCode::IllegalArgument,
            vm::Error::Vmm(vmm::Error::Unsupported { .. } | vmm::Error::NoBalloon)
            | vm::Error::Unsupported { .. } => ExceptionCode::UnsupportedOperation,
            vm::Error::NoCid | vm::Error::PayloadState { .. } => ExceptionCode::IllegalState,
            _ => return failure(error),
        };
        exception(code, &chain(error))
    }
}

/// Logs `error` and turns it into what the client gets.
#[must_use]
pub fn logged(what: &str, error: &vm::Error) -> Status {
    log::error!("{what}: {}", chain(error));
    Status::from(error)
}
