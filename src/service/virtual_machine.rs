// SPDX-License-Identifier: Apache-2.0
//! `IVirtualMachine`: a handle to one VM, which lives as long as its client holds the handle.

use crate::profile::{Chosen, Profile};
use crate::status::logged;
use crate::vm::Instance;
use avf_aidl::service::{
    DisplayConfig, IVirtualMachineCallback, VirtualMachineDebugInfo, VirtualMachineDisplay,
    VirtualMachineState,
};
use avf_wire::Wire;
use avf_wire::server::{Machine, TrimLevel, machine};
use rsbinder::{BinderResult, ParcelFileDescriptor, SIBinder, Strong};
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
    /// The handle of the client that created `vm`.
    #[must_use]
    pub fn of_creator(vm: Arc<Instance>) -> Arc<dyn Machine> {
        let holder = Holder::Creator;
        Arc::new(Self { vm, holder })
    }

    /// The binder object for those who come over the control socket of `vm`: this project's own
    /// tools, which speak the newest release.
    #[must_use]
    pub fn visitor(vm: Arc<Instance>) -> SIBinder {
        let holder = Holder::Visitor;
        machine(Arc::new(Self { vm, holder }), Arc::new(Wire::newest()))
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

impl Machine for VirtualMachine {
    fn cid(&self) -> BinderResult<i32> {
        Ok(self.vm.cid().cast_signed())
    }

    fn state(&self) -> BinderResult<VirtualMachineState> {
        Ok(VirtualMachineState(self.vm.state_number()))
    }

    fn register_callback(
        &self,
        callback: &Strong<dyn IVirtualMachineCallback>,
    ) -> BinderResult<()> {
        self.vm.callbacks().register(callback)
    }

    fn unregister_callback(
        &self,
        callback: &Strong<dyn IVirtualMachineCallback>,
    ) -> BinderResult<()> {
        self.vm.callbacks().unregister(callback);
        Ok(())
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

    fn trim_memory(&self, level: TrimLevel) -> BinderResult<()> {
        self.vm
            .trim_memory(level)
            .map_err(self.failed("onTrimMemory"))
    }

    fn is_memory_balloon_enabled(&self) -> BinderResult<bool> {
        Ok(self.vm.has_balloon())
    }

    fn memory_balloon(&self) -> BinderResult<i64> {
        self.vm
            .memory_balloon()
            .map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX))
            .map_err(self.failed("getMemoryBalloon"))
    }

    fn set_memory_balloon(&self, bytes: i64) -> BinderResult<()> {
        self.vm
            .set_memory_balloon(bytes)
            .map_err(self.failed("setMemoryBalloon"))
    }

    fn connect_vsock(&self, port: i32) -> BinderResult<ParcelFileDescriptor> {
        self.vm
            .connect_vsock(port)
            .map(ParcelFileDescriptor::new)
            .map_err(self.failed("connectVsock"))
    }

    fn set_host_console_name(&self, pathname: &str) -> BinderResult<()> {
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

    fn debug_info(&self) -> BinderResult<VirtualMachineDebugInfo> {
        Ok(self.vm.debug_info())
    }

    fn add_display(&self, config: &DisplayConfig) -> BinderResult<()> {
        self.vm
            .add_display(config)
            .map_err(self.failed("addDisplay"))
    }

    fn remove_display(&self, id: i32) -> BinderResult<()> {
        self.vm
            .remove_display(id)
            .map_err(self.failed("removeDisplay"))
    }

    fn displays(&self) -> BinderResult<Vec<VirtualMachineDisplay>> {
        self.vm.displays().map_err(self.failed("getDisplays"))
    }
}

impl Drop for VirtualMachine {
    fn drop(&mut self) {
        if self.holder == Holder::Creator {
            self.vm.kill();
        }
    }
}
