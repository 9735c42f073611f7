// SPDX-License-Identifier: Apache-2.0
//! `IVirtualizationService` of a manager of any release.

use super::{Remote, machine};
use crate::interfaces::{SERVICE, ServiceMethod as Method};
use crate::release::{Layout, Release, field, layout};
use crate::write;
use avf_aidl::service::{
    AssignableDevice, BpVirtualizationService, IVirtualMachine, IVirtualizationService,
    PartitionType, VirtualMachineConfig, VirtualMachineDebugInfo,
};
use rsbinder::{
    BinderResult, Interface, Parcel, ParcelFileDescriptor, Proxy, SIBinder, StatusCode, Strong,
};

/// The service `binder` of a manager, spoken to as a client of `release` does. A clone of the result speaks
/// the newest release: `Strong` makes it of the binder alone.
///
/// # Errors
/// `BadType` if the object is not a service of a manager, or is not remote.
pub fn service(
    binder: SIBinder,
    release: Release,
) -> Result<Strong<dyn IVirtualizationService>, StatusCode> {
    // Also gives the object the descriptor that every call begins with.
    BpVirtualizationService::from_binder(binder.clone()).ok_or(StatusCode::BadType)?;
    let remote = Remote { binder, release };
    Ok(Strong::new(Box::new(ServiceProxy(remote))))
}

struct ServiceProxy(Remote);

impl ServiceProxy {
    fn code(&self, method: Method) -> Option<u32> {
        SERVICE.code(&method, self.0.release as usize)
    }
}

impl Interface for ServiceProxy {
    fn as_binder(&self) -> SIBinder {
        self.0.binder.clone()
    }
}

impl IVirtualizationService for ServiceProxy {
    fn createVm(
        &self,
        config: &VirtualMachineConfig,
        console_out: Option<&ParcelFileDescriptor>,
        console_in: Option<&ParcelFileDescriptor>,
        os_log: Option<&ParcelFileDescriptor>,
        dump_dt: Option<&ParcelFileDescriptor>,
    ) -> BinderResult<Strong<dyn IVirtualMachine>> {
        let release = self.0.release;
        let layout = layout(release).ok_or_else(|| self.0.inexpressible("createVm"))?;
        write::check(layout, config, dump_dt.is_some())
            .map_err(|field| self.0.inexpressible(field))?;
        let files = [console_out, console_in, os_log, dump_dt];
        let vm = self
            .0
            .get("createVm", self.code(Method::CreateVm), |parcel| {
                write::create_vm(parcel, layout, config, files)
            })?;
        Ok(machine(vm, release)?)
    }

    fn allocateInstanceId(&self) -> BinderResult<[u8; 64]> {
        let code = self.code(Method::AllocateInstanceId);
        self.0.get("allocateInstanceId", code, |_| Ok(()))
    }

    fn initializeWritablePartition(
        &self,
        image: &ParcelFileDescriptor,
        size: i64,
        kind: PartitionType,
    ) -> BinderResult<()> {
        let code = self.code(Method::InitializeWritablePartition);
        self.0.call("initializeWritablePartition", code, |parcel| {
            parcel.write(image)?;
            parcel.write(&size)?;
            parcel.write(&kind)
        })?;
        Ok(())
    }

    fn setEncryptedStorageSize(&self, image: &ParcelFileDescriptor, size: i64) -> BinderResult<()> {
        let code = self.code(Method::SetEncryptedStorageSize);
        self.0.call("setEncryptedStorageSize", code, |parcel| {
            parcel.write(image)?;
            parcel.write(&size)
        })?;
        Ok(())
    }

    fn createOrUpdateIdsigFile(
        &self,
        input: &ParcelFileDescriptor,
        idsig: &ParcelFileDescriptor,
    ) -> BinderResult<()> {
        let code = self.code(Method::CreateOrUpdateIdsigFile);
        self.0.call("createOrUpdateIdsigFile", code, |parcel| {
            parcel.write(input)?;
            parcel.write(idsig)
        })?;
        Ok(())
    }

    fn debugListVms(&self) -> BinderResult<Vec<VirtualMachineDebugInfo>> {
        let code = self.code(Method::DebugListVms);
        let mut reply = self.0.call("debugListVms", code, |_| Ok(()))?;
        let count: i32 = reply.read()?;
        let count = usize::try_from(count).map_err(|_| StatusCode::BadValue)?;
        let mut vms = Vec::new();
        for _ in 0..count {
            vms.push(debug_info(&mut reply, self.0.release)?);
        }
        Ok(vms)
    }

    fn getAssignableDevices(&self) -> BinderResult<Vec<AssignableDevice>> {
        let code = self.code(Method::GetAssignableDevices);
        self.0.get("getAssignableDevices", code, |_| Ok(()))
    }

    fn getSupportedOSList(&self) -> BinderResult<Vec<String>> {
        let code = self.code(Method::GetSupportedOsList);
        self.0.get("getSupportedOSList", code, |_| Ok(()))
    }

    fn getDebugPolicy(&self) -> BinderResult<String> {
        let code = self.code(Method::GetDebugPolicy);
        self.0.get("getDebugPolicy", code, |_| Ok(()))
    }

    fn isFeatureEnabled(&self, feature: &str) -> BinderResult<bool> {
        let code = self.code(Method::IsFeatureEnabled);
        self.0
            .get("isFeatureEnabled", code, |parcel| parcel.write(feature))
    }

    fn enableTestAttestation(&self) -> BinderResult<()> {
        let code = self.code(Method::EnableTestAttestation);
        self.0.call("enableTestAttestation", code, |_| Ok(()))?;
        Ok(())
    }

    fn isRemoteAttestationSupported(&self) -> BinderResult<bool> {
        let code = self.code(Method::IsRemoteAttestationSupported);
        self.0.get("isRemoteAttestationSupported", code, |_| Ok(()))
    }

    fn isUpdatableVmSupported(&self) -> BinderResult<bool> {
        let code = self.code(Method::IsUpdatableVmSupported);
        self.0.get("isUpdatableVmSupported", code, |_| Ok(()))
    }

    fn removeVmInstance(&self, id: &[u8; 64]) -> BinderResult<()> {
        let code = self.code(Method::RemoveVmInstance);
        self.0
            .call("removeVmInstance", code, |parcel| parcel.write(id))?;
        Ok(())
    }

    fn claimVmInstance(&self, id: &[u8; 64]) -> BinderResult<()> {
        let code = self.code(Method::ClaimVmInstance);
        self.0
            .call("claimVmInstance", code, |parcel| parcel.write(id))?;
        Ok(())
    }

    fn startOrStopAdbd(&self, cid: i32, start: bool) -> BinderResult<()> {
        let code = self.code(Method::StartOrStopAdbd);
        self.0.call("startOrStopAdbd", code, |parcel| {
            parcel.write(&cid)?;
            parcel.write(&start)
        })?;
        Ok(())
    }

    fn requestShutdown(&self) -> BinderResult<()> {
        let code = self.code(Method::RequestShutdown);
        self.0.call("requestShutdown", code, |_| Ok(()))?;
        Ok(())
    }
}

/// Reads the description of a VM in the form of a release. What comes after the fields that the
/// release has is left alone, as its own readers do.
pub(super) fn debug_info(
    reply: &mut Parcel,
    release: Release,
) -> Result<VirtualMachineDebugInfo, StatusCode> {
    let fields = layout(release).map_or(0, |layout: &Layout| layout.fields);
    let has = |field: field::Set| fields & field != 0;
    let mut info = VirtualMachineDebugInfo::default();
    if reply.read::<i32>()? != 1 {
        return Err(StatusCode::UnexpectedNull);
    }
    reply.sized_read(|reply| {
        if has(field::V16) {
            info.name = reply.read()?;
        }
        info.cid = reply.read()?;
        info.temporaryDirectory = reply.read()?;
        info.requesterUid = reply.read()?;
        info.requesterPid = reply.read()?;
        if has(field::QPR1) {
            info.hostConsoleName = reply.read()?;
        }
        if has(field::V17_1) {
            info.instanceId = reply.read()?;
        }
        Ok(())
    })?;
    Ok(info)
}
