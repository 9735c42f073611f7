// SPDX-License-Identifier: Apache-2.0
//! Where the directories of VMs are that no global service made, and which VMs run.

use crate::error::{Error, Kind};
use crate::vm::directory::sweep;
use avf_aidl::service::VirtualMachineDebugInfo;
use host::Host;
use std::path::{Path, PathBuf};
use std::sync::Once;
use vm_directory::{Directory, Note, bases};

/// The directory that holds those of this user's VMs, made if it is not there.
pub(super) fn base(host: &Host) -> Result<PathBuf, Error> {
    bases::make_own(host.root()).map_err(|e| Error::of(Kind::Failure, e))
}

/// Removes what killed managers left, before a manager's first VM.
pub(super) fn sweep_once(base: &Path) {
    static SWEPT: Once = Once::new();
    SWEPT.call_once(|| sweep(base));
}

/// The VMs that run, of this user or, for root, of all users: those that the global service made
/// directories for as well, since it may be down.
pub(super) fn list(host: &Host) -> Vec<VirtualMachineDebugInfo> {
    let mut found: Vec<_> = bases::visible(host.root())
        .iter()
        .flat_map(|base| std::fs::read_dir(base).into_iter().flatten().flatten())
        .filter_map(|entry| running(&entry.path()))
        .collect();
    found.sort_by_key(|vm| vm.cid);
    found
}

/// Adds to what the global service knows of a VM what is in its directory: services of Android 15 know no
/// names, and none before Android 17.1 knows instance ids.
pub(super) fn complete(known: &mut VirtualMachineDebugInfo, found: VirtualMachineDebugInfo) {
    if known.name.is_empty() {
        known.name = found.name;
    }
    if known.instanceId == [0; 64] {
        known.instanceId = found.instanceId;
    }
}

/// The VM whose directory is `path`, if its manager lives. The directory's lock is not tried: that could
/// make a claim by its manager fail.
fn running(path: &Path) -> Option<VirtualMachineDebugInfo> {
    let cid: u32 = path.file_name()?.to_str()?.parse().ok()?;
    let directory = Directory::open(path).ok()?;
    let note = Note::read(&directory).ok()?;
    note.has_live_manager()?.then_some(())?;
    Some(VirtualMachineDebugInfo {
        name: note.name,
        cid: cid.cast_signed(),
        requesterUid: directory.owner().ok()?.cast_signed(),
        requesterPid: note.client.unwrap_or_default(),
        hostConsoleName: note.console,
        temporaryDirectory: path.to_string_lossy().into_owned(),
        instanceId: note.instance.map_or([0; 64], |id| *id),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use vm_directory::{OWNER, Process};

    #[test]
    fn what_the_service_does_not_know_is_added() {
        let named = |name: &str, byte| VirtualMachineDebugInfo {
            name: name.into(),
            instanceId: [byte; 64],
            ..Default::default()
        };
        for (known, expected) in [
            (named("", 0), ("found", 2)),
            (named("known", 0), ("known", 2)),
            (named("", 1), ("found", 1)),
            (named("known", 1), ("known", 1)),
        ] {
            let mut vm = known;
            complete(&mut vm, named("found", 2));
            assert_eq!((&*vm.name, vm.instanceId[63]), expected);
        }
    }

    #[test]
    fn a_vm_is_listed_without_waiting_for_it_or_following_a_link() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path().canonicalize().unwrap();
        let path = |name: &str| base.join(name);
        for cid in ["100", "101", "102", "103"] {
            fs::create_dir(path(cid)).unwrap();
        }
        let id = "0123456789abcdef".repeat(8);
        let note = format!(
            "name a b\nclient 7\nmanager {}\nconsole /x\ninstance {id}\n",
            Process::this()
        );
        fs::write(path("100").join(OWNER), &note).unwrap();
        let pipe = path("101").join(OWNER);
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, kind, 0o600.into(), 0).unwrap();
        std::os::unix::fs::symlink(path("100").join(OWNER), path("102").join(OWNER)).unwrap();
        std::os::unix::fs::symlink(path("100"), path("104")).unwrap();
        let vm = running(&path("100")).unwrap();
        assert_eq!((vm.cid, vm.requesterPid), (100, 7));
        assert_eq!(vm.hostConsoleName.as_deref(), Some("/x"));
        let id = [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef].repeat(8);
        assert_eq!((&*vm.name, &vm.instanceId[..]), ("a b", &id[..]));
        for cid in ["101", "102", "103", "104"] {
            assert!(running(&path(cid)).is_none(), "{cid}");
        }
    }
}
