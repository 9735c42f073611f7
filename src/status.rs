// SPDX-License-Identifier: Apache-2.0
//! Errors as clients see them: the exception of the contract, and the whole chain of causes as
//! text.

use crate::error::{self, Kind};
use host::chain;
use rsbinder::{ExceptionCode, Status};
use rustix::io::Errno;
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
            Kind::Failure | Kind::Taken => {
                return Status::new_service_specific_error(-1, Some(text(error)));
            }
        };
        exception(code, &text(error))
    }
}

/// Logs `error` and turns it into what the client gets.
#[must_use]
pub fn logged(what: &str, error: &error::Error) -> Status {
    log::error!("{what}: {}", text(error));
    Status::from(error)
}

/// The error and its causes, with the remedy if this process has no descriptors left.
fn text(error: &error::Error) -> String {
    let text = chain(error);
    if error.source().is_some_and(is_out_of_descriptors) {
        text + "; raise the limit on open files (ulimit -n) of the process that starts this manager"
    } else {
        text
    }
}

fn is_out_of_descriptors(cause: &(dyn Error + 'static)) -> bool {
    let errno = cause.downcast_ref().and_then(Errno::from_io_error);
    errno == Some(Errno::MFILE) || cause.source().is_some_and(is_out_of_descriptors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_of_descriptors_has_its_remedy() {
        let lacking = |errno: Errno| text(&error::Error::io("cannot make a pipe", errno));
        assert!(lacking(Errno::MFILE).contains("ulimit -n"));
        assert!(!lacking(Errno::NFILE).contains("ulimit"));
        // Also where another crate's error has it as its cause.
        let of_vmm = vmm::Error::Io {
            what: "cannot open a pidfd".to_owned(),
            source: Errno::MFILE.into(),
        };
        assert!(text(&error::Error::from(of_vmm)).contains("ulimit -n"));
    }
}
