// SPDX-License-Identifier: Apache-2.0
//! The VMs of one client, and the threads that drive them.

use crate::error::Error;
use crate::vm::plan::Draft;
use crate::vm::{Context, Instance, RunOptions};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use vmm::Vmm;

/// The VMs of one client.
#[derive(Debug, Default)]
pub struct Vms {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    vms: Vec<Weak<Instance>>,
    drivers: Vec<JoinHandle<()>>,
    ending: bool,
}

impl Vms {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a VM of a draft and a context.
    ///
    /// # Errors
    /// If its channels cannot be made, the VMM cannot do what it asks for, or the client is gone.
    pub fn add(
        self: &Arc<Self>,
        draft: Draft,
        context: Context,
        vmm: &dyn Vmm,
        options: RunOptions,
    ) -> Result<Arc<Instance>, Error> {
        let registry = Arc::downgrade(self);
        let vm = Arc::new(Instance::new(draft, context, vmm, options, registry)?);
        let mut inner = self.inner();
        if inner.ending {
            return Err(Error::ending());
        }
        inner.vms.retain(|vm| vm.strong_count() > 0);
        inner.vms.push(Arc::downgrade(&vm));
        Ok(vm)
    }

    /// Starts the thread that drives `vm`.
    ///
    /// # Errors
    /// If the thread cannot be made, or the client is gone.
    pub(super) fn drive(
        &self,
        vm: &Instance,
        body: impl FnOnce() + Send + 'static,
    ) -> Result<(), Error> {
        let mut inner = self.inner();
        if inner.ending {
            return Err(Error::ending());
        }
        // Threads that have ended are joined here, so that a client with many short VMs does not
        // gather threads.
        let (ended, running) = inner.drivers.drain(..).partition(JoinHandle::is_finished);
        inner.drivers = running;
        join(ended);
        let thread = std::thread::Builder::new()
            .name(format!("vm-{}", vm.cid()))
            .spawn(body)
            .map_err(|e| Error::io("cannot start the VM's thread", e))?;
        inner.drivers.push(thread);
        Ok(())
    }

    /// The VMs that are alive.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Instance>> {
        self.inner().vms.iter().filter_map(Weak::upgrade).collect()
    }

    /// Waits until VMs called `name` that their client has let go of are cleaned up, so that it can
    /// create such a VM again at once.
    pub fn settle(&self, name: &str) {
        for vm in self.all().iter().filter(|vm| vm.name() == name) {
            vm.settle();
        }
    }

    /// Kills every VM, waits until all of them are cleaned up, and refuses new ones. Clients that are
    /// gone are not told of it.
    pub fn end(&self, clients_are_gone: bool) {
        self.inner().ending = true;
        for vm in self.all() {
            if clients_are_gone {
                vm.callbacks().clear();
            }
            vm.kill();
        }
        let drivers = std::mem::take(&mut self.inner().drivers);
        join(drivers);
    }
}

fn join(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        if thread.join().is_err() {
            log::error!("the thread of a VM panicked");
        }
    }
}
