// SPDX-License-Identifier: Apache-2.0
//! The C interface of the client library.
//!
//! ```text
//!   C program ── get_virtualization_service(callback, ctx) ──▶ fork virtmgr, wait for its `o`
//!       │ fd: the client's end of the bootstrap socket                     │
//!       ▼                                                                  ▼
//!   ARpcSession_setupUnixDomainBootstrapClient(session, fd) ◀── RPC ──▶ IVirtualizationService
//!   close(fd) ───────────────────────────────────────────────▶ the manager and its VMs end
//! ```
//!
//! `include/vmclient.h` is this file for C programs. Everything that is not about C is in
//! [`vmclient::spawn`].
//!
//! * `request` is what a call asks for: which program, in which place.
//! * `report` is how a failure becomes a number and a message.

mod report;
mod request;

use request::Request;
use std::ffi::{c_char, c_int, c_void};

/// Called with the reason for a failure, on the caller's thread and before the failed call returns.
///
/// `code` is a number of <errno.h>. `message` is one line of UTF-8 that ends with a NUL; it is valid
/// only until the callback returns. `ctx` is what the caller passed. The callback must return
/// normally: neither longjmp nor a C++ exception may leave it.
pub type ErrorCallback =
    Option<unsafe extern "C" fn(code: c_int, message: *const c_char, ctx: *mut c_void)>;

/// Starts a VM manager, `virtmgr`, for the calling process and waits until it is ready.
///
/// The program is looked for beside the running one, in /apex/com.android.virt/bin and in PATH; not
/// in PATH if the calling program runs with raised privileges.
///
/// Returns the client's end of the bootstrap socket: a Unix stream socket, close-on-exec. It
/// belongs to the caller, who passes it to ARpcSession_setupUnixDomainBootstrapClient and closes it.
/// When the last copy of it is closed, the manager ends, and its VMs with it.
///
/// Returns a negative number, -code, if that fails, after calling `callback` once; `callback` may
/// be NULL. The codes to expect:
///
///   ENOENT         there is no such program
///   EACCES, EPERM  the caller may not run it, or lacks a permission that it asks for
///   ECONNREFUSED   it ended at once for another reason; the message has the end of its log
///   ETIMEDOUT      it was not ready after 30 seconds
///   EPROTO         it is not a VM manager
///
/// Other codes come from the system calls that start a program.
///
/// The manager's log goes to the standard error that the caller has at the time of the call. The
/// library waits for the manager's process itself, on threads that take no signals; a program that
/// waits for all its children may still see it. The manager takes the calling process for its
/// client, so a program that becomes a daemon by forking must do that first.
///
/// It may be called from several threads at once. Each call starts another manager with the
/// caller's environment, which no other thread may change meanwhile.
///
/// # Safety
///
/// `callback` must be NULL or a function that can be called with `ctx`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn get_virtualization_service(
    callback: ErrorCallback,
    ctx: *mut c_void,
) -> c_int {
    // SAFETY: the caller promises it.
    unsafe { report::answer(callback, ctx, || Request::named("virtmgr").and_then(start)) }
}

/// As get_virtualization_service, with `early_virtmgr`, the manager for VMs that start before /data
/// is mounted.
///
/// # Safety
///
/// `callback` must be NULL or a function that can be called with `ctx`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn get_early_virtualization_service(
    callback: ErrorCallback,
    ctx: *mut c_void,
) -> c_int {
    // SAFETY: the caller promises it.
    unsafe {
        report::answer(callback, ctx, || {
            Request::named("early_virtmgr").and_then(start)
        })
    }
}

/// As get_virtualization_service, with the manager at the path `program`. A path without a slash is
/// one in the working directory: it is not looked for elsewhere. NULL or "" gives EINVAL.
///
/// # Safety
///
/// `program` must be NULL or a string that ends with a NUL. `callback` must be NULL or a function
/// that can be called with `ctx`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn avf_start_manager(
    program: *const c_char,
    callback: ErrorCallback,
    ctx: *mut c_void,
) -> c_int {
    // SAFETY: the caller promises it.
    let request = unsafe { Request::at(program) };
    // SAFETY: the caller promises it.
    unsafe { report::answer(callback, ctx, || request.and_then(start)) }
}

/// Starts the manager; what it returns is the caller's.
fn start(request: Request) -> Result<std::os::fd::OwnedFd, report::Failure> {
    let manager = vmclient::spawn(&request.options())?;
    Ok(manager.socket)
}
