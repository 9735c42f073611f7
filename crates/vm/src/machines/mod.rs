// SPDX-License-Identifier: Apache-2.0
//! The VMs that run, as their managers leave word of them in the file system.
//!
//! The manager lists the VMs that this user may see; early VMs, which no service knows, are found
//! in their directory. Each VM's directory has a note about its owner and a control socket.

mod process;
mod select;
mod status;

pub(crate) use process::{Usage, usage};
pub(crate) use select::{only_one_with_console, select};
pub(crate) use status::Status;

use crate::cli::common::ManagerArgs;
use crate::manager;
use crate::out::tell;
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

    /// Its VMM's process, if it runs.
    pub(crate) fn vmm(&self) -> Option<Process> {
        let vmm = self.note.as_ref()?.vmm.as_ref()?.process;
        vmm.is_alive().then_some(vmm)
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
        let opened = Directory::open(directory);
        let (uid, note) = match opened.and_then(|d| Ok((d.owner()?, Note::read(&d)?))) {
            Ok((uid, note)) => (uid, Some(note)),
            Err(e) if e.kind() == ErrorKind::PermissionDenied => {
                let meta = fs::symlink_metadata(directory).ok()?;
                (meta.is_dir().then(|| meta.uid())?, None)
            }
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
            directory: directory.to_owned(),
            uid,
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
/// If the manager is there and cannot tell.
pub(crate) fn all(args: &ManagerArgs) -> Result<Vec<Machine>> {
    let mut machines = early_ones();
    match manager::locate(args, false) {
        Ok(program) => machines.extend(of_manager(&program)?),
        // A system that has early VMs only needs no other manager.
        Err(_) if manager::locate(args, true).is_ok() => {}
        Err(e) => return Err(e),
    }
    machines.sort_by_key(|machine| (machine.cid, machine.is_early));
    machines.dedup_by(|a, b| a.directory == b.directory);
    Ok(machines)
}

/// Asks a manager for the VMs that it knows of.
fn of_manager(program: &Path) -> Result<Vec<Machine>> {
    let manager = manager::start_quietly(program)?;
    let listed = match manager.service().debugListVms() {
        Ok(listed) => listed,
        Err(status) if status.exception_code() == ExceptionCode::Security => {
            let why = status.message().unwrap_or("no permission").to_owned();
            tell(&format!("Only VMs of your own are seen: {why}"));
            return Ok(own());
        }
        Err(status) => {
            return Err(manager::refused("debugListVms", status))
                .with_context(|| format!("list the VMs by {}", program.display()));
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
    in_directory(&bases::early(&root()), true)
}

/// The other VMs of this user.
fn own() -> Vec<Machine> {
    let me = rustix::process::geteuid().as_raw();
    let mut own: Vec<Machine> = bases::visible(&root())
        .iter()
        .flat_map(|base| in_directory(base, false))
        .collect();
    own.retain(|machine| machine.uid == me);
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

/// The directory of the VM `cid` of the manager with this process id.
pub(crate) fn directory_of(cid: u32, manager: u32) -> Option<PathBuf> {
    let early = (bases::early(&root()), true);
    bases::visible(&root())
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
            fs::write(directory.join(vm_directory::OWNER), note).unwrap();
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
