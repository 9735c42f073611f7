// SPDX-License-Identifier: Apache-2.0
//! Errors as clients see them: the exception of the contract, and the whole chain of causes as
//! text.

use crate::error::{self, Kind};
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

impl From<&error::Error> for Status {
    fn from(error: &error::Error) -> Self {
        let code = match error.kind() {
            Kind::BadParcelable => ExceptionCode::BadParcelable,
            Kind::Invalid => ExceptionCode::IllegalArgument,
            Kind::Security => ExceptionCode::Security,
            Kind::Unsupported => ExceptionCode::UnsupportedOperation,
            Kind::State => ExceptionCode::IllegalState,
            Kind::Answer(code) => code,
            Kind::Failure | Kind::Taken => return failure(error),
        };
        exception(code, &chain(error))
    }
}

/// Logs `error` and turns it into what the client gets.
#[must_use]
pub fn logged(what: &str, error: &error::Error) -> Status {
    log::error!("{what}: {}", chain(error));
    Status::from(error)
}
