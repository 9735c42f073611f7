// SPDX-License-Identifier: Apache-2.0
//! Binder objects that serve peers of every release. A server implements [`Service`], [`Machine`] and
//! [`Guest`], which know of no release.

mod debug_info;
mod guest;
mod machine;
mod objects;
mod service;

pub use guest::{Guest, guest};
pub use machine::{Machine, TrimLevel, machine};
pub use service::{Service, service};

use crate::call::{Interface, MAX_BYTES, words};
use crate::recognise::{Refusal, Resolved, Wire};
use rsbinder::{
    BinderResult, ExceptionCode, LAST_CALL_TRANSACTION, Parcel, Serialize, Status, StatusCode,
};

/// A call's method, and the words of its arguments.
type Call<M> = (Resolved<M>, Vec<u32>);

/// The method of a call, with its arguments checked. `None` if the call was answered with an
/// exception.
fn resolve<M: Copy + PartialEq>(
    wire: &Wire,
    interface: &Interface<M>,
    code: u32,
    arguments: &mut Parcel,
    reply: &mut Parcel,
) -> Result<Option<Call<M>>, StatusCode> {
    if code > LAST_CALL_TRANSACTION {
        // A transaction of binder's own, such as the request for the interface's name.
        return Err(StatusCode::UnknownTransaction);
    }
    let words = match words(arguments) {
        Ok(words) => words,
        Err(_) => {
            let text = format!(
                "the arguments of code {code} of {} have {} bytes; they must be whole words of 4 bytes, \
                 and at most {MAX_BYTES}",
                interface.name,
                arguments
                    .data_size()
                    .saturating_sub(arguments.data_position()),
            );
            reply.write(&Status::from((ExceptionCode::BadParcelable, text.as_str())))?;
            return Ok(None);
        }
    };
    match wire.resolve(interface, code, &words) {
        Ok(resolved) => Ok(Some((resolved, words))),
        Err(Refusal::Unknown) => Err(StatusCode::UnknownTransaction),
        Err(Refusal::Status(status)) => {
            reply.write(&status)?;
            Ok(None)
        }
    }
}

/// Writes what a method returned.
fn answer<T: Serialize>(reply: &mut Parcel, result: &BinderResult<T>) -> Result<(), StatusCode> {
    match result {
        Ok(value) => {
            reply.write(&Status::from(StatusCode::Ok))?;
            reply.write(value)
        }
        Err(status) => reply.write(status),
    }
}

/// Writes that a method without a result has succeeded or failed.
fn answer_nothing(reply: &mut Parcel, result: BinderResult<()>) -> Result<(), StatusCode> {
    match result {
        Ok(()) => reply.write(&Status::from(StatusCode::Ok)),
        Err(status) => reply.write(&status),
    }
}

/// The answer of a method that a server does not have.
fn unsupported<T>(method: &str) -> BinderResult<T> {
    let text = format!("{method} is not supported");
    Err((ExceptionCode::UnsupportedOperation, text.as_str()).into())
}
