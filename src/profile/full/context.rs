// SPDX-License-Identifier: Apache-2.0
//! What the global service gave for a VM: a CID and a directory, as an object or as numbers.

use super::global::{Global, Repeat};
use super::reporter::Reporter;
use crate::client::Client;
use avf_aidl::global::IGlobalVmContext;
use avf_aidl::service::VirtualMachineDebugInfo;
use rsbinder::{BinderResult, Strong};
use service_client::wire::{Allocated, Internal, ListedVm};
use std::fmt;
use std::sync::{Arc, OnceLock};

/// Reserves the CID with the service. Dropping it gives it back.
pub(super) struct GlobalContext {
    cid: i32,
    directory: String,
    form: Form,
}

enum Form {
    /// The service's object, which reserves the CID while it is referenced.
    Object(Strong<dyn IGlobalVmContext>),
    /// The service has the CID reserved until the VM is unregistered, or this manager is gone.
    Plain {
        service: Internal,
        global: Arc<Global>,
        reporter: Arc<Reporter>,
        vm: OnceLock<Arc<ListedVm>>,
    },
}

impl fmt::Debug for GlobalContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GlobalContext")
            .field("cid", &self.cid)
            .finish_non_exhaustive()
    }
}

impl GlobalContext {
    /// What `service` allocated, one that `global` found.
    pub(super) fn new(
        service: Internal,
        allocated: Allocated,
        global: Arc<Global>,
        reporter: Arc<Reporter>,
    ) -> BinderResult<Self> {
        Ok(match allocated {
            Allocated::Object(object) => Self {
                cid: object.getCid()?,
                directory: object.getTemporaryDirectory()?,
                form: Form::Object(object),
            },
            Allocated::Plain(context) => Self {
                cid: context.cid,
                directory: context.tempDir,
                form: Form::Plain {
                    service,
                    global,
                    reporter,
                    vm: OnceLock::new(),
                },
            },
        })
    }

    pub(super) fn cid(&self) -> i32 {
        self.cid
    }

    pub(super) fn directory(&self) -> &str {
        &self.directory
    }

    /// Makes the VM known to the service, if it wants to know it.
    pub(super) fn register(&self, name: &str, client: &Client) -> BinderResult<()> {
        let Form::Plain {
            service,
            global,
            vm,
            ..
        } = &self.form
        else {
            return Ok(());
        };
        let listed = vm.get_or_init(|| {
            Arc::new(ListedVm::new(VirtualMachineDebugInfo {
                name: name.to_owned(),
                cid: self.cid,
                temporaryDirectory: self.directory.clone(),
                requesterUid: client.uid().cast_signed(),
                requesterPid: client.pid(),
                ..Default::default()
            }))
        });
        global.register(service, self.cid, listed)
    }

    /// Has the VM's console listed at `path`.
    pub(super) fn set_console(&self, path: &str) -> BinderResult<()> {
        match &self.form {
            Form::Object(object) => object.setHostConsoleName(path),
            Form::Plain { vm, .. } => {
                if let Some(vm) = vm.get() {
                    vm.update(|info| info.hostConsoleName = Some(path.to_owned()));
                }
                Ok(())
            }
        }
    }
}

impl Drop for GlobalContext {
    fn drop(&mut self) {
        let Form::Plain {
            global, reporter, ..
        } = &self.form
        else {
            return;
        };
        let (global, cid) = (Arc::clone(global), self.cid);
        reporter.send(move || {
            let forgotten =
                global.try_call(Repeat::IfUnanswered, |service| service.unregister_vm(cid));
            if let Err(e) = forgotten {
                log::warn!("the global service does not forget the VM with the CID {cid}: {e}");
            }
        });
    }
}
