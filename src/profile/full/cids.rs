// SPDX-License-Identifier: Apache-2.0
//! CIDs where no global service hands them out: the next that no one on the machine has locked.

use super::directories::{base, sweep_once};
use crate::client::Client;
use crate::error::{Error, Kind};
use crate::vm::directory::Error as DirectoryError;
use crate::vm::{VmDirectory, vhost};
use cid::{CIDS, CidLock, CidLocks};
use host::Host;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// The next CID of this manager, and the locks that keep it from others.
#[derive(Debug)]
pub(super) struct Cids {
    next: AtomicU32,
    locks: OnceLock<CidLocks>,
}

impl Cids {
    pub(super) fn new() -> Self {
        // Managers that run at once begin apart, so that they rarely try the same.
        let spread = (CIDS.end() - CIDS.start() + 1) / 64;
        Self {
            next: AtomicU32::new(CIDS.start() + std::process::id() % 64 * spread),
            locks: OnceLock::new(),
        }
    }

    /// The lock of `cid`, or none if another VM of the machine has it.
    pub(super) fn lock(&self, host: &Host, cid: u32) -> Result<Option<CidLock>, Error> {
        let failed = |e: cid::Error| Error::failed("cannot reserve a CID among all managers", e);
        let locks = match self.locks.get() {
            Some(locks) => locks,
            None => {
                let opened = CidLocks::open(host.root()).map_err(failed)?;
                self.locks.get_or_init(|| opened)
            }
        };
        locks.lock(cid).map_err(failed)
    }

    fn advance(&self) -> u32 {
        let next = |cid| {
            Some(if cid >= *CIDS.end() {
                *CIDS.start()
            } else {
                cid + 1
            })
        };
        match self
            .next
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
        {
            Ok(cid) | Err(cid) => cid,
        }
    }

    /// A free CID with its directory and, where the kernel has vsock, its place there.
    pub(super) fn take(
        &self,
        host: &Host,
        client: &Client,
        name: &str,
    ) -> Result<(CidLock, VmDirectory, Option<vhost::KernelVsock>), Error> {
        let base = base(host)?;
        sweep_once(&base);
        for _ in CIDS {
            let cid = self.advance();
            let Some(lock) = self.lock(host, cid)? else {
                continue;
            };
            let directory = match VmDirectory::claim(&base, cid, name, client.pid()) {
                Ok(directory) => directory,
                Err(DirectoryError::Running { .. } | DirectoryError::Foreign { .. }) => continue,
                Err(e) => return Err(e.into()),
            };
            match vhost::reserve(cid) {
                Ok(vsock) => return Ok((lock, directory, vsock)),
                // Another program has it.
                Err(e) if is_taken(&e) => {}
                Err(e) => return Err(e),
            }
        }
        Err(no_cid())
    }
}

/// Whether another program has the CID, or the port of that number.
pub(super) fn is_taken(error: &Error) -> bool {
    error.kind() == Kind::Taken
}

/// All CIDs are taken.
pub(super) fn no_cid() -> Error {
    let (first, last) = (CIDS.start(), CIDS.end());
    Error::new(
        Kind::State,
        format!("no CID is left: every one from {first} to {last} is held by a running VM"),
    )
}
