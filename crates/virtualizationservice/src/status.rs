// SPDX-License-Identifier: Apache-2.0
//! Errors as callers see them: an exception, and a text with all causes.

use host::chain;
use rsbinder::{ExceptionCode, Status};
use std::error::Error;

/// A status with `code` and a message.
pub(crate) fn exception(code: ExceptionCode, message: &str) -> Status {
    Status::from((code, message))
}

/// A value that the caller must not send.
pub(crate) fn illegal_argument(message: &str) -> Status {
    exception(ExceptionCode::IllegalArgument, message)
}

/// What cannot be done here at all.
pub(crate) fn unsupported(message: &str) -> Status {
    exception(ExceptionCode::UnsupportedOperation, message)
}

/// The default: service-specific error -1, logged as well.
pub(crate) fn failure(what: &str, error: &dyn Error) -> Status {
    let text = chain(error);
    log::error!("{what}: {text}");
    Status::new_service_specific_error(-1, Some(text))
}
