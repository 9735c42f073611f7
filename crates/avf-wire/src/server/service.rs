// SPDX-License-Identifier: Apache-2.0
//! `IVirtualizationService` for clients of every release.

use super::debug_info::DebugInfo;
use super::objects::Received;
use super::{Machine, answer, answer_nothing, machine, resolve, unsupported};
use crate::interfaces::{SERVICE, ServiceMethod};
use crate::read::{CreateVm, create_vm};
use crate::recognise::Wire;
use crate::release::Layout;
use avf_aidl::service::{
    AssignableDevice, BpVirtualizationService, PartitionType, VirtualMachineDebugInfo,
};
use rsbinder::{
    Binder, BinderResult, ExceptionCode, Interface, Parcel, ParcelFileDescriptor, Proxy, Remotable,
    SIBinder, StatusCode, TransactionCode,
};
use std::io::Write;
use std::sync::Arc;

/// What a client may ask of its manager, in the newest release's types.
///
/// Each method answers with the exceptions of the interface's contract. What a server does not have is
/// refused with UNSUPPORTED_OPERATION.
#[expect(
    missing_docs,
    reason = "the methods are the interface's own; see the .aidl files"
)]
pub trait Service: Send + Sync {
    fn create_vm(&self, arguments: &CreateVm) -> BinderResult<Arc<dyn Machine>>;
    fn allocate_instance_id(&self) -> BinderResult<[u8; 64]> {
        unsupported("allocateInstanceId")
    }
    fn initialize_writable_partition(
        &self,
        _image: &ParcelFileDescriptor,
        _size_bytes: i64,
        _kind: PartitionType,
    ) -> BinderResult<()> {
        unsupported("initializeWritablePartition")
    }
    fn set_encrypted_storage_size(
        &self,
        _image: &ParcelFileDescriptor,
        _size: i64,
    ) -> BinderResult<()> {
        unsupported("setEncryptedStorageSize")
    }
    fn create_or_update_idsig_file(
        &self,
        _input: &ParcelFileDescriptor,
        _idsig: &ParcelFileDescriptor,
    ) -> BinderResult<()> {
        unsupported("createOrUpdateIdsigFile")
    }
    fn debug_list_vms(&self) -> BinderResult<Vec<VirtualMachineDebugInfo>> {
        unsupported("debugListVms")
    }
    fn assignable_devices(&self) -> BinderResult<Vec<AssignableDevice>> {
        unsupported("getAssignableDevices")
    }
    fn supported_os_list(&self) -> BinderResult<Vec<String>> {
        unsupported("getSupportedOSList")
    }
    fn debug_policy(&self) -> BinderResult<String> {
        unsupported("getDebugPolicy")
    }
    fn is_feature_enabled(&self, _feature: &str) -> BinderResult<bool> {
        unsupported("isFeatureEnabled")
    }
    fn enable_test_attestation(&self) -> BinderResult<()> {
        unsupported("enableTestAttestation")
    }
    fn is_remote_attestation_supported(&self) -> BinderResult<bool> {
        unsupported("isRemoteAttestationSupported")
    }
    fn is_updatable_vm_supported(&self) -> BinderResult<bool> {
        unsupported("isUpdatableVmSupported")
    }
    fn remove_vm_instance(&self, _instance_id: &[u8; 64]) -> BinderResult<()> {
        unsupported("removeVmInstance")
    }
    fn claim_vm_instance(&self, _instance_id: &[u8; 64]) -> BinderResult<()> {
        unsupported("claimVmInstance")
    }
    fn start_or_stop_adbd(&self, _cid: i32, _start: bool) -> BinderResult<()> {
        unsupported("startOrStopAdbd")
    }
    fn request_shutdown(&self) -> BinderResult<()> {
        unsupported("requestShutdown")
    }
}

/// The binder object of `server` for one client.
#[must_use]
pub fn service(server: Box<dyn Service>, wire: Arc<Wire>) -> SIBinder {
    Binder::new(ServiceObject { server, wire }).as_binder()
}

struct ServiceObject {
    server: Box<dyn Service>,
    wire: Arc<Wire>,
}

impl ServiceObject {
    fn create_vm(
        &self,
        words: &[u32],
        layout: &'static Layout,
        arguments: &mut Parcel,
    ) -> BinderResult<SIBinder> {
        let mut objects = Received {
            start: arguments.data_position(),
            parcel: arguments,
            failed: None,
        };
        let (read, _) = create_vm(words, layout, &mut objects);
        if let Some(status) = objects.failed {
            let text = format!("cannot take the objects of createVm's arguments: {status}");
            return Err((ExceptionCode::BadParcelable, text.as_str()).into());
        }
        let arguments = read.map_err(|stop| {
            let text = format!("createVm: {stop}");
            rsbinder::Status::from((ExceptionCode::BadParcelable, text.as_str()))
        })?;
        let vm = self.server.create_vm(&arguments)?;
        Ok(machine(vm, Arc::clone(&self.wire)))
    }
}

impl Remotable for ServiceObject {
    fn descriptor() -> &'static str {
        BpVirtualizationService::descriptor()
    }

    fn on_transact(
        &self,
        code: TransactionCode,
        arguments: &mut Parcel,
        reply: &mut Parcel,
    ) -> Result<(), StatusCode> {
        let Some((call, words)) = resolve(&self.wire, &SERVICE, code, arguments, reply)? else {
            return Ok(());
        };
        let server = &*self.server;
        match call.method.method {
            ServiceMethod::CreateVm => {
                answer(reply, &self.create_vm(&words, call.layout, arguments))
            }
            ServiceMethod::AllocateInstanceId => answer(reply, &server.allocate_instance_id()),
            ServiceMethod::InitializeWritablePartition => {
                let image = arguments.read()?;
                let (size, kind) = (arguments.read()?, arguments.read()?);
                answer_nothing(
                    reply,
                    server.initialize_writable_partition(&image, size, kind),
                )
            }
            ServiceMethod::SetEncryptedStorageSize => {
                let image = arguments.read()?;
                let size = arguments.read()?;
                answer_nothing(reply, server.set_encrypted_storage_size(&image, size))
            }
            ServiceMethod::CreateOrUpdateIdsigFile => {
                let input = arguments.read()?;
                let idsig = arguments.read()?;
                answer_nothing(reply, server.create_or_update_idsig_file(&input, &idsig))
            }
            ServiceMethod::DebugListVms => {
                let listed = server.debug_list_vms();
                let listed = listed.as_ref().map(|vms| {
                    let form = |info| DebugInfo {
                        info,
                        layout: call.layout,
                    };
                    vms.iter().map(form).collect::<Vec<_>>()
                });
                answer(reply, &listed.map_err(Clone::clone))
            }
            ServiceMethod::GetAssignableDevices => answer(reply, &server.assignable_devices()),
            ServiceMethod::GetSupportedOsList => answer(reply, &server.supported_os_list()),
            ServiceMethod::GetDebugPolicy => answer(reply, &server.debug_policy()),
            ServiceMethod::IsFeatureEnabled => {
                let feature: String = arguments.read()?;
                answer(reply, &server.is_feature_enabled(&feature))
            }
            ServiceMethod::EnableTestAttestation => {
                answer_nothing(reply, server.enable_test_attestation())
            }
            ServiceMethod::IsRemoteAttestationSupported => {
                answer(reply, &server.is_remote_attestation_supported())
            }
            ServiceMethod::IsUpdatableVmSupported => {
                answer(reply, &server.is_updatable_vm_supported())
            }
            ServiceMethod::RemoveVmInstance => {
                answer_nothing(reply, server.remove_vm_instance(&arguments.read()?))
            }
            ServiceMethod::ClaimVmInstance => {
                answer_nothing(reply, server.claim_vm_instance(&arguments.read()?))
            }
            ServiceMethod::StartOrStopAdbd => {
                let (cid, start) = (arguments.read()?, arguments.read()?);
                answer_nothing(reply, server.start_or_stop_adbd(cid, start))
            }
            ServiceMethod::RequestShutdown => answer_nothing(reply, server.request_shutdown()),
        }
    }

    fn on_dump(&self, _writer: &mut dyn Write, _args: &[String]) -> Result<(), StatusCode> {
        Ok(())
    }
}
