// SPDX-License-Identifier: Apache-2.0
//! Proxies that speak any release to a manager, behind the newest release's traits.

mod machine;
mod service;

pub use machine::machine;
pub use service::service;

use crate::release::Release;
use rsbinder::{
    BinderResult, Deserialize, ExceptionCode, FLAG_CLEAR_BUF, FLAG_PRIVATE_LOCAL, Parcel, SIBinder,
    Status, StatusCode,
};

/// A manager's object, spoken to in one release's codes.
#[derive(Clone)]
struct Remote {
    binder: SIBinder,
    release: Release,
}

impl Remote {
    /// Calls the method with this code and returns its reply, without the status.
    fn call(
        &self,
        method: &str,
        code: Option<u32>,
        arguments: impl FnOnce(&mut Parcel) -> Result<(), StatusCode>,
    ) -> BinderResult<Parcel> {
        let code = code.ok_or_else(|| self.inexpressible(method))?;
        let remote = self.binder.as_remote().ok_or(StatusCode::BadType)?;
        let mut data = remote.prepare_transact(true)?;
        arguments(&mut data)?;
        let reply = remote.submit_transact(code, &data, FLAG_CLEAR_BUF | FLAG_PRIVATE_LOCAL)?;
        let mut reply = reply.ok_or(StatusCode::UnexpectedNull)?;
        let status: Status = reply.read()?;
        if status.is_ok() {
            Ok(reply)
        } else {
            Err(status)
        }
    }

    /// Calls a method and reads its result.
    fn get<T: Deserialize>(
        &self,
        method: &str,
        code: Option<u32>,
        arguments: impl FnOnce(&mut Parcel) -> Result<(), StatusCode>,
    ) -> BinderResult<T> {
        Ok(self.call(method, code, arguments)?.read()?)
    }

    /// The release has no such method or field.
    fn inexpressible(&self, what: &str) -> Status {
        let text = format!(
            "{what} is not in the wire of {}; speak a later release to the manager",
            self.release.title()
        );
        (ExceptionCode::UnsupportedOperation, text.as_str()).into()
    }
}
