// SPDX-License-Identifier: Apache-2.0
//! Calls of the global service, in the form of the release that is spoken.

use super::{Form, Method, Release, Wire, info};
use avf_aidl::common::atom::{VmBooted, VmCreationRequested, VmExited};
use avf_aidl::common::{Atom, Certificate};
use avf_aidl::global::{
    AtomVmBooted, AtomVmCreationRequested, AtomVmExited, IBoundDevice, IGlobalVmContext, VmContext,
};
use avf_aidl::service::{AssignableDevice, VirtualMachineDebugInfo};
use rsbinder::{
    BinderResult, Deserialize, ExceptionCode, FLAG_CLEAR_BUF, FLAG_PRIVATE_LOCAL, Parcel,
    ParcelFileDescriptor, Result, SIBinder, Status, StatusCode, Strong,
};
use std::fmt;

/// A context, as the service's form has it.
pub enum Allocated {
    /// An object: dropping it gives the context back.
    Object(Strong<dyn IGlobalVmContext>),
    /// Numbers: to be registered with [`Internal::register_vm`], and unregistered.
    Plain(VmContext),
}

impl fmt::Debug for Allocated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Object(_) => "Object",
            Self::Plain(_) => "Plain",
        })
    }
}

/// The global service's object.
#[derive(Clone)]
pub struct Internal {
    object: SIBinder,
    wire: Wire,
}

impl fmt::Debug for Internal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Internal")
            .field("wire", &self.wire)
            .finish_non_exhaustive()
    }
}

impl Internal {
    /// The service's `object`, to be spoken to in the form of `wire`.
    #[must_use]
    pub fn new(object: SIBinder, wire: Wire) -> Self {
        Self { object, wire }
    }

    /// The form that is spoken.
    #[must_use]
    pub fn form(&self) -> Form {
        self.wire.release.into()
    }

    fn call<T>(
        &self,
        method: Method,
        write: impl FnOnce(&mut Parcel) -> Result<()>,
        read: impl FnOnce(&mut Parcel) -> Result<T>,
    ) -> BinderResult<T> {
        let form = self.form();
        let code = form.code(method).ok_or_else(|| {
            let text = format!("the global service of {form} has no {}", method.name());
            Status::from((ExceptionCode::UnsupportedOperation, text.as_str()))
        })?;
        let remote = self.object.as_remote().ok_or(StatusCode::BadType)?;
        let mut data = remote.prepare_transact(true)?;
        write(&mut data)?;
        let reply = remote.submit_transact(code, &data, FLAG_CLEAR_BUF | FLAG_PRIVATE_LOCAL)?;
        let mut reply = reply.ok_or(StatusCode::UnexpectedNull)?;
        let status: Status = reply.read()?;
        if !status.is_ok() {
            return Err(status);
        }
        Ok(read(&mut reply)?)
    }

    fn tell(
        &self,
        method: Method,
        write: impl FnOnce(&mut Parcel) -> Result<()>,
    ) -> BinderResult<()> {
        self.call(method, write, |_| Ok(()))
    }

    fn get<T: Deserialize>(&self, method: Method) -> BinderResult<T> {
        self.call(method, |_| Ok(()), Parcel::read)
    }

    /// Lets a service that serves several forms know which one this is, by a call that only this form
    /// has and that changes nothing.
    pub fn introduce(&self) {
        let told = match self.form() {
            // The list may be for others only: the call alone tells.
            Form::Android15 | Form::Android16 => self.debug_list_vms().map(drop),
            // No VM has this CID.
            Form::Late16 => self.unregister_vm(0),
        };
        if let Err(e) = told {
            log::debug!("the global service was told the form of its interface: {e}");
        }
    }

    /// See `removeMemlockRlimit`.
    ///
    /// # Errors
    /// As the service says.
    pub fn remove_memlock_rlimit(&self) -> BinderResult<()> {
        self.tell(Method::RemoveMemlockRlimit, |_| Ok(()))
    }

    /// A CID and a directory for the VM `name` of the process `pid`.
    ///
    /// # Errors
    /// As the service says.
    pub fn allocate(&self, name: &str, pid: i32) -> BinderResult<Allocated> {
        let object = |parcel: &mut Parcel| parcel.read().map(Allocated::Object);
        match self.form() {
            Form::Android15 => self.call(Method::AllocateContext, |data| data.write(&pid), object),
            Form::Android16 => self.call(
                Method::AllocateNamedContext,
                |data| {
                    data.write(name)?;
                    data.write(&pid)
                },
                object,
            ),
            Form::Late16 => self.get(Method::AllocateVmContext).map(Allocated::Plain),
        }
    }

    /// Makes the VM with this CID known.
    ///
    /// # Errors
    /// As the service says.
    pub fn register_vm(&self, cid: i32, vm: &SIBinder) -> BinderResult<()> {
        self.tell(Method::RegisterVirtualMachine, |data| {
            data.write(&cid)?;
            data.write(vm)
        })
    }

    /// The VM with this CID is gone.
    ///
    /// # Errors
    /// As the service says.
    pub fn unregister_vm(&self, cid: i32) -> BinderResult<()> {
        self.tell(Method::UnregisterVirtualMachine, |data| data.write(&cid))
    }

    /// From Android 17 on, VMs' own events are passed on like those of guests.
    fn has_events(&self) -> bool {
        self.wire.release >= Release::V17
    }

    fn forward(&self, event: &Atom, uid: i32, name: &str) -> BinderResult<()> {
        self.tell(Method::ForwardAtom, |data| {
            data.write(event)?;
            data.write(&uid)?;
            data.write(name)
        })
    }

    /// See `atomVmBooted`.
    ///
    /// # Errors
    /// As the service says.
    pub fn atom_vm_booted(&self, atom: &AtomVmBooted) -> BinderResult<()> {
        if self.has_events() {
            let event = Atom::VmBooted(VmBooted {
                elapsedTimeMillis: atom.elapsedTimeMillis,
            });
            return self.forward(&event, atom.uid, &atom.vmIdentifier);
        }
        self.tell(Method::AtomVmBooted, |data| data.write(atom))
    }

    /// See `atomVmCreationRequested`.
    ///
    /// # Errors
    /// As the service says.
    pub fn atom_vm_creation_requested(&self, atom: &AtomVmCreationRequested) -> BinderResult<()> {
        if self.has_events() {
            let event = Atom::VmCreationRequested(VmCreationRequested {
                isProtected: atom.isProtected,
                creationSucceeded: atom.creationSucceeded,
                binderExceptionCode: atom.binderExceptionCode,
                configType: atom.configType,
                numCpus: atom.numCpus,
                memoryMib: atom.memoryMib,
                apexes: atom.apexes.clone(),
            });
            return self.forward(&event, atom.uid, &atom.vmIdentifier);
        }
        self.tell(Method::AtomVmCreationRequested, |data| data.write(atom))
    }

    /// See `atomVmExited`.
    ///
    /// # Errors
    /// As the service says.
    pub fn atom_vm_exited(&self, atom: &AtomVmExited) -> BinderResult<()> {
        if self.has_events() {
            let event = Atom::VmExited(VmExited {
                deathReason: atom.deathReason,
                exitSignal: atom.exitSignal,
                elapsedTimeMillis: atom.elapsedTimeMillis,
                guestTimeMillis: atom.guestTimeMillis,
                rssKb: atom.rssVmKb.saturating_add(atom.rssCrosvmKb),
            });
            return self.forward(&event, atom.uid, &atom.vmIdentifier);
        }
        self.tell(Method::AtomVmExited, |data| data.write(atom))
    }

    /// Passes an event of a guest on.
    ///
    /// # Errors
    /// As the service says; UNSUPPORTED_OPERATION before Android 16 QPR2.
    pub fn forward_atom(&self, event: &Atom, uid: i32, name: &str) -> BinderResult<()> {
        self.forward(event, uid, name)
    }

    /// See `debugListVms`.
    ///
    /// # Errors
    /// As the service says.
    pub fn debug_list_vms(&self) -> BinderResult<Vec<VirtualMachineDebugInfo>> {
        let form = self.form();
        self.call(
            Method::DebugListVms,
            |_| Ok(()),
            |reply| info::read(reply, form),
        )
    }

    /// See `requestAttestation`.
    ///
    /// # Errors
    /// As the service says.
    pub fn request_attestation(
        &self,
        csr: &[u8],
        uid: i32,
        test_mode: bool,
    ) -> BinderResult<Vec<Certificate>> {
        self.call(
            Method::RequestAttestation,
            |data| {
                data.write(csr)?;
                data.write(&uid)?;
                data.write(&test_mode)
            },
            Parcel::read,
        )
    }

    /// See `enableTestAttestation`.
    ///
    /// # Errors
    /// As the service says.
    pub fn enable_test_attestation(&self) -> BinderResult<()> {
        self.tell(Method::EnableTestAttestation, |_| Ok(()))
    }

    /// See `isRemoteAttestationSupported`.
    ///
    /// # Errors
    /// As the service says.
    pub fn is_remote_attestation_supported(&self) -> BinderResult<bool> {
        self.get(Method::IsRemoteAttestationSupported)
    }

    /// See `getAssignableDevices`.
    ///
    /// # Errors
    /// As the service says.
    pub fn assignable_devices(&self) -> BinderResult<Vec<AssignableDevice>> {
        self.get(Method::GetAssignableDevices)
    }

    /// See `bindDevicesToVfioDriver`.
    ///
    /// # Errors
    /// As the service says.
    pub fn bind_devices(&self, devices: &[String]) -> BinderResult<Vec<Strong<dyn IBoundDevice>>> {
        self.call(
            Method::BindDevicesToVfioDriver,
            |data| data.write(devices),
            Parcel::read,
        )
    }

    /// See `getDtboFile`.
    ///
    /// # Errors
    /// As the service says.
    pub fn dtbo_file(&self) -> BinderResult<ParcelFileDescriptor> {
        self.get(Method::GetDtboFile)
    }

    /// See `allocateInstanceId`.
    ///
    /// # Errors
    /// As the service says.
    pub fn allocate_instance_id(&self) -> BinderResult<[u8; 64]> {
        self.get(Method::AllocateInstanceId)
    }

    /// See `removeVmInstance`.
    ///
    /// # Errors
    /// As the service says.
    pub fn remove_vm_instance(&self, id: &[u8; 64]) -> BinderResult<()> {
        self.tell(Method::RemoveVmInstance, |data| data.write(id))
    }

    /// See `claimVmInstance`.
    ///
    /// # Errors
    /// As the service says.
    pub fn claim_vm_instance(&self, id: &[u8; 64]) -> BinderResult<()> {
        self.tell(Method::ClaimVmInstance, |data| data.write(id))
    }

    /// See `claimSecretkeeperEntry`.
    ///
    /// # Errors
    /// As the service says; UNSUPPORTED_OPERATION before Android 16.
    pub fn claim_secretkeeper_entry(&self, id: &[u8; 64]) -> BinderResult<()> {
        self.tell(Method::ClaimSecretkeeperEntry, |data| data.write(id))
    }

    /// See `setDisplayService`.
    ///
    /// # Errors
    /// As the service says.
    pub fn set_display_service(&self, display: &SIBinder) -> BinderResult<()> {
        self.tell(Method::SetDisplayService, |data| data.write(display))
    }

    /// See `clearDisplayService`.
    ///
    /// # Errors
    /// As the service says.
    pub fn clear_display_service(&self) -> BinderResult<()> {
        self.tell(Method::ClearDisplayService, |_| Ok(()))
    }

    /// See `waitDisplayService`.
    ///
    /// # Errors
    /// As the service says.
    pub fn wait_display_service(&self) -> BinderResult<SIBinder> {
        self.get(Method::WaitDisplayService)
    }

    /// See `createTapInterface`.
    ///
    /// # Errors
    /// As the service says.
    pub fn create_tap_interface(&self, suffix: &str) -> BinderResult<ParcelFileDescriptor> {
        self.call(
            Method::CreateTapInterface,
            |data| data.write(suffix),
            Parcel::read,
        )
    }

    /// See `deleteTapInterface`.
    ///
    /// # Errors
    /// As the service says.
    pub fn delete_tap_interface(&self, tap: &ParcelFileDescriptor) -> BinderResult<()> {
        self.tell(Method::DeleteTapInterface, |data| data.write(tap))
    }
}
