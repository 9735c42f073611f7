// SPDX-License-Identifier: Apache-2.0
//! `IVirtualizationServiceInternal` of every release: finds out what a call is, reads its arguments,
//! and answers in the caller's form.

use crate::callers::{Callers, Forms, Refusal};
use crate::service::{Service, caller};
use crate::status::illegal_argument;
use avf_aidl::common::Atom;
use avf_aidl::global::{AtomVmBooted, AtomVmCreationRequested, AtomVmExited};
use rsbinder::{
    BinderResult, Interface, Parcel, ParcelFileDescriptor, Remotable, Result, SIBinder, Serialize,
    Status, StatusCode, TransactionCode,
};
use service_client::wire::{DESCRIPTOR, Form, Method, Wire, fits, write_debug_infos};
use std::io::Write;

/// The binder object.
pub(crate) struct Dispatch {
    service: Service,
    callers: Callers,
}

impl Dispatch {
    /// `service`, for callers of any release; `wire` is that of those who do not show it.
    pub(crate) fn new(service: Service, wire: Wire) -> Self {
        Self {
            service,
            callers: Callers::new(wire),
        }
    }

    /// Which method of which form a call is.
    fn recognise(&self, code: u32, reader: &mut Parcel) -> BinderResult<(Form, Method)> {
        let fitting = Forms::filter(|form| {
            form.method(code)
                .is_some_and(|method| fits(reader, method.arguments()))
        });
        if fitting.is_empty() {
            return Err(illegal_argument(&misfit(code, reader.data_avail())));
        }
        let form = self
            .callers
            .decide(caller(), code, fitting)
            .map_err(|e: Refusal| {
                log::warn!("{e}");
                illegal_argument(&e.to_string())
            })?;
        // It has the method, or it would not be fitting.
        let method = form.method(code).ok_or(StatusCode::UnknownTransaction)?;
        Ok((form, method))
    }

    fn call(&self, code: u32, reader: &mut Parcel) -> BinderResult<Answer> {
        let (form, method) = self.recognise(code, reader)?;
        let service = &self.service;
        Ok(match method {
            Method::RemoveMemlockRlimit => Answer::nothing(service.remove_memlock_rlimit()?),
            Method::AllocateContext => Answer::of(service.allocate_context("", reader.read()?)?),
            Method::AllocateNamedContext => {
                let name: String = reader.read()?;
                Answer::of(service.allocate_context(&name, reader.read()?)?)
            }
            Method::AllocateVmContext => Answer::of(service.allocate_vm_context()?),
            Method::RegisterVirtualMachine => {
                let cid = reader.read()?;
                let vm: SIBinder = reader.read()?;
                Answer::nothing(service.register_virtual_machine(cid, vm)?)
            }
            Method::UnregisterVirtualMachine => {
                Answer::nothing(service.unregister_virtual_machine(reader.read()?)?)
            }
            Method::AtomVmBooted => {
                let atom: AtomVmBooted = reader.read()?;
                Answer::nothing(service.atom_vm_booted(&atom)?)
            }
            Method::AtomVmCreationRequested => {
                let atom: AtomVmCreationRequested = reader.read()?;
                Answer::nothing(service.atom_vm_creation_requested(&atom)?)
            }
            Method::AtomVmExited => {
                let atom: AtomVmExited = reader.read()?;
                Answer::nothing(service.atom_vm_exited(&atom)?)
            }
            Method::ForwardAtom => {
                let atom: Atom = reader.read()?;
                let uid = reader.read()?;
                let name: String = reader.read()?;
                Answer::nothing(service.forward_atom(&atom, uid, &name)?)
            }
            Method::DebugListVms => {
                let list = service.debug_list_vms()?;
                Answer(Box::new(move |reply| write_debug_infos(reply, form, &list)))
            }
            Method::RequestAttestation => {
                let csr: Vec<u8> = reader.read()?;
                let uid = reader.read()?;
                Answer::of(service.request_attestation(&csr, uid, reader.read()?)?)
            }
            Method::EnableTestAttestation => Answer::nothing(service.enable_test_attestation()?),
            Method::IsRemoteAttestationSupported => {
                Answer::of(service.is_remote_attestation_supported()?)
            }
            Method::GetAssignableDevices => Answer::of(service.assignable_devices()?),
            Method::BindDevicesToVfioDriver => {
                let devices: Vec<String> = reader.read()?;
                Answer::of(service.bind_devices(&devices)?)
            }
            Method::GetDtboFile => Answer::of(service.dtbo_file()?),
            Method::AllocateInstanceId => Answer::of(service.allocate_instance_id()?),
            Method::RemoveVmInstance => {
                Answer::nothing(service.remove_vm_instance(&reader.read()?)?)
            }
            Method::ClaimVmInstance => Answer::nothing(service.claim_vm_instance(&reader.read()?)?),
            Method::ClaimSecretkeeperEntry => {
                Answer::nothing(service.claim_secretkeeper_entry(&reader.read()?)?)
            }
            Method::SetDisplayService => {
                Answer::nothing(service.set_display_service(reader.read()?)?)
            }
            Method::ClearDisplayService => Answer::nothing(service.clear_display_service()?),
            Method::WaitDisplayService => Answer::of(service.wait_display_service()?),
            Method::CreateTapInterface => {
                let suffix: String = reader.read()?;
                Answer::of(service.create_tap_interface(&suffix)?)
            }
            Method::DeleteTapInterface => {
                let tap: ParcelFileDescriptor = reader.read()?;
                Answer::nothing(service.delete_tap_interface(&tap)?)
            }
        })
    }
}

impl Remotable for Dispatch {
    fn descriptor() -> &'static str {
        DESCRIPTOR
    }

    fn on_transact(
        &self,
        code: TransactionCode,
        reader: &mut Parcel,
        reply: &mut Parcel,
    ) -> Result<()> {
        if Form::ALL.iter().all(|form| form.method(code).is_none()) {
            return Err(StatusCode::UnknownTransaction);
        }
        match self.call(code, reader) {
            Ok(answer) => {
                reply.write(&Status::from(StatusCode::Ok))?;
                (answer.0)(reply)
            }
            Err(status) => reply.write(&status),
        }
    }

    fn on_dump(&self, writer: &mut dyn Write, args: &[String]) -> Result<()> {
        self.service.dump(writer, args)
    }
}

type Writing = dyn FnOnce(&mut Parcel) -> Result<()>;

/// What follows the status in an answer.
struct Answer(Box<Writing>);

impl Answer {
    fn nothing((): ()) -> Self {
        Self(Box::new(|_| Ok(())))
    }

    fn of(value: impl Serialize + 'static) -> Self {
        Self(Box::new(move |reply| reply.write(&value)))
    }
}

/// What is wrong with a call of `size` bytes that is of no form.
fn misfit(code: u32, size: usize) -> String {
    let mut tried: Vec<String> = Vec::new();
    for form in Form::ALL {
        if let Some(method) = form.method(code) {
            tried.push(format!("{} of {form}", method.name()));
        }
    }
    format!(
        "cannot read call {code}: its {size} bytes are not the arguments of {}; call this service from a \
         manager of one of these releases",
        tried.join(", nor of ")
    )
}
