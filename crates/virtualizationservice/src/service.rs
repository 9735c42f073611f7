// SPDX-License-Identifier: Apache-2.0
//! What the managers call, in the newest release's types; `dispatch` has the calls themselves.

use crate::atoms::Atoms;
use crate::contexts::{Context, Contexts, Error as ContextError};
use crate::display::{Display, Error as DisplayError};
use crate::instances::{Error as InstanceError, Instances};
use crate::paths::Paths;
use crate::registrations::{Error as RegistrationError, Registrations};
use crate::status::{exception, failure, illegal_argument, unsupported};
use crate::vfio::{Bound, Error as VfioError, Vfio};
use crate::{cids, dtbo, tap};
use avf_aidl::common::{Atom, Certificate};
use avf_aidl::global::{
    AtomVmBooted, AtomVmCreationRequested, AtomVmExited, BnBoundDevice, BnGlobalVmContext,
    IBoundDevice, IGlobalVmContext, VmContext as PlainContext,
};
use avf_aidl::service::{AssignableDevice, VirtualMachineDebugInfo};
use host::{chain, printable};
use permissions::{Authority, Caller, Permission};
use rsbinder::{
    BinderResult, ExceptionCode, Interface, ParcelFileDescriptor, SIBinder, Status, Strong,
};
use rustix::process::{Pid, PidfdFlags, Resource, Rlimit, pidfd_open, prlimit};
use service_client::wire::Release;
use std::io::Write;
use std::sync::Arc;

/// The longest name of a terminal.
const LONGEST_NAME: usize = 4095;

/// The process whose call is being answered, as the kernel vouches for it.
pub(crate) fn caller() -> Caller {
    Caller {
        uid: rsbinder::get_calling_uid(),
        pid: rsbinder::get_calling_pid(),
    }
}

/// The service behind the binder object.
pub(crate) struct Service {
    pub(crate) paths: Paths,
    pub(crate) authority: Box<dyn Authority>,
    pub(crate) contexts: Arc<Contexts>,
    pub(crate) registrations: Arc<Registrations>,
    /// The release of the callers' VMs, if it was named.
    pub(crate) release: Option<Release>,
    pub(crate) instances: Arc<Instances>,
    pub(crate) atoms: Atoms,
    pub(crate) vfio: Arc<Vfio>,
    pub(crate) display: Arc<Display<SIBinder>>,
    pub(crate) has_remote_provisioning: bool,
}

impl Service {
    /// The caller, if it has all of these permissions.
    fn authorize(&self, permissions: &[Permission]) -> BinderResult<Caller> {
        let caller = caller();
        for permission in permissions {
            self.authority
                .check(*permission, &caller)
                .map_err(|e| exception(ExceptionCode::Security, &chain(&e)))?;
        }
        Ok(caller)
    }

    /// Checks that an atom is about the caller's own VM.
    fn authorize_atom(&self, uid: i32) -> BinderResult<()> {
        let caller = self.authorize(&[Permission::Manage])?;
        if caller.uid == 0 || caller.uid == uid.cast_unsigned() {
            return Ok(());
        }
        let text = format!("user {} counts a VM of user {uid}", caller.uid);
        Err(exception(ExceptionCode::Security, &text))
    }

    /// A display service crosses from one process to another in the kernel's binder only: over sockets
    /// an object of one connection means nothing to another.
    fn authorize_display(&self) -> BinderResult<Caller> {
        if matches!(rsbinder::calling_caller(), Some(rsbinder::Caller::Rpc(_))) {
            return Err(unsupported(
                "a display service can be handed over on kernel binder only, not over a socket",
            ));
        }
        self.authorize(&[Permission::Manage, Permission::Custom])
    }
}

impl Interface for Service {
    fn dump(&self, writer: &mut dyn Write, _: &[String]) -> rsbinder::Result<()> {
        if self.authorize(&[Permission::Dump]).is_err() {
            return Err(rsbinder::StatusCode::PermissionDenied);
        }
        let vms = self.contexts.list();
        let mut text = format!(
            "VMs: {}, CIDs {} to {}\n",
            vms.len(),
            cid::CIDS.start(),
            cid::CIDS.end()
        );
        for vm in vms {
            text.push_str(&format!(
                "  CID {} user {} process {} console {} directory {}{}\n",
                vm.cid,
                vm.uid,
                vm.pid,
                vm.console.as_deref().unwrap_or("-"),
                vm.directory.display(),
                if vm.is_live {
                    ""
                } else {
                    " (left to its manager)"
                },
            ));
        }
        text.push_str(&format!(
            "waiting for a display service: {}\n",
            self.display.waiting()
        ));
        Ok(writer.write_all(text.as_bytes())?)
    }
}

/// The methods of the interface.
impl Service {
    pub(crate) fn remove_memlock_rlimit(&self) -> BinderResult<()> {
        let caller = self.authorize(&[Permission::Manage])?;
        lift_memory_lock_limit(caller).map_err(|e| {
            let text = format!("lift the limit on locked memory of process {}", caller.pid);
            failure(&text, &e)
        })
    }

    pub(crate) fn allocate_context(
        &self,
        name: &str,
        pid: i32,
    ) -> BinderResult<Strong<dyn IGlobalVmContext>> {
        let caller = self.authorize(&[Permission::Manage])?;
        if pid <= 0 {
            return Err(illegal_argument(&format!(
                "requesterDebugPid {pid} is not a process"
            )));
        }
        let context = self.allocate("allocateGlobalVmContext", caller, pid, name)?;
        Ok(BnGlobalVmContext::new_binder(VmContext { context }))
    }

    pub(crate) fn allocate_vm_context(&self) -> BinderResult<PlainContext> {
        let caller = self.authorize(&[Permission::Manage])?;
        let context = self.allocate("allocateVmContext", caller, caller.pid, "")?;
        let plain = PlainContext {
            cid: context.cid().cast_signed(),
            tempDir: context.directory().to_string_lossy().into_owned(),
        };
        self.registrations.keep(context, caller);
        Ok(plain)
    }

    fn allocate(
        &self,
        method: &str,
        caller: Caller,
        pid: i32,
        name: &str,
    ) -> BinderResult<Context> {
        self.registrations.look_at_processes();
        let context = self
            .contexts
            .allocate(caller.uid, pid, name)
            .map_err(|e| match e {
                ContextError::Cid(cids::Error::NoneFree) | ContextError::TooMany { .. } => {
                    log::error!("{method}: {e}");
                    exception(ExceptionCode::IllegalState, &e.to_string())
                }
                e => failure(method, &e),
            })?;
        log::debug!(
            "CID {} for process {pid} of user {}",
            context.cid(),
            caller.uid
        );
        Ok(context)
    }

    pub(crate) fn register_virtual_machine(&self, cid: i32, vm: SIBinder) -> BinderResult<()> {
        let caller = self.authorize(&[Permission::Manage])?;
        self.registrations
            .register(&self.contexts, cid, vm, caller)
            .map_err(|e| match e {
                RegistrationError::NotTheirs { .. } => {
                    exception(ExceptionCode::Security, &e.to_string())
                }
                RegistrationError::Gone { .. } => {
                    exception(ExceptionCode::IllegalState, &e.to_string())
                }
            })
    }

    pub(crate) fn unregister_virtual_machine(&self, cid: i32) -> BinderResult<()> {
        let caller = self.authorize(&[Permission::Manage])?;
        if self.registrations.unregister(cid, caller) {
            return Ok(());
        }
        let text = format!(
            "cannot unregister the VM with the CID {cid}: it is not of user {}",
            caller.uid
        );
        Err(exception(ExceptionCode::Security, &text))
    }

    pub(crate) fn atom_vm_booted(&self, atom: &AtomVmBooted) -> BinderResult<()> {
        self.authorize_atom(atom.uid)?;
        self.atoms.booted(atom);
        Ok(())
    }

    pub(crate) fn atom_vm_creation_requested(
        &self,
        atom: &AtomVmCreationRequested,
    ) -> BinderResult<()> {
        self.authorize_atom(atom.uid)?;
        self.atoms.creation_requested(atom);
        Ok(())
    }

    pub(crate) fn atom_vm_exited(&self, atom: &AtomVmExited) -> BinderResult<()> {
        self.authorize_atom(atom.uid)?;
        self.atoms.exited(atom);
        Ok(())
    }

    pub(crate) fn forward_atom(&self, atom: &Atom, uid: i32, name: &str) -> BinderResult<()> {
        self.authorize_atom(uid)?;
        self.atoms.forwarded(atom, uid, name);
        Ok(())
    }

    pub(crate) fn debug_list_vms(&self) -> BinderResult<Vec<VirtualMachineDebugInfo>> {
        self.authorize(&[Permission::Dump])?;
        self.registrations.look_at_processes();
        let mut told = self.registrations.ask(self.release);
        let vms = self.contexts.list().into_iter();
        Ok(vms
            .map(|vm| {
                let noted = VirtualMachineDebugInfo {
                    name: vm.name,
                    cid: vm.cid.cast_signed(),
                    temporaryDirectory: vm.directory.to_string_lossy().into_owned(),
                    requesterUid: vm.uid.cast_signed(),
                    requesterPid: vm.pid,
                    hostConsoleName: vm.console,
                    instanceId: [0; 64],
                };
                match told.remove(&vm.cid) {
                    // What the kernel vouches for is not taken from the manager.
                    Some(told) => VirtualMachineDebugInfo {
                        name: printable(&told.name).into_owned(),
                        requesterPid: told.requesterPid,
                        hostConsoleName: told
                            .hostConsoleName
                            .map(|console| printable(&console).into_owned()),
                        instanceId: told.instanceId,
                        ..noted
                    },
                    None => noted,
                }
            })
            .collect())
    }

    pub(crate) fn request_attestation(
        &self,
        _: &[u8],
        _: i32,
        _: bool,
    ) -> BinderResult<Vec<Certificate>> {
        self.authorize(&[Permission::Manage])?;
        Err(self.no_attestation())
    }

    pub(crate) fn enable_test_attestation(&self) -> BinderResult<()> {
        self.authorize(&[Permission::Manage])?;
        Err(self.no_attestation())
    }

    pub(crate) fn is_remote_attestation_supported(&self) -> BinderResult<bool> {
        self.authorize(&[Permission::Manage])?;
        Ok(false)
    }

    pub(crate) fn assignable_devices(&self) -> BinderResult<Vec<AssignableDevice>> {
        self.authorize(&[Permission::Custom])?;
        let devices = self
            .vfio
            .assignable()
            .map_err(|e| failure("getAssignableDevices", &e))?;
        Ok(devices
            .into_iter()
            .map(|device| AssignableDevice {
                sysfsPath: device.sysfs_path,
                dtboLabel: device.dtbo_label,
            })
            .collect())
    }

    pub(crate) fn bind_devices(
        &self,
        devices: &[String],
    ) -> BinderResult<Vec<Strong<dyn IBoundDevice>>> {
        self.authorize(&[Permission::Custom])?;
        let bound = self.vfio.bind(devices).map_err(|e| match e {
            VfioError::NotAssignable(_) => illegal_argument(&e.to_string()),
            VfioError::NoDriver(_) => unsupported(&e.to_string()),
            e => failure("bindDevicesToVfioDriver", &e),
        })?;
        Ok(bound
            .into_iter()
            .map(|bound| BnBoundDevice::new_binder(BoundDevice { bound }))
            .collect())
    }

    pub(crate) fn dtbo_file(&self) -> BinderResult<ParcelFileDescriptor> {
        self.authorize(&[Permission::Custom])?;
        match dtbo::overlay(&self.paths) {
            Ok(file) => Ok(ParcelFileDescriptor::new(file)),
            Err(e @ dtbo::Error::None) => Err(unsupported(&e.to_string())),
            Err(e) => Err(failure("getDtboFile", &e)),
        }
    }

    pub(crate) fn allocate_instance_id(&self) -> BinderResult<[u8; 64]> {
        let caller = self.authorize(&[Permission::Manage])?;
        self.instances
            .allocate(caller.uid)
            .map_err(|e| failure("allocateInstanceId", &e))
    }

    pub(crate) fn remove_vm_instance(&self, id: &[u8; 64]) -> BinderResult<()> {
        let caller = self.authorize(&[Permission::Manage])?;
        self.instances
            .remove(id, caller.uid)
            .map_err(|e| failure("removeVmInstance", &e))
    }

    pub(crate) fn claim_vm_instance(&self, id: &[u8; 64]) -> BinderResult<()> {
        self.claim("claimVmInstance", id)
    }

    fn claim(&self, method: &str, id: &[u8; 64]) -> BinderResult<()> {
        let caller = self.authorize(&[Permission::Manage])?;
        self.instances.claim(id, caller.uid).map_err(|e| match e {
            InstanceError::Foreign => exception(ExceptionCode::Security, &e.to_string()),
            e => failure(method, &e),
        })
    }

    /// Records the caller as owner of an entry in Secretkeeper, as of an instance id.
    pub(crate) fn claim_secretkeeper_entry(&self, id: &[u8; 64]) -> BinderResult<()> {
        self.claim("claimSecretkeeperEntry", id)
    }

    pub(crate) fn set_display_service(&self, service: SIBinder) -> BinderResult<()> {
        self.authorize_display()?;
        self.display.set(Some(service));
        Ok(())
    }

    pub(crate) fn clear_display_service(&self) -> BinderResult<()> {
        self.authorize_display()?;
        self.display.set(None);
        Ok(())
    }

    pub(crate) fn wait_display_service(&self) -> BinderResult<SIBinder> {
        let caller = self.authorize_display()?;
        self.display.wait(caller.pid).map_err(|e| match e {
            DisplayError::Io(_) => failure("waitDisplayService", &e),
            e => exception(ExceptionCode::IllegalState, &e.to_string()),
        })
    }

    pub(crate) fn create_tap_interface(&self, suffix: &str) -> BinderResult<ParcelFileDescriptor> {
        self.authorize(&[Permission::Internet, Permission::Custom])?;
        tap::create(self.paths.root(), suffix)
            .map(ParcelFileDescriptor::new)
            .map_err(|e| tap_status("createTapInterface", &e))
    }

    pub(crate) fn delete_tap_interface(&self, tap: &ParcelFileDescriptor) -> BinderResult<()> {
        self.authorize(&[Permission::Internet, Permission::Custom])?;
        tap::delete(tap).map_err(|e| tap_status("deleteTapInterface", &e))
    }
}

impl Service {
    fn no_attestation(&self) -> Status {
        unsupported(if self.has_remote_provisioning {
            "this device declares remote provisioning for VMs, but this service cannot use it yet"
        } else {
            "VMs cannot be certified here: no IRemotelyProvisionedComponent/avf is declared"
        })
    }
}

fn tap_status(what: &str, error: &tap::Error) -> Status {
    match error {
        tap::Error::Name { .. } | tap::Error::NotOurs(_) => illegal_argument(&error.to_string()),
        error => failure(what, error),
    }
}

/// Lets `caller` lock as much memory as there is.
fn lift_memory_lock_limit(caller: Caller) -> std::io::Result<()> {
    let no_process = || std::io::Error::from(rustix::io::Errno::SRCH);
    let pid = Pid::from_raw(caller.pid.max(0)).ok_or_else(no_process)?;
    // While this is open and the process lives, no other process has its number.
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    // It is compared with the user that the kernel vouches for.
    caller.groups().map_err(std::io::Error::other)?;
    let unlimited = Rlimit {
        current: None,
        maximum: None,
    };
    let lifted = prlimit(Some(pid), Resource::Memlock, unlimited);
    drop(process);
    match lifted {
        Ok(_) => Ok(()),
        Err(rustix::io::Errno::PERM) => Err(std::io::Error::new(
            std::io::ErrorKind::PermissionDenied,
            "the service needs CAP_SYS_RESOURCE for that, and CAP_SYS_PTRACE for other users' processes",
        )),
        Err(e) => Err(e.into()),
    }
}

/// A context, as its manager sees it.
struct VmContext {
    context: Context,
}

impl Interface for VmContext {}

impl IGlobalVmContext for VmContext {
    fn getCid(&self) -> BinderResult<i32> {
        Ok(self.context.cid().cast_signed())
    }

    fn getTemporaryDirectory(&self) -> BinderResult<String> {
        Ok(self.context.directory().to_string_lossy().into_owned())
    }

    fn setHostConsoleName(&self, name: &str) -> BinderResult<()> {
        if name.len() > LONGEST_NAME || name.chars().any(char::is_control) {
            return Err(illegal_argument(&format!(
                "the console's name must have at most {LONGEST_NAME} bytes and no control characters"
            )));
        }
        self.context
            .set_console(name)
            .map_err(|e| failure("setHostConsoleName", &e))
    }
}

/// A device, as its manager sees it.
struct BoundDevice {
    bound: Bound,
}

impl Interface for BoundDevice {}

impl IBoundDevice for BoundDevice {
    fn getSysfsPath(&self) -> BinderResult<String> {
        Ok(self.bound.device().sysfs_path.clone())
    }

    fn getDtboLabel(&self) -> BinderResult<String> {
        Ok(self.bound.device().dtbo_label.clone())
    }
}
