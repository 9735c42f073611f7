// SPDX-License-Identifier: Apache-2.0
//! `IVirtualMachine` of a manager of any release.

use super::Remote;
use super::service::debug_info;
use crate::interfaces::{MACHINE, MachineMethod as Method};
use crate::release::Release;
use avf_aidl::service::{
    BpVirtualMachine, DisplayConfig, IVirtualMachine, IVirtualMachineCallback,
    VirtualMachineDebugInfo, VirtualMachineDisplay, VirtualMachineState,
};
use rsbinder::{
    BinderResult, Interface, ParcelFileDescriptor, Proxy, SIBinder, StatusCode, Strong,
};

/// The VM `binder` of a manager, spoken to as a client of `release` does. A clone of the result speaks the
/// newest release.
///
/// # Errors
/// `BadType` if the object is not a VM, or is not remote.
pub fn machine(
    binder: SIBinder,
    release: Release,
) -> Result<Strong<dyn IVirtualMachine>, StatusCode> {
    // Also gives the object the descriptor that every call begins with.
    BpVirtualMachine::from_binder(binder.clone()).ok_or(StatusCode::BadType)?;
    let remote = Remote { binder, release };
    Ok(Strong::new(Box::new(MachineProxy(remote))))
}

struct MachineProxy(Remote);

impl MachineProxy {
    fn code(&self, method: Method) -> Option<u32> {
        MACHINE.code(&method, self.0.release as usize)
    }

    /// Calls a method that has neither arguments nor a result.
    fn tell(&self, name: &str, method: Method) -> BinderResult<()> {
        self.0.call(name, self.code(method), |_| Ok(()))?;
        Ok(())
    }
}

impl Interface for MachineProxy {
    fn as_binder(&self) -> SIBinder {
        self.0.binder.clone()
    }
}

impl IVirtualMachine for MachineProxy {
    fn getCid(&self) -> BinderResult<i32> {
        self.0.get("getCid", self.code(Method::GetCid), |_| Ok(()))
    }

    fn getState(&self) -> BinderResult<VirtualMachineState> {
        let code = self.code(Method::GetState);
        self.0.get("getState", code, |_| Ok(()))
    }

    fn registerCallback(&self, callback: &Strong<dyn IVirtualMachineCallback>) -> BinderResult<()> {
        let code = self.code(Method::RegisterCallback);
        self.0
            .call("registerCallback", code, |parcel| parcel.write(callback))?;
        Ok(())
    }

    fn unregisterCallback(
        &self,
        callback: &Strong<dyn IVirtualMachineCallback>,
    ) -> BinderResult<()> {
        let code = self.code(Method::UnregisterCallback);
        self.0
            .call("unregisterCallback", code, |parcel| parcel.write(callback))?;
        Ok(())
    }

    fn start(&self) -> BinderResult<()> {
        self.tell("start", Method::Start)
    }

    fn stop(&self) -> BinderResult<()> {
        self.tell("stop", Method::Stop)
    }

    fn isMemoryBalloonEnabled(&self) -> BinderResult<bool> {
        let code = self.code(Method::IsMemoryBalloonEnabled);
        self.0.get("isMemoryBalloonEnabled", code, |_| Ok(()))
    }

    fn getActualMemoryBalloonBytes(&self) -> BinderResult<i64> {
        let code = self.code(Method::GetMemoryBalloon);
        self.0.get("getMemoryBalloon", code, |_| Ok(()))
    }

    fn setMemoryBalloon(&self, bytes: i64) -> BinderResult<()> {
        let code = self.code(Method::SetMemoryBalloon);
        self.0
            .call("setMemoryBalloon", code, |parcel| parcel.write(&bytes))?;
        Ok(())
    }

    fn connectVsock(&self, port: i32) -> BinderResult<ParcelFileDescriptor> {
        let code = self.code(Method::ConnectVsock);
        self.0
            .get("connectVsock", code, |parcel| parcel.write(&port))
    }

    fn createAccessorBinder(&self, instance: &str, port: i32) -> BinderResult<SIBinder> {
        let code = self.code(Method::CreateAccessorBinder);
        self.0.get("createAccessorBinder", code, |parcel| {
            parcel.write(instance)?;
            parcel.write(&port)
        })
    }

    fn setHostConsoleName(&self, path: &str) -> BinderResult<()> {
        let code = self.code(Method::SetHostConsoleName);
        self.0
            .call("setHostConsoleName", code, |parcel| parcel.write(path))?;
        Ok(())
    }

    fn suspend(&self) -> BinderResult<()> {
        self.tell("suspend", Method::Suspend)
    }

    fn resume(&self) -> BinderResult<()> {
        self.tell("resume", Method::Resume)
    }

    fn getDebugInfo(&self) -> BinderResult<VirtualMachineDebugInfo> {
        let code = self.code(Method::GetDebugInfo);
        let mut reply = self.0.call("getDebugInfo", code, |_| Ok(()))?;
        Ok(debug_info(&mut reply, self.0.release)?)
    }

    fn addMemoryToGuest(
        &self,
        file: &ParcelFileDescriptor,
        offset: i64,
        start: i64,
        end: i64,
        is_cacheable: bool,
    ) -> BinderResult<i32> {
        let code = self.code(Method::AddMemoryToGuest);
        self.0.get("addMemoryToGuest", code, |parcel| {
            parcel.write(file)?;
            for number in [offset, start, end] {
                parcel.write(&number)?;
            }
            parcel.write(&is_cacheable)
        })
    }

    fn removeMemoryFromGuest(&self, id: i32) -> BinderResult<()> {
        let code = self.code(Method::RemoveMemoryFromGuest);
        self.0
            .call("removeMemoryFromGuest", code, |parcel| parcel.write(&id))?;
        Ok(())
    }

    fn getGuestAgentPort(&self) -> BinderResult<i32> {
        let code = self.code(Method::GetGuestAgentPort);
        self.0.get("getGuestAgentPort", code, |_| Ok(()))
    }

    fn addDisplay(&self, config: &DisplayConfig) -> BinderResult<()> {
        let code = self.code(Method::AddDisplay);
        self.0
            .call("addDisplay", code, |parcel| parcel.write(config))?;
        Ok(())
    }

    fn removeDisplay(&self, id: i32) -> BinderResult<()> {
        let code = self.code(Method::RemoveDisplay);
        self.0
            .call("removeDisplay", code, |parcel| parcel.write(&id))?;
        Ok(())
    }

    fn getDisplays(&self) -> BinderResult<Vec<VirtualMachineDisplay>> {
        let code = self.code(Method::GetDisplays);
        self.0.get("getDisplays", code, |_| Ok(()))
    }
}
