// SPDX-License-Identifier: Apache-2.0
//! What belongs to each VM on this machine: its CID and its directory.
//!
//! A context is *live* while its manager references it. When it does not any more, or this service was
//! restarted, the VM may still be running: then its manager holds the lock on its
//! directory or on its CID (crate `cid`), and the context is *left to its holder*: the CID stays
//! reserved and the VM listed, until those locks are free. The kernel frees them however the manager
//! ends. Nothing watches them: they are looked at when VMs are listed, and a few with each new one.

mod directory;
mod note;
mod removal;

use crate::cids::{Cids, Reservation, is_locked};
use crate::paths::Paths;
use cid::{CIDS, CidLocks};
use directory::Removal;
use host::chain;
use note::Note;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The most VMs of one user other than root, so that no user takes all CIDs.
pub(crate) const MOST_PER_USER: usize = 8192;
/// How much of a VM's name is noted.
const LONGEST_NAME: usize = 256;
/// How many contexts that were left to their holders are looked at with a new one.
const LOOKED_AT: usize = 4;

/// Why there is no context.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// No CID.
    #[error(transparent)]
    Cid(#[from] crate::cids::Error),
    /// This user has too many.
    #[error("user {uid} has {MOST_PER_USER} VMs, which is the limit; stop one")]
    TooMany {
        /// The user.
        uid: u32,
    },
    /// A file or directory cannot be made.
    #[error("{what} {}", path.display())]
    Io {
        /// What was being done.
        what: &'static str,
        /// To what.
        path: PathBuf,
        /// The system error.
        source: io::Error,
    },
}

/// A VM as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Its CID.
    pub cid: u32,
    /// Its directory.
    pub directory: PathBuf,
    /// Its user.
    pub uid: u32,
    /// The process that it was made for.
    pub pid: i32,
    /// The terminal that shows its console.
    pub console: Option<String>,
    /// The name that its client gave it, if its manager told.
    pub name: String,
    /// Whether its manager references the context. If not, it was left to its holder.
    pub is_live: bool,
}

struct Entry {
    note: Note,
    /// Which context this is of those that had the CID; none if it was left to its holder.
    live: Option<u64>,
    _reservation: Reservation,
}

#[derive(Default)]
struct Table {
    entries: BTreeMap<u32, Entry>,
    /// The contexts that were left to their holders.
    left: BTreeSet<u32>,
    /// How many of them each user has.
    users: HashMap<u32, usize>,
    /// How many contexts there ever were.
    count: u64,
    /// Where looking at `left` goes on.
    looked_at: u32,
}

impl Table {
    fn insert(&mut self, cid: u32, entry: Entry) {
        *self.users.entry(entry.note.uid).or_default() += 1;
        if entry.live.is_none() {
            self.left.insert(cid);
        }
        self.entries.insert(cid, entry);
    }

    fn remove(&mut self, cid: u32) -> Option<Entry> {
        let entry = self.entries.remove(&cid)?;
        self.left.remove(&cid);
        if let Some(count) = self.users.get_mut(&entry.note.uid) {
            *count -= 1;
            if *count == 0 {
                self.users.remove(&entry.note.uid);
            }
        }
        Some(entry)
    }

    /// The next few that were left to their holders, in turn.
    fn next_left(&mut self) -> Vec<u32> {
        let after = self.left.range(self.looked_at.saturating_add(1)..);
        let all = after.chain(self.left.range(..=self.looked_at));
        let next: Vec<u32> = all.take(LOOKED_AT).copied().collect();
        self.looked_at = next.last().copied().unwrap_or_default();
        next
    }
}

/// The contexts of this machine.
pub(crate) struct Contexts {
    cids: Arc<Cids>,
    locks: Option<Arc<CidLocks>>,
    vms: PathBuf,
    notes: PathBuf,
    table: Mutex<Table>,
}

impl Contexts {
    /// Takes over what the service before this one left: VMs that run stay known, and the rest of
    /// others is removed.
    ///
    /// # Errors
    /// If the directories cannot be made or read.
    pub(crate) fn take_over(
        paths: &Paths,
        cids: Arc<Cids>,
        locks: Option<Arc<CidLocks>>,
    ) -> Result<Arc<Self>, Error> {
        let (vms, notes) = (paths.vms(), paths.notes());
        for (path, mode) in [(&vms, 0o755), (&notes, 0o700)] {
            DirBuilder::new()
                .recursive(true)
                .mode(mode)
                .create(path)
                .map_err(io_error("cannot make directory", path))?;
        }
        let mut known = BTreeSet::new();
        for path in [&vms, &notes] {
            for entry in std::fs::read_dir(path).map_err(io_error("cannot read directory", path))? {
                let entry = entry.map_err(io_error("cannot read directory", path))?;
                known.extend(
                    entry
                        .file_name()
                        .to_str()
                        .and_then(|name| name.parse::<u32>().ok()),
                );
            }
        }
        let contexts = Arc::new(Self {
            cids,
            locks,
            vms,
            notes,
            table: Mutex::default(),
        });
        for cid in known {
            contexts.adopt_or_remove(cid);
        }
        Ok(contexts)
    }

    fn adopt_or_remove(&self, cid: u32) {
        let path = self.directory(cid);
        if self.is_held(cid)
            && let Some(reservation) = self.cids.adopt(cid)
        {
            let note = Note::read(&self.notes, cid).unwrap_or_else(|| Note {
                uid: directory::owner(&path).unwrap_or_default(),
                pid: 0,
                console: None,
                name: String::new(),
            });
            log::info!(
                "CID {cid}: a VM of user {} runs, left from the service before",
                note.uid
            );
            let entry = Entry {
                note,
                live: None,
                _reservation: reservation,
            };
            self.table().insert(cid, entry);
        } else {
            self.clear(cid);
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn directory(&self, cid: u32) -> PathBuf {
        self.vms.join(cid.to_string())
    }

    /// Whether a manager holds the directory or the CID.
    fn is_held(&self, cid: u32) -> bool {
        is_locked(self.locks.as_deref(), cid) || directory::is_held(&self.directory(cid))
    }

    /// Makes a context for the VM `name` of the user `uid`: its CID, and its directory, owned by that user.
    ///
    /// # Errors
    /// If there is none left.
    pub(crate) fn allocate(
        self: &Arc<Self>,
        uid: u32,
        pid: i32,
        name: &str,
    ) -> Result<Context, Error> {
        let next = self.table().next_left();
        self.look_at(&next);
        if uid != 0 && self.table().users.get(&uid).copied().unwrap_or_default() >= MOST_PER_USER {
            return Err(Error::TooMany { uid });
        }
        loop {
            let reservation = self.cids.reserve()?;
            let cid = reservation.cid();
            let path = self.directory(cid);
            match directory::make(&path, uid) {
                Ok(()) => {}
                // Held by a manager that this service never knew.
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => continue,
                Err(e) => {
                    self.clear(cid);
                    return Err(io_error("cannot make directory", &path)(e));
                }
            }
            let note = Note {
                uid,
                pid,
                console: None,
                name: one_line(name),
            };
            if let Err(e) = note.write(&self.notes, cid) {
                self.clear(cid);
                return Err(io_error("cannot note a VM in", &self.notes)(e));
            }
            let mut table = self.table();
            table.count += 1;
            let number = table.count;
            table.insert(
                cid,
                Entry {
                    note,
                    live: Some(number),
                    _reservation: reservation,
                },
            );
            drop(table);
            return Ok(Context {
                contexts: Arc::clone(self),
                cid,
                number,
                path,
                noting: Mutex::new(()),
            });
        }
    }

    /// The context of a VM that runs on after this service was restarted, for its manager, a process of
    /// the user `uid`. None if another user has the CID, or a live context, or it cannot be a VM's.
    pub(crate) fn take_again(self: &Arc<Self>, cid: u32, uid: u32, pid: i32) -> Option<Context> {
        let mut table = self.table();
        let count = table.users.get(&uid).copied().unwrap_or_default();
        if !CIDS.contains(&cid) || (uid != 0 && count >= MOST_PER_USER) {
            return None;
        }
        table.count += 1;
        let number = table.count;
        match table.entries.get_mut(&cid) {
            Some(entry) if entry.note.uid == uid && entry.live.is_none() => {
                entry.live = Some(number);
                table.left.remove(&cid);
            }
            Some(_) => return None,
            None => {
                let entry = Entry {
                    note: Note {
                        uid,
                        pid,
                        console: None,
                        name: String::new(),
                    },
                    live: Some(number),
                    _reservation: self.cids.adopt(cid)?,
                };
                if let Err(e) = entry.note.write(&self.notes, cid) {
                    log::warn!(
                        "{}",
                        chain(&io_error("cannot note a VM in", &self.notes)(e))
                    );
                }
                table.insert(cid, entry);
            }
        }
        drop(table);
        Some(Context {
            contexts: Arc::clone(self),
            cid,
            number,
            path: self.directory(cid),
            noting: Mutex::new(()),
        })
    }

    /// The VMs, by CID.
    #[must_use]
    pub(crate) fn list(&self) -> Vec<Listed> {
        let left: Vec<u32> = self.table().left.iter().copied().collect();
        self.look_at(&left);
        self.table()
            .entries
            .iter()
            .map(|(cid, entry)| Listed {
                cid: *cid,
                directory: self.directory(*cid),
                uid: entry.note.uid,
                pid: entry.note.pid,
                console: entry.note.console.clone(),
                name: entry.note.name.clone(),
                is_live: entry.live.is_some(),
            })
            .collect()
    }

    /// Ends those of `left` whose holders are gone.
    fn look_at(&self, left: &[u32]) {
        for cid in left {
            // Taken out meanwhile: whoever looks at the same time must not remove what a new VM with
            // this CID has by then.
            if !self.table().left.remove(cid) {
                continue;
            }
            let is_gone = !self.is_held(*cid) && self.clear(*cid);
            let mut table = self.table();
            if is_gone {
                log::info!("CID {cid}: the manager that held it is gone");
                // This also releases the reservation, once nothing of the VM is left.
                table.remove(*cid);
            } else {
                table.left.insert(*cid);
            }
        }
    }

    /// Removes the directory and the note of `cid`; whether they could be.
    fn clear(&self, cid: u32) -> bool {
        let path = self.directory(cid);
        match directory::remove(&path) {
            Ok(Removal::Gone) => {
                Note::remove(&self.notes, cid);
                true
            }
            Ok(Removal::Held) => false,
            Err(e) => {
                log::warn!("{}", chain(&io_error("cannot remove directory", &path)(e)));
                // The next holder of the CID tries again.
                Note::remove(&self.notes, cid);
                true
            }
        }
    }

    /// Ends the context number `number` of `cid`: all of it is removed, or it is left to the manager
    /// that runs the VM.
    fn release(&self, cid: u32, number: u64) {
        match self.table().entries.get_mut(&cid) {
            Some(entry) if entry.live == Some(number) => entry.live = None,
            _ => return,
        }
        let is_gone = !is_locked(self.locks.as_deref(), cid) && self.clear(cid);
        let mut table = self.table();
        if is_gone {
            table.remove(cid);
        } else {
            table.left.insert(cid);
            log::info!("CID {cid}: not referenced any more, and left to the manager that holds it");
        }
    }

    /// Ends every live context, as when all managers let go of theirs, and those that were left to
    /// managers that are gone.
    pub(crate) fn release_all(&self) {
        let live: Vec<(u32, u64)> = self
            .table()
            .entries
            .iter()
            .filter_map(|(cid, entry)| entry.live.map(|number| (*cid, number)))
            .collect();
        for (cid, number) in live {
            self.release(cid, number);
        }
        let left: Vec<u32> = self.table().left.iter().copied().collect();
        self.look_at(&left);
    }
}

/// A name that fits in a line, in the notes and in logs.
fn one_line(name: &str) -> String {
    host::printable(name)
        .chars()
        .map(|c| if c == '\t' { ' ' } else { c })
        .take(LONGEST_NAME)
        .collect()
}

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { what, path, source }
}

/// A CID and a directory. Dropping it gives them back, unless the VM runs on.
pub(crate) struct Context {
    contexts: Arc<Contexts>,
    cid: u32,
    number: u64,
    path: PathBuf,
    /// Notes are written one after another.
    noting: Mutex<()>,
}

impl Context {
    /// The CID.
    #[must_use]
    pub(crate) fn cid(&self) -> u32 {
        self.cid
    }

    /// Which context this is of those that had the CID.
    #[must_use]
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The directory.
    #[must_use]
    pub(crate) fn directory(&self) -> &Path {
        &self.path
    }

    /// Notes the terminal that shows the VM's console: a text of one line.
    ///
    /// # Errors
    /// If the note cannot be written.
    pub(crate) fn set_console(&self, name: &str) -> Result<(), Error> {
        let _noting = self.noting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut table = self.contexts.table();
        let entry = table.entries.get_mut(&self.cid);
        let Some(entry) = entry.filter(|entry| entry.live == Some(self.number)) else {
            return Ok(());
        };
        entry.note.console = Some(name.to_owned()).filter(|name| !name.is_empty());
        let note = entry.note.clone();
        drop(table);
        let notes = &self.contexts.notes;
        note.write(notes, self.cid)
            .map_err(io_error("cannot note a VM in", notes))
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        self.contexts.release(self.cid, self.number);
    }
}

#[cfg(test)]
mod tests;
