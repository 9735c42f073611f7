// SPDX-License-Identifier: Apache-2.0
//! Decides who may have a VM, and allocates what makes it unique on the machine.

use super::atoms::Atoms;
use super::cids::{Cids, is_taken, no_cid};
use super::context::GlobalContext;
use super::directories;
use super::global::{Global, Internal, Repeat};
use super::reporter::Reporter;
use super::resources::Resources;
use super::selection::Selection;
use crate::app_config::Platform;
use crate::capabilities::Capabilities;
use crate::client::Client;
use crate::error::{Error, Kind};
use crate::profile::{NAME, Profile};
use crate::reports::Reports;
use crate::requested::Requested;
use crate::status::{failure, unsupported};
use crate::vm::plan::Equipment;
use crate::vm::{Context, VmDirectory, vhost};
use avf_aidl::common::Certificate;
use avf_aidl::service::{AssignableDevice, VirtualMachineDebugInfo, VirtualMachineRawConfig};
use cid::CIDS;
use host::Host;
use permissions::{Authority, Caller, Controller, Permission, Policy};
use rsbinder::BinderResult;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// How many contexts of the global service are tried, if their CIDs turn out to be taken.
const TRIES: usize = 5;

/// What a VM has, apart from network and devices.
type Parts = (Resources, VmDirectory, Option<vhost::KernelVsock>);

/// A VM that its client may create.
#[derive(Debug)]
pub struct Grant {
    name: String,
}

/// The program: gives clients what they may have, each VM with a free CID.
#[derive(Debug)]
pub struct Full {
    selection: Selection,
    host: Host,
    client: Client,
    global: Arc<Global>,
    reporter: Arc<Reporter>,
    cids: Cids,
}

impl Full {
    fn check(&self, permission: Permission) -> Result<(), Error> {
        if self.client.uid() == 0 {
            return Ok(());
        }
        let denied = |e| Error::of(Kind::Security, e);
        if self.host.is_android() {
            // Makes the way to the platform's services ready.
            self.global.get()?;
            let caller = Caller {
                uid: self.client.uid(),
                pid: self.client.pid(),
            };
            return Controller::of_service_manager()
                .check(permission, &caller)
                .map_err(denied);
        }
        // This process has the user and the groups of its client, who forked it.
        let policy = Policy::of_managers(self.host.root())
            .map_err(|e| Error::failed("cannot read the permissions", e))?;
        Authority::check(&policy, permission, &Caller::this_process()).map_err(denied)
    }

    /// A CID and a directory of the global service's. A CID that is taken all the same is kept from
    /// being offered again until another one is found. None if the service has been stopped.
    fn global_parts(&self, name: &str) -> Result<Option<Parts>, Error> {
        let mut taken = Vec::new();
        for _ in 0..TRIES {
            let refused = |e| Error::refused("the global service gives no CID", e);
            let pid = self.client.pid();
            let Some((service, allocated)) = self
                .global
                .try_call(Repeat::IfUnsent, |service: &Internal| {
                    Ok((service.clone(), service.allocate(name, pid)?))
                })
                .map_err(refused)?
            else {
                return Ok(None);
            };
            let (global, reporter) = (Arc::clone(&self.global), Arc::clone(&self.reporter));
            let context =
                GlobalContext::new(service, allocated, global, reporter).map_err(refused)?;
            let (cid, path) = (context.cid(), context.directory().to_owned());
            let cid = u32::try_from(cid)
                .ok()
                .filter(|cid| CIDS.contains(cid))
                .ok_or_else(|| {
                    Error::io(
                        format!("cannot take the CID {cid} of the global service"),
                        io::Error::other("it is not one for VMs"),
                    )
                })?;
            let Some(lock) = self.cids.lock(&self.host, cid)? else {
                taken.push(context);
                continue;
            };
            let directory = VmDirectory::adopt(Path::new(&path), cid, name, pid)?;
            match vhost::reserve(cid) {
                Ok(vsock) => {
                    context.register(name, &self.client).map_err(refused)?;
                    return Ok(Some((
                        Resources::new(lock, Some(context)),
                        directory,
                        vsock,
                    )));
                }
                Err(e) if is_taken(&e) => taken.push(context),
                Err(e) => return Err(e),
            }
        }
        Err(no_cid())
    }

    /// The network and the devices that a VM wants.
    fn equip(
        &self,
        resources: &mut Resources,
        config: &VirtualMachineRawConfig,
    ) -> Result<Equipment, Error> {
        let mut equipment = Equipment::default();
        let devices = &config.deviceAssignmentConfig.devices;
        if !devices.is_empty() {
            equipment.assigned = Some(resources.devices(&self.global, devices)?);
        }
        if config.networkSupported {
            equipment.tap = Some(resources.network(&self.global, &self.reporter)?);
        }
        Ok(equipment)
    }

    fn check_instances(&self, method: &str) -> BinderResult<()> {
        self.check_use()?;
        built_with(Self::CAPABILITIES.llpvm_changes, method, "llpvm_changes")
    }
}

impl Profile for Full {
    const ABOUT: &'static str = "manages the VMs of one client";
    const CAPABILITIES: Capabilities = Capabilities::of_build("virtmgr");
    type Grant = Grant;

    fn new(host: Host, client: Client) -> Self {
        Self {
            selection: Selection::new(&host),
            global: Arc::new(Global::new(host.root().to_owned())),
            reporter: Arc::new(Reporter::new()),
            host,
            client,
            cids: Cids::new(),
        }
    }

    fn authorize(&self, requested: &Requested<'_>) -> Result<Grant, Error> {
        self.check(Permission::Manage)?;
        if requested.is_custom || requested.network {
            self.check(Permission::Custom)?;
        }
        if requested.network {
            self.check(Permission::Internet)?;
        }
        Ok(Grant {
            name: requested.name.to_owned(),
        })
    }

    fn check_use(&self) -> BinderResult<()> {
        self.check(Permission::Manage).map_err(|e| (&e).into())
    }

    fn context(&self, grant: Grant, config: &VirtualMachineRawConfig) -> Result<Context, Error> {
        let name = grant.name;
        let global = match self.global.get()? {
            Some(_) => self.global_parts(&name)?,
            None => None,
        };
        let (mut resources, directory, vsock) = match global {
            Some(parts) => parts,
            None => {
                let (lock, directory, vsock) = self.cids.take(&self.host, &self.client, &name)?;
                (Resources::new(lock, None), directory, vsock)
            }
        };
        directory
            .note_instance(&config.instanceId)
            .map_err(|e| Error::io("cannot note the VM's instance id", e))?;
        let equipment = self.equip(&mut resources, config)?;
        Ok(Context {
            name,
            cid: resources.cid(),
            vsock,
            directory,
            equipment,
            listing: resources.listing(&self.reporter),
            resources: Box::new(resources),
        })
    }

    fn platform(&self) -> &dyn Platform {
        &self.selection
    }

    fn reports(&self) -> Arc<dyn Reports> {
        let (global, reporter) = (Arc::clone(&self.global), Arc::clone(&self.reporter));
        Arc::new(Atoms::new(global, reporter, self.client.uid()))
    }

    /// The global service's, which remembers it; without one, 64 random bytes.
    fn allocate_instance_id(&self) -> BinderResult<[u8; 64]> {
        self.check_instances("allocateInstanceId")?;
        if let Some(id) = self
            .global
            .try_call(Repeat::IfUnsent, |service| service.allocate_instance_id())?
        {
            return Ok(id);
        }
        let mut id = [0; 64];
        getrandom::fill(&mut id).map_err(|e| failure(&e))?;
        Ok(id)
    }

    fn remove_instance(&self, id: &[u8; 64]) -> BinderResult<()> {
        self.check_instances("removeVmInstance")?;
        self.global
            .call("removeVmInstance", Repeat::IfUnanswered, |service| {
                service.remove_vm_instance(id)
            })
    }

    fn claim_instance(&self, id: &[u8; 64]) -> BinderResult<()> {
        self.check_instances("claimVmInstance")?;
        self.global
            .call("claimVmInstance", Repeat::IfUnanswered, |service| {
                service.claim_vm_instance(id)
            })
    }

    fn check_host_console_names() -> BinderResult<()> {
        Ok(())
    }

    /// The VMs that the global service knows, and those whose directories this user can read: the
    /// service need not run, and does not know VMs that were created without it.
    fn debug_list_vms(&self) -> BinderResult<Vec<VirtualMachineDebugInfo>> {
        let known = self
            .global
            .try_call(Repeat::IfUnanswered, |service| service.debug_list_vms())?;
        let mut all = known.unwrap_or_default();
        for vm in directories::list(&self.host) {
            match all.iter_mut().find(|other| other.cid == vm.cid) {
                Some(known) => directories::complete(known, vm),
                None => all.push(vm),
            }
        }
        Ok(all)
    }

    /// The devices that the global service can give to VMs; none without it.
    fn assignable_devices(&self) -> BinderResult<Vec<AssignableDevice>> {
        self.check(Permission::Custom)
            .map_err(|e| rsbinder::Status::from(&e))?;
        built_with(
            Self::CAPABILITIES.device_assignment,
            "getAssignableDevices",
            "device_assignment",
        )?;
        self.global
            .call("getAssignableDevices", Repeat::IfUnanswered, |service| {
                service.assignable_devices()
            })
    }

    fn enable_test_attestation(&self) -> BinderResult<()> {
        self.check(Permission::Custom)
            .map_err(|e| rsbinder::Status::from(&e))?;
        check_attestation("enableTestAttestation")?;
        self.global
            .call("enableTestAttestation", Repeat::IfUnanswered, |service| {
                service.enable_test_attestation()
            })
    }

    /// What the global service says; without it there is none.
    fn is_remote_attestation_supported(&self) -> BinderResult<bool> {
        if !Self::CAPABILITIES.remote_attestation {
            return Ok(false);
        }
        let answer = self.global.try_call(Repeat::IfUnanswered, |service| {
            service.is_remote_attestation_supported()
        })?;
        Ok(answer.unwrap_or(false))
    }

    fn request_attestation(&self, csr: &[u8], test_mode: bool) -> BinderResult<Vec<Certificate>> {
        check_attestation("requestAttestation")?;
        let uid = self.client.uid().cast_signed();
        self.global
            .call("requestAttestation", Repeat::IfUnanswered, |service| {
                service.request_attestation(csr, uid, test_mode)
            })
    }
}

fn check_attestation(method: &str) -> BinderResult<()> {
    built_with(
        Full::CAPABILITIES.remote_attestation,
        method,
        "remote_attestation",
    )
}

/// Refuses a method whose feature this program was built without.
fn built_with(is_there: bool, method: &str, feature: &str) -> BinderResult<()> {
    if is_there {
        Ok(())
    } else {
        Err(unsupported(&format!(
            "{NAME} doesn't support {method}: it was built without the feature {feature}"
        )))
    }
}
