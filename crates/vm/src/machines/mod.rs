// SPDX-License-Identifier: Apache-2.0
//! Running VMs, as their managers leave word of them in the file system.
//!
//! This user's VMs, and for root those of all users, are found in their directories, so that no manager
//! and no service need answer. A manager is asked for VMs of others that it may know of.

mod note;
mod process;
mod select;
mod status;

pub(crate) use note::Note;
pub(crate) use process::{Process, Usage};
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
use vmclient::rsbinder::ExceptionCode;

/// Where the directories of early VMs are, below the root directory.
const EARLY: &str = "mnt/vm/early";
/// Where those of other VMs are: with the global service, on Android and on Linux, and without it.
const OTHERS: [&str; 3] = [
    "data/misc/virtualizationservice",
    "run/virtualizationservice/vms",
    "run/virtmgr",
];
/// The same for users without the service, in their runtime directory.
const IN_RUNTIME: &str = "virtmgr";

/// A VM that runs.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    pub(crate) cid: u32,
    pub(crate) directory: PathBuf,
    /// Whose it is.
    pub(crate) uid: u32,
    /// Whether it is one of those before /data is mounted.
    pub(crate) is_early: bool,
    /// What its manager wrote; none if another user's may not be read.
    pub(crate) note: Option<Note>,
    /// The process for which it was made.
    pub(crate) client: Option<i32>,
    /// Its host console.
    pub(crate) console: Option<String>,
}

impl Machine {
    /// The VM's name, if it may be known.
    pub(crate) fn name(&self) -> Option<&str> {
        self.note.as_ref().map(|note| note.name.as_str())
    }

    /// How the VM is called in messages: `demo (CID 2048)`.
    pub(crate) fn title(&self) -> String {
        match self.name() {
            Some(name) => format!("{} (CID {})", printable(name), self.cid),
            None => format!("CID {}", self.cid),
        }
    }

    /// Its VMM's process, as far as it is known and runs.
    pub(crate) fn vmm(&self) -> Option<Process> {
        let processes = &self.note.as_ref()?.processes;
        let mut alive = processes.iter().copied().filter(|p| p.is_alive());
        let first = alive.next()?;
        std::iter::once(first)
            .chain(alive)
            .find(|process| process.is_vmm())
            .or(Some(first))
    }

    /// That this user may reach the VM.
    ///
    /// # Errors
    /// If it is another's, with who could.
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

    /// The VM in `directory`, if its manager lives.
    fn at(directory: &Path, is_early: bool) -> Option<Self> {
        let cid = directory.file_name()?.to_str()?.parse().ok()?;
        let meta = fs::symlink_metadata(directory).ok()?;
        if !meta.is_dir() {
            return None;
        }
        let note = match Note::read(directory) {
            Ok(note) => Some(note),
            Err(e) if e.kind() == ErrorKind::PermissionDenied => None,
            // It is just being made or removed.
            Err(_) => return None,
        };
        if let Some(note) = &note
            && !note.manager.is_some_and(Process::is_alive)
        {
            return None;
        }
        Some(Self {
            cid,
            directory: directory.to_owned(),
            uid: meta.uid(),
            is_early,
            client: note.as_ref().and_then(|note| note.client),
            console: note.as_ref().and_then(|note| note.console.clone()),
            note,
        })
    }
}

/// The VMs that this user may see, by CID.
///
/// # Errors
/// If a manager that was named cannot be asked.
pub(crate) fn all(args: &ManagerArgs) -> Result<Vec<Machine>> {
    let mut machines = match manager::locate(args, false) {
        Ok(program) => match of_manager(&program) {
            Ok(machines) => machines,
            // The VMs in this user's own places are found without it. What else it knows cannot be
            // told, as where it is not permitted to or its service is down.
            Err(_) if args.manager.is_none() => Vec::new(),
            Err(e) => return Err(e),
        },
        Err(_) => Vec::new(),
    };
    machines.extend(early_ones());
    machines.extend(own());
    // The sort is stable: what the manager says of a VM goes first.
    machines.sort_by(|a, b| (a.cid, &a.directory).cmp(&(b.cid, &b.directory)));
    machines.dedup_by(|a, b| a.directory == b.directory);
    Ok(machines)
}

/// Asks a manager for the VMs that it knows of.
fn of_manager(program: &Path) -> Result<Vec<Machine>> {
    let manager = manager::start_quietly(program)?;
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
                    client: Some(info.requesterPid),
                    console: info.hostConsoleName,
                })
                .filter(|machine| machine.check_access().is_err()),
            }
        })
        .collect())
}

/// The early VMs that run.
fn early_ones() -> Vec<Machine> {
    in_directory(&root().join(EARLY), true)
}

/// The other VMs of this user, or, for root, of all users.
fn own() -> Vec<Machine> {
    let mut own: Vec<Machine> = bases()
        .iter()
        .flat_map(|base| in_directory(base, false))
        .collect();
    own.retain(|machine| machine.check_access().is_ok());
    own
}

fn in_directory(base: &Path, is_early: bool) -> Vec<Machine> {
    fs::read_dir(base)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Machine::at(&entry.path(), is_early))
        .collect()
}

/// Where the directories of VMs can be that this user may use, but for early VMs.
fn bases() -> Vec<PathBuf> {
    let root = root();
    let me = rustix::process::geteuid();
    let users = root.join("run/user");
    let mut runtime: Vec<PathBuf> = std::env::var_os("XDG_RUNTIME_DIR")
        .filter(|place| !place.is_empty())
        .map(PathBuf::from)
        .into_iter()
        .collect();
    if me.is_root() {
        let of_users = fs::read_dir(users).into_iter().flatten().flatten();
        runtime.extend(of_users.map(|user| user.path()));
    } else {
        runtime.push(users.join(me.as_raw().to_string()));
    }
    let mut bases: Vec<PathBuf> = OTHERS
        .iter()
        .map(|base| root.join(base))
        .chain(runtime.into_iter().map(|place| place.join(IN_RUNTIME)))
        .collect();
    bases.sort();
    bases.dedup();
    bases
}

/// The directory of the VM `cid` of the manager with this process id.
pub(crate) fn directory_of(cid: u32, manager: u32) -> Option<PathBuf> {
    let early = (root().join(EARLY), true);
    bases()
        .into_iter()
        .map(|base| (base, false))
        .chain([early])
        .filter_map(|(base, is_early)| Machine::at(&base.join(cid.to_string()), is_early))
        .find(|machine| {
            let owner = machine.note.as_ref().and_then(|note| note.manager);
            owner.is_some_and(|owner| owner.pid.cast_unsigned() == manager)
        })
        .map(|machine| machine.directory)
}

/// The directory that stands for `/`.
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
            client: Some(1),
            console: None,
        }
    }

    #[test]
    fn a_directory_is_a_vm_while_its_manager_lives() {
        let base = tempfile::tempdir().unwrap();
        let make = |cid: &str, note: &str| {
            let directory = base.path().join(cid);
            fs::DirBuilder::new()
                .mode(0o700)
                .create(&directory)
                .unwrap();
            fs::write(directory.join(note::FILE), note).unwrap();
            directory
        };
        let me = Process::of_pid(std::process::id().cast_signed()).unwrap();
        let alive = format!("name a b\nclient 7\nmanager {} {}\n", me.pid, me.start);
        let found = Machine::at(&make("142", &alive), true).unwrap();
        assert_eq!(
            (found.cid, found.name(), found.client),
            (142, Some("a b"), Some(7))
        );
        assert_eq!(found.title(), "a b (CID 142)");
        found.check_access().unwrap();
        let dead = format!("name a\nmanager {} {}\n", me.pid, me.start + 1);
        assert!(Machine::at(&make("143", &dead), true).is_none());
        assert!(Machine::at(&make("144", "name a\n"), true).is_none());
        assert!(Machine::at(&make("other", &alive), true).is_none());
        assert!(Machine::at(&base.path().join("145"), true).is_none());
    }

    #[test]
    fn the_vm_of_another_user_is_his() {
        let mut other = machine(9, "a");
        other.uid = rustix::process::geteuid().as_raw() + 1;
        let may = rustix::process::geteuid().is_root();
        assert_eq!(other.check_access().is_ok(), may);
    }
}
