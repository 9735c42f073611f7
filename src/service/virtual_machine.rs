// SPDX-License-Identifier: Apache-2.0
//! `IVirtualMachine`: a handle to one VM, which lives as long as its client holds the handle.

use crate::profile::{Chosen, Profile};
use crate::status::logged;
use crate::vm::Instance;
use avf_aidl::service::{
    BnVirtualMachine, IVirtualMachine, IVirtualMachineCallback, VirtualMachineState,
};
use rsbinder::{BinderResult, Interface, ParcelFileDescriptor, SIBinder, Strong};
use std::sync::Arc;

/// A handle to one VM. Dropping the client's own kills the VM.
#[derive(Debug)]
pub struct VirtualMachine {
    vm: Arc<Instance>,
    holder: Holder,
}

/// The holder of a handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    /// The client that created the VM, which lives as long as the client holds this.
    Creator,
    /// A tool that came over the VM's control socket.
    Visitor,
}

impl VirtualMachine {
    /// The binder object for the client that created `vm`.
    #[must_use]
    pub fn binder(vm: Arc<Instance>) -> Strong<dyn IVirtualMachine> {
        let holder = Holder::Creator;
        BnVirtualMachine::new_binder(Self { vm, holder })
    }

    /// The binder object for those who come over the control socket of `vm`.
    #[must_use]
    pub fn visitor(vm: Arc<Instance>) -> SIBinder {
        let holder = Holder::Visitor;
        BnVirtualMachine::new_binder(Self { vm, holder }).as_binder()
    }

    fn failed(&self, method: &str) -> impl FnOnce(crate::error::Error) -> rsbinder::Status {
        let what = format!(
            "{method} of VM '{}' (CID {})",
            self.vm.name(),
            self.vm.cid()
        );
        move |error| logged(&what, &error)
    }
}

impl Interface for VirtualMachine {}

impl IVirtualMachine for VirtualMachine {
    fn getCid(&self) -> BinderResult<i32> {
        Ok(self.vm.cid().cast_signed())
    }

    fn getState(&self) -> BinderResult<VirtualMachineState> {
        Ok(VirtualMachineState(self.vm.state_number()))
    }

    fn registerCallback(&self, callback: &Strong<dyn IVirtualMachineCallback>) -> BinderResult<()> {
        self.vm.callbacks().register(callback)
    }

    fn start(&self) -> BinderResult<()> {
        Instance::start(&self.vm).map_err(self.failed("start"))
    }

    fn stop(&self) -> BinderResult<()> {
        match self.holder {
            Holder::Creator => self.vm.stop(),
            // The sessions of the control socket end with the VM, so that this answer would be cut
            // off. The end of the VM's directory, whose lock can be waited for, tells the rest.
            Holder::Visitor => {
                self.vm.kill();
                Ok(())
            }
        }
        .map_err(self.failed("stop"))
    }

    fn getMemoryBalloon(&self) -> BinderResult<i64> {
        self.vm
            .memory_balloon()
            .map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX))
            .map_err(self.failed("getMemoryBalloon"))
    }

    fn setMemoryBalloon(&self, bytes: i64) -> BinderResult<()> {
        self.vm
            .set_memory_balloon(bytes)
            .map_err(self.failed("setMemoryBalloon"))
    }

    fn connectVsock(&self, port: i32) -> BinderResult<ParcelFileDescriptor> {
        self.vm
            .connect_vsock(port)
            .map(ParcelFileDescriptor::new)
            .map_err(self.failed("connectVsock"))
    }

    fn setHostConsoleName(&self, pathname: &str) -> BinderResult<()> {
        Chosen::check_host_console_names()?;
        self.vm
            .set_host_console_name(pathname)
            .map_err(self.failed("setHostConsoleName"))
    }

    fn suspend(&self) -> BinderResult<()> {
        self.vm.suspend().map_err(self.failed("suspend"))
    }

    fn resume(&self) -> BinderResult<()> {
        self.vm.resume().map_err(self.failed("resume"))
    }
}

impl Drop for VirtualMachine {
    fn drop(&mut self) {
        if self.holder == Holder::Creator {
            self.vm.kill();
        }
    }
}
