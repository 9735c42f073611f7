// SPDX-License-Identifier: Apache-2.0
//! Signal masks, for which there is no safe interface.
#![expect(unsafe_code, reason = "signal masks have no safe form")]

use std::io;
use std::mem::MaybeUninit;
use std::ptr;

/// No signals.
#[must_use]
pub fn empty() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset writes the whole set.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: the set was written by the call above, which cannot fail for a valid pointer.
    unsafe { set.assume_init() }
}

/// These signals, which must be valid ones.
#[must_use]
pub fn of(signals: &[libc::c_int]) -> libc::sigset_t {
    let mut set = empty();
    for signal in signals {
        // SAFETY: the set is initialized; a signal that is not valid is an error without effect.
        unsafe { libc::sigaddset(&raw mut set, *signal) };
    }
    set
}

/// Changes this thread's mask by `set`: `how` is `SIG_BLOCK`, `SIG_UNBLOCK` or `SIG_SETMASK`. May be
/// called between fork and exec.
///
/// # Errors
/// If `how` is another.
pub fn change(how: libc::c_int, set: &libc::sigset_t) -> io::Result<()> {
    // SAFETY: `set` is initialized, and the old mask is not asked for.
    match unsafe { libc::pthread_sigmask(how, set, ptr::null_mut()) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}
