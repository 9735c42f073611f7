// SPDX-License-Identifier: Apache-2.0
//! The VMs of managers whose contexts are numbers and not objects: what belongs to a VM goes when the
//! binder that was registered for it dies, or before that with the manager's process.

use crate::contexts::{Context, Contexts};
use avf_aidl::service::VirtualMachineDebugInfo;
use permissions::Caller;
use rsbinder::{DeathRecipient, SIBinder, StatusCode, WIBinder};
use service_client::wire::{Release, ask_debug_info};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};
use vm_directory::Process;

/// How long VMs may take, all together, to say what they are. Managers answer at once.
const ANSWERS: Duration = Duration::from_secs(2);

/// Why a VM is not registered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The caller does not have it.
    #[error(
        "cannot register a VM with the CID {cid}: allocateVmContext did not give it to user {uid}; take \
         the CID that it gave"
    )]
    NotTheirs { cid: i32, uid: u32 },
    /// It ended while it was being registered.
    #[error("cannot register the VM with the CID {cid}: its manager is gone")]
    Gone { cid: i32 },
}

struct Registration {
    uid: u32,
    /// Whose it is until a binder is registered.
    process: Option<Process>,
    vm: Option<Vm>,
    context: Context,
}

struct Vm {
    object: SIBinder,
    /// While it is asked; one that never answers is asked once.
    is_asked: Arc<AtomicBool>,
    /// The object keeps no strong reference to it.
    _death: Arc<dyn DeathRecipient>,
}

/// The registered VMs, by CID.
#[derive(Default)]
pub(crate) struct Registrations {
    table: Mutex<BTreeMap<u32, Registration>>,
}

struct Death {
    registrations: Weak<Registrations>,
    cid: u32,
    /// Which of those that had the CID.
    number: u64,
}

impl DeathRecipient for Death {
    fn binder_died(&self, _: &WIBinder) {
        let Some(registrations) = self.registrations.upgrade() else {
            return;
        };
        let mut table = registrations.table();
        let is_it = |entry: &Registration| entry.context.number() == self.number;
        let gone = table
            .get(&self.cid)
            .is_some_and(is_it)
            .then(|| table.remove(&self.cid));
        drop(table);
        // Unlocked: a directory is removed with it.
        drop(gone);
    }
}

impl Registrations {
    fn table(&self) -> MutexGuard<'_, BTreeMap<u32, Registration>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps `context` for `caller`, until it registers a VM, and then until that is gone.
    pub(crate) fn keep(&self, context: Context, caller: Caller) {
        let entry = Registration {
            uid: caller.uid,
            process: (caller.pid > 0).then(|| {
                Process::of_pid(caller.pid).unwrap_or(Process {
                    pid: caller.pid,
                    start: 0,
                })
            }),
            vm: None,
            context,
        };
        let before = self.table().insert(entry.context.cid(), entry);
        drop(before);
    }

    /// Registers `vm`, which answers for the VM with this CID. A manager does so again when this
    /// service was restarted.
    ///
    /// # Errors
    /// If the CID is not the caller's, or the VM is gone.
    pub(crate) fn register(
        self: &Arc<Self>,
        contexts: &Arc<Contexts>,
        cid: i32,
        vm: SIBinder,
        caller: Caller,
    ) -> Result<(), Error> {
        let uid = caller.uid;
        let not_theirs = || Error::NotTheirs { cid, uid };
        let number = u32::try_from(cid).map_err(|_| not_theirs())?;
        let is_known = match self.table().get(&number) {
            Some(entry) if entry.uid != uid => return Err(not_theirs()),
            other => other.is_some(),
        };
        if !is_known {
            let again = contexts.take_again(number, uid, caller.pid);
            self.keep(again.ok_or_else(not_theirs)?, caller);
        }
        let mut table = self.table();
        let entry = table.get_mut(&number).ok_or(Error::Gone { cid })?;
        let death: Arc<dyn DeathRecipient> = Arc::new(Death {
            registrations: Arc::downgrade(self),
            cid: number,
            number: entry.context.number(),
        });
        match vm.link_to_death(Arc::downgrade(&death)) {
            Ok(()) => entry.process = None,
            Err(StatusCode::DeadObject) => {
                let gone = table.remove(&number);
                drop(table);
                drop(gone);
                return Err(Error::Gone { cid });
            }
            // Its end is that of the process, then.
            Err(e) => log::debug!("CID {cid}: the end of its VM is not told: {e}"),
        }
        entry.vm = Some(Vm {
            object: vm,
            is_asked: Arc::default(),
            _death: death,
        });
        Ok(())
    }

    /// Forgets the VM with this CID; whether it was the caller's, or nobody's.
    pub(crate) fn unregister(&self, cid: i32, caller: Caller) -> bool {
        let Ok(cid) = u32::try_from(cid) else {
            return true;
        };
        let mut table = self.table();
        match table.get(&cid) {
            None => true,
            Some(entry) if entry.uid != caller.uid => false,
            Some(_) => {
                let gone = table.remove(&cid);
                drop(table);
                drop(gone);
                true
            }
        }
    }

    /// Gives back what belongs to managers that ended without a VM.
    pub(crate) fn look_at_processes(&self) {
        let mut gone = Vec::new();
        let mut table = self.table();
        let ended: Vec<u32> = table
            .iter()
            .filter(|(_, entry)| entry.process.is_some_and(|process| !process.is_alive()))
            .map(|(cid, _)| *cid)
            .collect();
        for cid in ended {
            gone.extend(table.remove(&cid));
        }
        drop(table);
        drop(gone);
    }

    /// What registered VMs say of themselves, by CID; `release` is that of their managers, if somebody
    /// named it. A VM that does not answer is left out.
    pub(crate) fn ask(&self, release: Option<Release>) -> BTreeMap<u32, VirtualMachineDebugInfo> {
        let vms: Vec<_> = self
            .table()
            .iter()
            .filter_map(|(cid, entry)| {
                let vm = entry.vm.as_ref()?;
                Some((*cid, vm.object.clone(), Arc::clone(&vm.is_asked)))
            })
            .filter(|(_, _, is_asked)| !is_asked.load(Ordering::Acquire))
            .collect();
        let mut infos = BTreeMap::new();
        if vms.is_empty() {
            return infos;
        }
        let (sender, answers) = channel();
        // On a thread of its own, which a manager that hangs may keep.
        let asking = std::thread::Builder::new().name("ask-vms".to_owned());
        let started = asking.spawn(move || {
            for (cid, vm, is_asked) in vms {
                is_asked.store(true, Ordering::Release);
                let answer = ask_debug_info(&vm, release);
                is_asked.store(false, Ordering::Release);
                let is_over = match answer {
                    Ok(info) => sender.send((cid, info)).is_err(),
                    Err(e) => {
                        log::debug!("CID {cid}: its manager does not say what it is: {e}");
                        false
                    }
                };
                if is_over {
                    return;
                }
            }
        });
        if let Err(e) = started {
            log::warn!("cannot start the thread that asks VMs what they are: {e}");
            return infos;
        }
        let end = Instant::now() + ANSWERS;
        while let Ok((cid, info)) =
            answers.recv_timeout(end.saturating_duration_since(Instant::now()))
        {
            infos.insert(cid, info);
        }
        infos
    }
}
