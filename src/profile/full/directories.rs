// SPDX-License-Identifier: Apache-2.0
//! Where the directories of VMs are that no global service made, and whose VMs those are.

use crate::error::Error;
use crate::profile::NAME;
use crate::vm::directory::{self, sweep};
use avf_aidl::service::VirtualMachineDebugInfo;
use host::Host;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Once;

/// Those of the superuser's VMs.
const OF_ROOT: &str = "/run/virtmgr";
/// Where users have their runtime directories.
const OF_USERS: &str = "/run/user";

/// The directory that holds those of this user's VMs: `/run/virtmgr` for the superuser, else one in
/// the user's runtime directory.
pub(super) fn base(host: &Host) -> Result<PathBuf, Error> {
    if rustix::process::geteuid().is_root() {
        return Ok(host.path(OF_ROOT));
    }
    match std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty()) {
        Some(dir) => in_runtime(Path::new(&dir), rustix::process::geteuid().as_raw()),
        None => Err(no_place("XDG_RUNTIME_DIR is not set".to_owned())),
    }
}

/// The directory in the runtime directory `runtime` of user `me`. Whoever owns that one could take
/// away what is in it and put something else there, so it must be the user's, as its specification
/// has it; `su` leaves that of the user before.
fn in_runtime(runtime: &Path, me: u32) -> Result<PathBuf, Error> {
    let place = runtime.display();
    match std::fs::metadata(runtime) {
        Ok(of) if of.uid() == me => Ok(runtime.join(NAME)),
        Ok(of) => Err(no_place(format!(
            "XDG_RUNTIME_DIR is {place}, which is user {}'s and not user {me}'s",
            of.uid()
        ))),
        Err(e) => Err(no_place(format!("XDG_RUNTIME_DIR is {place}: {e}"))),
    }
}

fn no_place(why: String) -> Error {
    Error::io(
        "find a place for the VM's directory",
        io::Error::other(why + "; set it to a directory of your own in a tmpfs"),
    )
}

/// Removes what killed managers left, before a manager's first VM.
pub(super) fn sweep_once(base: &Path) {
    static SWEPT: Once = Once::new();
    SWEPT.call_once(|| sweep(base));
}

/// The VMs that run, of this user or, for the superuser, of all users.
pub(super) fn list(host: &Host) -> Result<Vec<VirtualMachineDebugInfo>, Error> {
    let mut bases = vec![base(host)?];
    if rustix::process::geteuid().is_root() {
        let users = std::fs::read_dir(host.path(OF_USERS));
        bases.extend(
            users
                .into_iter()
                .flatten()
                .flatten()
                .map(|user| user.path().join(NAME)),
        );
    }
    let mut found: Vec<_> = bases
        .iter()
        .flat_map(|base| directory::held(base))
        .filter_map(|held| {
            Some(VirtualMachineDebugInfo {
                cid: held.cid.cast_signed(),
                requesterUid: std::fs::metadata(&held.path).ok()?.uid().cast_signed(),
                requesterPid: held.client,
                hostConsoleName: held.console,
                temporaryDirectory: held.path.to_string_lossy().into_owned(),
            })
        })
        .collect();
    found.sort_by_key(|vm| vm.cid);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_directory_is_its_users() {
        let runtime = tempfile::tempdir().unwrap();
        let me = rustix::process::geteuid().as_raw();
        let base = in_runtime(runtime.path(), me).unwrap();
        assert_eq!(base, runtime.path().join(NAME));
        for (place, user, part) in [
            (runtime.path().to_owned(), me + 1, "'s and not user"),
            (runtime.path().join("absent"), me, "No such file"),
        ] {
            let error = in_runtime(&place, user).unwrap_err();
            let text = host::chain(&error);
            assert!(
                text.contains(part) && text.contains("of your own"),
                "{text}"
            );
        }
    }
}
