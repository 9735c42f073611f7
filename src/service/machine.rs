// SPDX-License-Identifier: Apache-2.0
//! `IVirtualMachine`: a client's handle to one VM. The VM lives as long as the client holds it.

use crate::profile::Provider;
use crate::service::status::logged;
use crate::vm::Instance;
use avf_aidl::service::{
    BnVirtualMachine, IVirtualMachine, IVirtualMachineCallback, VirtualMachineState,
};
use rsbinder::{BinderResult, Interface, ParcelFileDescriptor, Strong};
use std::sync::Arc;

/// A client's handle to one VM. Dropping it kills the VM.
#[derive(Debug)]
pub struct Machine {
    vm: Arc<Instance>,
}

impl Machine {
    /// The binder object for `vm`.
    #[must_use]
    pub fn binder(vm: Arc<Instance>) -> Strong<dyn IVirtualMachine> {
        BnVirtualMachine::new_binder(Self { vm })
    }

    fn failed(&self, method: &str) -> impl FnOnce(crate::vm::Error) -> rsbinder::Status {
        let what = format!(
            "{method} of VM '{}' (CID {})",
            self.vm.name(),
            self.vm.cid()
        );
        move |error| logged(&what, &error)
    }
}

impl Interface for Machine {}

impl IVirtualMachine for Machine {
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
        self.vm.stop().map_err(self.failed("stop"))
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
        Provider::check_host_console_names()?;
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

impl Drop for Machine {
    fn drop(&mut self) {
        self.vm.kill();
    }
}
