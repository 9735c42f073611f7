// SPDX-License-Identifier: Apache-2.0
//! Where a manager's program is found.

use std::env;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Finds the manager called `name` (`virtmgr` or `early_virtmgr`): beside the running program, in
/// the APEX `com.android.virt`, or in `PATH`.
#[must_use]
pub fn locate(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::split_paths(&path).filter(|dir| dir.is_absolute());
    find(name, fixed_places().into_iter().chain(path))
}

/// Finds the manager as [`locate`] does, but not in `PATH`: for programs with raised privileges,
/// whose callers must not say what they run.
#[must_use]
pub fn locate_in_fixed_places(name: &str) -> Option<PathBuf> {
    find(name, fixed_places())
}

/// The directories in which a manager is looked for whatever the environment says.
fn fixed_places() -> Vec<PathBuf> {
    let beside = env::current_exe()
        .ok()
        .and_then(|exe| exe.parent().map(Path::to_owned));
    beside
        .into_iter()
        .chain([PathBuf::from("/apex/com.android.virt/bin")])
        .collect()
}

fn find(name: &str, places: impl IntoIterator<Item = PathBuf>) -> Option<PathBuf> {
    places.into_iter().map(|dir| dir.join(name)).find(|file| {
        file.metadata()
            .is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    })
}
