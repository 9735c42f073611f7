// SPDX-License-Identifier: Apache-2.0
//! Which manager a call asks for.

use crate::report::Failure;
use host::has_raised_privileges;
use std::ffi::{CStr, OsStr, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use vmclient::{ManagerOptions, Stderr};

/// The manager's program.
#[derive(Debug)]
pub(crate) struct Request(PathBuf);

impl Request {
    /// The manager called `name`, wherever it is.
    pub(crate) fn named(name: &'static str) -> Result<Self, Failure> {
        let (found, places) = if has_raised_privileges() {
            (
                vmclient::locate_in_fixed_places(name),
                "beside this program and in /apex/com.android.virt/bin",
            )
        } else {
            (
                vmclient::locate(name),
                "beside this program, in /apex/com.android.virt/bin and in PATH",
            )
        };
        found.map(Self).ok_or_else(|| Failure {
            code: libc::ENOENT,
            message: format!("no executable {name}: it was looked for {places}; install it there"),
        })
    }

    /// The manager at the path `program`.
    ///
    /// # Safety
    ///
    /// `program` must be null or point to a string that ends with a NUL.
    pub(crate) unsafe fn at(program: *const c_char) -> Result<Self, Failure> {
        let missing = || Failure {
            code: libc::EINVAL,
            message: "the path of the VM manager is NULL or empty".into(),
        };
        if program.is_null() {
            return Err(missing());
        }
        // SAFETY: it is not null, so the caller promises that it is a string; it is used only here.
        let program = unsafe { CStr::from_ptr(program) };
        match program.to_bytes() {
            [] => Err(missing()),
            // Without a slash it would be looked for in PATH.
            bytes if bytes.contains(&b'/') => Ok(Self(Path::new(OsStr::from_bytes(bytes)).into())),
            bytes => Ok(Self(Path::new(".").join(OsStr::from_bytes(bytes)))),
        }
    }

    /// How it is started: with its log both in messages and where the program's own errors go.
    pub(crate) fn options(self) -> ManagerOptions {
        ManagerOptions::new(self.0).stderr(Stderr::KeepAndCopy)
    }
}
