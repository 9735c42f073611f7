// SPDX-License-Identifier: Apache-2.0
//! The way to the global virtualization service, if there is one.

use super::no_global_service;
use crate::error::Error;
use crate::status::{failure, unsupported};
use rsbinder::{BinderResult, Status, StatusCode};
use service_client::Service;
use service_client::wire::ListedVm;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError, Weak};

/// The global service's object.
pub(super) use service_client::wire::Internal;

/// The global service: looked for when it is first needed, and again if it went away.
#[derive(Debug)]
pub(super) struct Global {
    root: PathBuf,
    service: Mutex<Option<Arc<Service>>>,
    /// The VMs that a service knows from this manager only, with their CIDs.
    listed: Mutex<Vec<(i32, Weak<ListedVm>)>>,
}

impl Global {
    pub(super) fn new(root: PathBuf) -> Self {
        Self {
            root,
            service: Mutex::new(None),
            listed: Mutex::default(),
        }
    }

    fn service(&self) -> MutexGuard<'_, Option<Arc<Service>>> {
        self.service.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The service; none if it does not run. If it is not known yet, it is looked for, and asked for
    /// what a manager needs of it before its first VM.
    pub(super) fn get(&self) -> Result<Option<Arc<Service>>, Error> {
        let known = self.service().clone();
        if known.is_some() {
            return Ok(known);
        }
        // Unlocked: a service that hangs must not make callers wait one after the other.
        let Some(found) = self.find()? else {
            return Ok(None);
        };
        lift_memory_lock_limit(found.internal());
        let found = Arc::new(found);
        // The first one that was found stays, since VMs may have something of it.
        let known = Arc::clone(self.service().get_or_insert_with(|| Arc::clone(&found)));
        if Arc::ptr_eq(&known, &found) {
            self.register_again(found.internal());
        }
        Ok(Some(known))
    }

    /// Makes `vm` known to the service, and to the one after it.
    pub(super) fn register(
        &self,
        service: &Internal,
        cid: i32,
        vm: &Arc<ListedVm>,
    ) -> BinderResult<()> {
        service.register_vm(cid, &vm.object())?;
        let mut listed = self.listed();
        listed.retain(|(_, vm)| vm.strong_count() > 0);
        listed.push((cid, Arc::downgrade(vm)));
        Ok(())
    }

    fn listed(&self) -> MutexGuard<'_, Vec<(i32, Weak<ListedVm>)>> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the VMs that the service before knew known to this one.
    fn register_again(&self, service: &Internal) {
        let listed = self.listed().clone();
        for (cid, vm) in listed {
            let Some(vm) = vm.upgrade() else { continue };
            if let Err(e) = service.register_vm(cid, &vm.object()) {
                log::warn!("the new global service does not list the VM with the CID {cid}: {e}");
            }
        }
    }

    /// Finds the service. One that this user may not connect to is as none: it gives nothing that an own
    /// VM cannot do without.
    fn find(&self) -> Result<Option<Service>, Error> {
        match service_client::connect(&self.root) {
            Err(e @ service_client::Error::Forbidden { .. }) => {
                static TOLD: Once = Once::new();
                TOLD.call_once(|| {
                    log::info!("going on without the global service: {}", host::chain(&e));
                });
                Ok(None)
            }
            other => other
                .map_err(|e| Error::failed("cannot reach the global virtualization service", e)),
        }
    }

    /// Lets go of `dead`, unless another caller has found the one after it by now: with the session
    /// of that one, what it has handed out would go.
    fn forget(&self, dead: &Arc<Service>) {
        let mut known = self.service();
        if known.as_ref().is_some_and(|known| Arc::ptr_eq(known, dead)) {
            log::info!("the global service went away; it is looked for again");
            *known = None;
        }
    }

    /// Makes a call, once more if the service turns out to have been restarted and `repeat` allows
    /// it; `None` if there is no service.
    pub(super) fn try_call<T>(
        &self,
        repeat: Repeat,
        call: impl Fn(&Internal) -> BinderResult<T>,
    ) -> Result<Option<T>, Status> {
        let mut retried = false;
        loop {
            let Some(service) = self.get().map_err(|e| failure(&e))? else {
                return Ok(None);
            };
            match call(service.internal()) {
                Ok(value) => return Ok(Some(value)),
                Err(status) if repeat.suits(&status) && !retried => {
                    self.forget(&service);
                    retried = true;
                }
                Err(status) => return Err(status),
            }
        }
    }

    /// The same for a method that needs the service.
    pub(super) fn call<T>(
        &self,
        method: &str,
        repeat: Repeat,
        call: impl Fn(&Internal) -> BinderResult<T>,
    ) -> BinderResult<T> {
        self.try_call(repeat, call)?
            .ok_or_else(|| unsupported(&no_global_service(method)))
    }
}

/// When a call is made once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// If the service was gone before the call: for calls that allocate something, or count.
    IfUnsent,
    /// Also if the answer failed: for calls that may be made twice.
    IfUnanswered,
}

impl Repeat {
    fn suits(self, status: &Status) -> bool {
        match status.transaction_error() {
            StatusCode::DeadObject => true,
            StatusCode::FailedTransaction => self == Self::IfUnanswered,
            _ => false,
        }
    }
}

/// Only VMs that lock memory need it, so a refusal is no warning.
fn lift_memory_lock_limit(service: &Internal) {
    if let Err(e) = service.remove_memlock_rlimit() {
        log::info!(
            "cannot raise the limit on locked memory: {e}; a VMM that locks its guest's memory needs the \
             global service to have the capability CAP_SYS_RESOURCE"
        );
    }
}
