// SPDX-License-Identifier: Apache-2.0
//! Running VMs, as their managers leave word of them in the file system.
//!
//! This user's VMs, and for root those of all users, are found in their directories, so that no manager
//! and no service need answer. A manager is asked for VMs of others that it may know of.

mod process;
mod select;
mod status;

pub(crate) use process::{Usage, usage};
pub(crate) use select::{only_one_with_console, select};
pub(crate) use status::Status;

use crate::cli::common::ManagerArgs;
use crate::manager;
use anyhow::{Context, Result, anyhow};
use host::printable;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use vm_directory::{Directory, Note, Process, bases};
use vmclient::rsbinder::ExceptionCode;

/// A VM that runs.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    pub(crate) cid: u32,
    pub(crate) directory: PathBuf,
    /// Its owner.
    pub(crate) uid: u32,
    /// Whether it is an early VM.
    pub(crate) is_early: bool,
    /// What its manager wrote; none if another user's may not be read.
    pub(crate) note: Option<Note>,
    /// Its name, if a list has it and the note may not be read.
    listed_name: Option<String>,
    /// The process for which it was created.
    pub(crate) client: Option<i32>,
    /// Its host console.
    pub(crate) console: Option<String>,
}

impl Machine {
    /// The VM's name, if it may be known.
    pub(crate) fn name(&self) -> Option<&str> {
        match &self.note {
            Some(note) => Some(&note.name),
            None => self.listed_name.as_deref(),
        }
    }

    /// The VM in messages: `demo (CID 2048)`.
    pub(crate) fn title(&self) -> String {
        match self.name() {
            Some(name) => format!("{} (CID {})", printable(name), self.cid),
            None => format!("CID {}", self.cid),
        }
    }

    /// Its VMM's process, if that is known and runs.
    pub(crate) fn vmm(&self) -> Option<Process> {
        let vmm = self.note.as_ref()?.vmm.as_ref()?;
        Some(vmm.process).filter(|process| process.is_alive())
    }

    /// Checks that this user may use the VM.
    ///
    /// # Errors
    /// If it is another user's, with who may.
    pub(crate) fn check_access(&self) -> Result<()> {
        let me = rustix::process::geteuid();
        if me.is_root() || me.as_raw() == self.uid {
            return Ok(());
        }
        let owner = crate::users::name(self.uid);
        Err(anyhow!(
            "VM {} belongs to user {owner}, and you are {}: run this as {owner}{}",
            self.title(),
            crate::users::name(me.as_raw()),
            if self.uid == 0 { "" } else { " or as root" }
        ))
    }

    /// The VM in `path`, if its manager lives.
    fn at(path: &Path, is_early: bool) -> Option<Self> {
        let cid = path.file_name()?.to_str()?.parse().ok()?;
        let meta = fs::symlink_metadata(path).ok()?;
        if !meta.is_dir() {
            return None;
        }
        let note = match Directory::open(path).and_then(|directory| Note::read(&directory)) {
            Ok(note) => Some(note),
            Err(e) if e.kind() == ErrorKind::PermissionDenied => None,
            // It is just being made or removed.
            Err(_) => return None,
        };
        if let Some(note) = &note
            && note.has_live_manager() != Some(true)
        {
            return None;
        }
        Some(Self {
            cid,
            directory: path.to_owned(),
            uid: meta.uid(),
            is_early,
            client: note.as_ref().and_then(|note| note.client),
            console: note.as_ref().and_then(|note| note.console.clone()),
            listed_name: None,
            note,
        })
    }
}

/// The VMs that this user may see, by CID.
///
/// # Errors
/// If a manager that was named cannot be asked.
pub(crate) fn all(args: &ManagerArgs) -> Result<Vec<Machine>> {
    let root = root();
    let mut machines = match manager::locate(args, false) {
        Ok(program) => match of_manager(&program, args) {
            Ok(machines) => machines,
            // The VMs in this user's own places are found without it. What else it knows cannot be
            // told, as where it is not permitted to or its service is down.
            Err(_) if args.manager.is_none() && args.wire.is_none() => Vec::new(),
            Err(e) => return Err(e),
        },
        Err(_) => Vec::new(),
    };
    machines.extend(in_directory(&bases::early(&root), true));
    for base in bases::visible(&root) {
        machines.extend(in_directory(&base, false));
    }
    // The sort is stable: what the manager says of a VM goes first.
    machines.sort_by(|a, b| (a.cid, &a.directory).cmp(&(b.cid, &b.directory)));
    machines.dedup_by(|a, b| a.directory == b.directory);
    Ok(machines)
}

/// Asks a manager for the VMs that it knows of.
fn of_manager(program: &Path, args: &ManagerArgs) -> Result<Vec<Machine>> {
    let manager = manager::start_quietly(program, args)?;
    let listed = match manager.service().debugListVms() {
        Ok(listed) => listed,
        // This user may see no VMs but its own.
        Err(status) if status.exception_code() == ExceptionCode::Security => Vec::new(),
        Err(status) => {
            return Err(manager::refused("debugListVms", status))
                .with_context(|| format!("cannot list the VMs that {} knows", program.display()));
        }
    };
    Ok(listed
        .into_iter()
        .filter_map(|info| {
            let directory = PathBuf::from(info.temporaryDirectory);
            let cid = u32::try_from(info.cid).ok()?;
            let uid = u32::try_from(info.requesterUid).ok();
            match Machine::at(&directory, false) {
                Some(found) => Some(Machine {
                    cid,
                    uid: uid.unwrap_or(found.uid),
                    client: Some(info.requesterPid),
                    console: info.hostConsoleName.or(found.console.clone()),
                    listed_name: Some(info.name).filter(|name| !name.is_empty()),
                    ..found
                }),
                // Ended since, or in a directory that this user may not even see.
                None if directory.exists() => None,
                None => Some(Machine {
                    cid,
                    directory,
                    uid: uid?,
                    is_early: false,
                    note: None,
                    // Managers before Android 16 do not tell it.
                    listed_name: Some(info.name).filter(|name| !name.is_empty()),
                    client: Some(info.requesterPid),
                    console: info.hostConsoleName,
                })
                .filter(|machine| machine.check_access().is_err()),
            }
        })
        .collect())
}

fn in_directory(base: &Path, is_early: bool) -> Vec<Machine> {
    // A path without links, as the directory of a VM is opened by.
    let Ok(base) = base.canonicalize() else {
        return Vec::new();
    };
    fs::read_dir(base)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Machine::at(&entry.path(), is_early))
        .collect()
}

/// The directory of the VM `cid` of the manager with this process id.
pub(crate) fn directory_of(cid: u32, manager: u32) -> Option<PathBuf> {
    let root = root();
    let own = [bases::own(&root), bases::early(&root)];
    let others = || bases::visible(&root);
    own.into_iter()
        .chain(others())
        .filter_map(|base| base.canonicalize().ok())
        .filter_map(|base| Machine::at(&base.join(cid.to_string()), false))
        .find(|machine| {
            let owner = machine.note.as_ref().and_then(|note| note.manager);
            owner.is_some_and(|owner| owner.pid.cast_unsigned() == manager)
        })
        .map(|machine| machine.directory)
}

/// The directory that is used instead of `/`.
pub(crate) fn root() -> PathBuf {
    // A wrong one has ended the program before.
    host::root().map_or_else(|_| PathBuf::from("/"), Path::to_owned)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::os::unix::fs::DirBuilderExt;

    /// A VM whose manager is this process.
    pub(crate) fn machine(cid: u32, name: &str) -> Machine {
        Machine {
            cid,
            directory: PathBuf::from(format!("/nonexistent/{cid}")),
            uid: rustix::process::geteuid().as_raw(),
            is_early: false,
            note: Some(Note::parse(&format!("name {name}\nclient 1\n"))),
            listed_name: None,
            client: Some(1),
            console: None,
        }
    }

    #[test]
    fn a_name_comes_from_the_note_or_else_from_a_list() {
        let mut vm = machine(9, "noted");
        vm.listed_name = Some("listed".to_owned());
        assert_eq!(vm.name(), Some("noted"));
        vm.note = None;
        assert_eq!(vm.title(), "listed (CID 9)");
        vm.listed_name = None;
        assert_eq!((vm.name(), &*vm.title()), (None, "CID 9"));
    }

    #[test]
    fn a_directory_is_a_vm_while_its_manager_lives() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path().canonicalize().unwrap();
        let make = |cid: &str, note: &str| {
            let directory = base.join(cid);
            fs::DirBuilder::new()
                .mode(0o700)
                .create(&directory)
                .unwrap();
            fs::write(directory.join(vm_directory::OWNER), note).unwrap();
            directory
        };
        let me = Process::this();
        let alive = format!("name a b\nclient 7\nmanager {me}\n");
        let found = Machine::at(&make("142", &alive), true).unwrap();
        assert_eq!(
            (found.cid, found.name(), found.client),
            (142, Some("a b"), Some(7))
        );
        assert_eq!(found.title(), "a b (CID 142)");
        found.check_access().unwrap();
        let dead = format!("name a\nmanager {} {}\n", me.pid, me.start + 1);
        assert!(Machine::at(&make("143", &dead), true).is_none());
        let other_boot = format!("name a\nboot 0-0\nmanager {me}\n");
        assert!(Machine::at(&make("144", &other_boot), true).is_none());
        assert!(Machine::at(&make("145", "name a\n"), true).is_none());
        assert!(Machine::at(&make("other", &alive), true).is_none());
        assert!(Machine::at(&base.join("146"), true).is_none());
        // Neither the directory nor its note may be a link.
        std::os::unix::fs::symlink(base.join("142"), base.join("147")).unwrap();
        assert!(Machine::at(&base.join("147"), true).is_none());
    }

    #[test]
    fn the_vm_of_another_user_is_not_this_users() {
        let mut other = machine(9, "a");
        other.uid = rustix::process::geteuid().as_raw() + 1;
        let may = rustix::process::geteuid().is_root();
        assert_eq!(other.check_access().is_ok(), may);
    }
}
