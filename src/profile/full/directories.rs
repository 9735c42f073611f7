// SPDX-License-Identifier: Apache-2.0
//! Where the directories of VMs are that no global service made, and whose VMs those are.

use crate::host::Host;
use crate::profile::NAME;
use crate::vm::Error;
use crate::vm::directory::{self, sweep};
use avf_aidl::service::VirtualMachineDebugInfo;
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
    std::env::var_os("XDG_RUNTIME_DIR")
        .filter(|dir| !dir.is_empty())
        .map(|dir| PathBuf::from(dir).join(NAME))
        .ok_or_else(|| {
            let hint = "XDG_RUNTIME_DIR is not set: set it to a directory of your own in a tmpfs";
            Error::io(
                "find a place for the VM's directory",
                io::Error::other(hint),
            )
        })
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
