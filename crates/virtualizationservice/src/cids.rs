// SPDX-License-Identifier: Apache-2.0
//! Which CIDs are held, and which is next.

use crate::last_cid::LastCid;
use cid::CIDS;
use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Why no CID is available.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// None is free.
    #[error("no CID is free: all of {} to {} are taken; stop a VM", CIDS.start(), CIDS.end())]
    NoneFree,
    /// The last CID cannot be kept, so that a restarted service could hand it out again.
    #[error("cannot save the last CID")]
    Keep(#[source] io::Error),
}

/// Other holders of CIDs.
pub(crate) trait Elsewhere: Send + Sync {
    /// Whether someone who is not known here has `cid`.
    fn is_taken(&self, cid: u32) -> bool;
}

/// The machine's CIDs.
pub(crate) struct Cids {
    table: Mutex<Table>,
    kept: Mutex<Kept>,
    elsewhere: Box<dyn Elsewhere>,
}

#[derive(Debug)]
struct Table {
    held: BTreeSet<u32>,
    last: u32,
    /// How often `last` has changed.
    changes: u64,
}

#[derive(Debug)]
struct Kept {
    last: LastCid,
    /// Which change is in the file.
    changes: u64,
}

impl Cids {
    /// The CIDs, continuing after `after`.
    pub(crate) fn new(
        last: LastCid,
        after: Option<u32>,
        elsewhere: Box<dyn Elsewhere>,
    ) -> Arc<Self> {
        // Without a last one, or a wrong one, the first is next.
        let after = after.filter(|cid| CIDS.contains(cid));
        Arc::new(Self {
            table: Mutex::new(Table {
                held: BTreeSet::new(),
                last: after.unwrap_or(*CIDS.end()),
                changes: 0,
            }),
            kept: Mutex::new(Kept { last, changes: 0 }),
            elsewhere,
        })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds the next free CID.
    ///
    /// Other holders are asked with no lock held, so that slow answers do not block others.
    ///
    /// # Errors
    /// [`Error::NoneFree`], or if the last CID cannot be kept.
    pub(crate) fn reserve(self: &Arc<Self>) -> Result<Reservation, Error> {
        let (mut first, mut tried) = (None, 0);
        loop {
            let (cid, changes) = self.table().next().ok_or(Error::NoneFree)?;
            let reservation = Reservation {
                cids: Arc::clone(self),
                cid,
            };
            if !self.elsewhere.is_taken(cid) {
                self.keep(changes).map_err(Error::Keep)?;
                return Ok(reservation);
            }
            log::debug!("CID {cid} is taken by another program");
            if *first.get_or_insert(cid) == cid && tried > 0 {
                // All the way around.
                return Err(Error::NoneFree);
            }
            tried += 1;
        }
    }

    /// Holds `cid`, which someone has who was here before this service was.
    pub(crate) fn adopt(self: &Arc<Self>, cid: u32) -> Option<Reservation> {
        self.table().held.insert(cid).then(|| Reservation {
            cids: Arc::clone(self),
            cid,
        })
    }

    /// Waits until the change number `changes` is in the file. One write may bring several.
    fn keep(&self, changes: u64) -> io::Result<()> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.changes < changes {
            let (last, newest) = {
                let table = self.table();
                (table.last, table.changes)
            };
            kept.last.save(last)?;
            kept.changes = newest;
        }
        Ok(())
    }

    /// How many are held.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.table().held.len()
    }
}

impl Table {
    /// The next that is not held, and the number of this change.
    fn next(&mut self) -> Option<(u32, u64)> {
        let mut cid = self.last;
        for _ in CIDS {
            cid = if cid >= *CIDS.end() {
                *CIDS.start()
            } else {
                cid + 1
            };
            if self.held.insert(cid) {
                self.last = cid;
                self.changes += 1;
                return Some((cid, self.changes));
            }
        }
        None
    }
}

/// A CID that is held until this is dropped.
pub(crate) struct Reservation {
    cids: Arc<Cids>,
    cid: u32,
}

impl Reservation {
    /// The CID.
    #[must_use]
    pub(crate) fn cid(&self) -> u32 {
        self.cid
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.cids.table().held.remove(&self.cid);
    }
}

/// Managers that run without this service hold locks; the kernel knows the guests of other programs.
#[derive(Debug)]
pub(crate) struct OnThisMachine {
    /// None if they cannot be opened.
    pub(crate) locks: Option<Arc<cid::CidLocks>>,
}

impl Elsewhere for OnThisMachine {
    fn is_taken(&self, cid: u32) -> bool {
        if is_locked(self.locks.as_deref(), cid) {
            return true;
        }
        match cid::kernel::reserve(cid) {
            Ok(_) | Err(cid::kernel::Error::NoDevice(_)) => false,
            Err(cid::kernel::Error::Taken(_)) => true,
            Err(e) => {
                log::warn!("{}", host::chain(&e));
                false
            }
        }
    }
}

/// Whether a manager holds `cid`. If that cannot be found out it does not: the manager that gets the
/// CID will take the lock, or come back for another.
pub(crate) fn is_locked(locks: Option<&cid::CidLocks>, cid: u32) -> bool {
    locks.is_some_and(|locks| {
        locks.is_locked(cid).unwrap_or_else(|e| {
            log::warn!("{}", host::chain(&e));
            false
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::Paths;
    use std::path::Path;

    struct Taken(Vec<u32>);

    impl Elsewhere for Taken {
        fn is_taken(&self, cid: u32) -> bool {
            self.0.contains(&cid)
        }
    }

    fn cids(root: &Path, taken: &[u32]) -> Arc<Cids> {
        let paths = Paths::at(root);
        std::fs::create_dir_all(paths.run()).unwrap();
        let (last, after) = LastCid::open(&paths).unwrap();
        Cids::new(last, after, Box::new(Taken(taken.to_vec())))
    }

    fn state(root: &Path) -> String {
        std::fs::read_to_string(Paths::at(root).last_cid()).unwrap()
    }

    #[test]
    fn the_next_after_the_last_also_after_a_restart() {
        let root = tempfile::tempdir().unwrap();
        let all = cids(root.path(), &[]);
        assert_eq!(all.reserve().unwrap().cid(), 2048);
        // Given back, and still not handed out again at once.
        assert_eq!(all.reserve().unwrap().cid(), 2049);
        assert_eq!(state(root.path()), "02049\n");
        let again = cids(root.path(), &[]);
        assert_eq!(again.reserve().unwrap().cid(), 2050);
    }

    #[test]
    fn wraps_and_skips_the_held_and_the_taken() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::at(root.path());
        std::fs::create_dir_all(paths.run()).unwrap();
        std::fs::write(paths.last_cid(), "65533\n").unwrap();
        let all = cids(root.path(), &[65535, 2049]);
        let held = all.adopt(2048).unwrap();
        assert!(all.adopt(2048).is_none());
        assert_eq!(all.reserve().unwrap().cid(), 65534);
        assert_eq!(all.reserve().unwrap().cid(), 2050);
        assert_eq!(all.held(), 1);
        drop(held);
        assert_eq!(all.held(), 0);
    }

    #[test]
    fn all_of_them_and_then_none() {
        let root = tempfile::tempdir().unwrap();
        let all = cids(root.path(), &[3000]);
        let adopted: Vec<_> = CIDS
            .filter(|cid| ![3000, 4000].contains(cid))
            .map(|cid| all.adopt(cid).unwrap())
            .collect();
        let last = all.reserve().unwrap();
        assert_eq!(last.cid(), 4000);
        assert!(matches!(all.reserve(), Err(Error::NoneFree)));
        drop(last);
        assert_eq!(all.reserve().unwrap().cid(), 4000);
        assert_eq!(adopted.len(), CIDS.count() - 2);
    }

    #[test]
    fn a_damaged_or_foreign_state_begins_anew() {
        for text in ["", "1", "xxxxx\n", "00001\n", "99999\n", "-2049\n"] {
            let root = tempfile::tempdir().unwrap();
            let paths = Paths::at(root.path());
            std::fs::create_dir_all(paths.run()).unwrap();
            std::fs::write(paths.last_cid(), text).unwrap();
            assert_eq!(
                cids(root.path(), &[]).reserve().unwrap().cid(),
                2048,
                "{text:?}"
            );
        }
    }
}
