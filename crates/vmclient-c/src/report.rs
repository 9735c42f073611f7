// SPDX-License-Identifier: Apache-2.0
//! How a result crosses to C: a descriptor, or a negative number and a call of the callback.

use crate::ErrorCallback;
use std::ffi::{CString, c_int, c_void};
use std::os::fd::{IntoRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Why a call failed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// A number of `errno.h`, above 0.
    pub(crate) code: c_int,
    /// The message, with its causes.
    pub(crate) message: String,
}

impl From<vmclient::Error> for Failure {
    fn from(error: vmclient::Error) -> Self {
        Self {
            code: code(&error),
            // One line, with its causes.
            message: format!("{error:?}"),
        }
    }
}

/// Does `work` and returns its descriptor, or tells `callback` why there is none. No panic gets
/// out.
///
/// # Safety
///
/// `callback` must be `None` or a function that can be called with `ctx`.
pub(crate) unsafe fn answer(
    callback: ErrorCallback,
    ctx: *mut c_void,
    work: impl FnOnce() -> Result<OwnedFd, Failure>,
) -> c_int {
    let failure = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(fd)) => return fd.into_raw_fd(),
        Ok(Err(failure)) => failure,
        Err(_) => Failure {
            code: libc::EIO,
            message:
                "the client library has failed: it panicked; see standard error, and report this"
                    .into(),
        },
    };
    if let Some(callback) = callback {
        let message = c_string(failure.message);
        // SAFETY: the caller promises it; the message lives until the callback has returned.
        unsafe { callback(failure.code, message.as_ptr(), ctx) };
    }
    // A code of 0 would look like a descriptor.
    -failure.code.max(1)
}

/// The text without NULs, which only the name of a program or its output can have.
fn c_string(text: String) -> CString {
    let mut bytes = text.into_bytes();
    bytes.retain(|byte| *byte != 0);
    // There is no NUL left that it could fail for.
    CString::new(bytes).unwrap_or_default()
}

/// The number of `errno.h` that fits.
fn code(error: &vmclient::Error) -> c_int {
    use vmclient::{Error, NotReady};
    match error {
        Error::Spawn { source, .. } | Error::System { source, .. } => {
            source.raw_os_error().filter(|code| *code > 0)
        }
        Error::NotReady { cause, .. } if cause.is_not_permitted() => Some(libc::EPERM),
        Error::NotReady { cause, .. } => Some(match cause {
            NotReady::Ended(_) => libc::ECONNREFUSED,
            NotReady::Silent(_) => libc::ETIMEDOUT,
            _ => libc::EPROTO,
        }),
        _ => None,
    }
    .unwrap_or(libc::EIO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::{CStr, c_char};

    type Heard = Vec<(c_int, String)>;

    unsafe extern "C" fn hear(code: c_int, message: *const c_char, ctx: *mut c_void) {
        // SAFETY: the tests pass a `Heard` that no one else uses during the call.
        let heard = unsafe { &mut *ctx.cast::<Heard>() };
        // SAFETY: it is a string for as long as the call lasts.
        let message = unsafe { CStr::from_ptr(message) };
        heard.push((code, message.to_str().unwrap().to_owned()));
    }

    fn told(work: impl FnOnce() -> Result<OwnedFd, Failure>) -> (c_int, Heard) {
        let mut heard = Heard::new();
        // SAFETY: `hear` takes a `Heard`.
        let result = unsafe { answer(Some(hear), (&raw mut heard).cast(), work) };
        (result, heard)
    }

    #[test]
    fn a_panic_ends_at_the_border() {
        let (result, heard) = told(|| panic!("expected by the test"));
        assert_eq!(result, -libc::EIO);
        assert_eq!(heard.len(), 1);
        assert_eq!(heard[0].0, libc::EIO);
        assert!(heard[0].1.contains("panicked"));
    }

    #[test]
    fn a_message_has_no_nul_and_is_whole() {
        let (result, heard) = told(|| {
            Err(Failure {
                code: libc::ECONNREFUSED,
                message: "one\0\ntwo".into(),
            })
        });
        assert_eq!(result, -libc::ECONNREFUSED);
        assert_eq!(heard, [(libc::ECONNREFUSED, "one\ntwo".to_owned())]);
    }

    #[test]
    fn without_a_callback_the_number_says_why() {
        let work = || {
            Err(Failure {
                code: libc::ENOENT,
                message: "none".into(),
            })
        };
        // SAFETY: there is no callback.
        let result = unsafe { answer(None, std::ptr::null_mut(), work) };
        assert_eq!(result, -libc::ENOENT);
    }

    #[test]
    fn success_is_a_descriptor_and_no_call() {
        let (result, heard) = told(|| Ok(std::fs::File::open("/dev/null").unwrap().into()));
        assert!(result > 2, "{result}");
        assert!(heard.is_empty());
    }
}
