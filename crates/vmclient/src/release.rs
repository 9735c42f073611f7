// SPDX-License-Identifier: Apache-2.0
//! Which release of the interfaces is spoken to a manager.

pub use avf_wire::{Release, UnknownRelease};

/// The release that is spoken if the client names none: the system's own on Android, where the manager
/// is the system's; else the newest, which this project's managers recognise like any other.
#[cfg(target_os = "android")]
pub(crate) fn of_system() -> Release {
    let property = |name| sysprop::read(name).ok().flatten();
    property("ro.build.version.sdk_full")
        .or_else(|| property("ro.build.version.sdk"))
        .and_then(|level| Release::of_sdk(&level))
        .unwrap_or(Release::NEWEST)
}

/// The newest release: a manager outside Android is this project's, which recognises every release.
#[cfg(not(target_os = "android"))]
pub(crate) fn of_system() -> Release {
    Release::NEWEST
}
