// SPDX-License-Identifier: Apache-2.0
//! Who may have a VM, and what makes it unique on the machine.

use super::cids::{CIDS, Cids, is_taken};
use super::global::{Global, Internal};
use super::{Atoms, CAPABILITIES, Held, NAME, directories};
use crate::client::Client;
use crate::profile::{Equipment, Wish};
use crate::service::status::{failure, unsupported};
use crate::vm::{Context, Error, VmDirectory, vhost};
use avf_aidl::common::Certificate;
use avf_aidl::service::{AssignableDevice, VirtualMachineDebugInfo, VirtualMachineRawConfig};
use host::Host;
use permissions::{Authority, Caller, Controller, Permission, Policy};
use rsbinder::BinderResult;
use rustix::rand::{GetRandomFlags, getrandom};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// How many contexts of the global service are tried, if their CIDs turn out to be taken.
const TRIES: usize = 5;

/// A VM that its client may create.
#[derive(Debug)]
pub struct Request {
    name: String,
}

impl Request {
    /// Whether the client is on a partition of the vendor's; not known here.
    #[must_use]
    pub fn is_vendor(&self) -> bool {
        false
    }
}

/// Gives clients what they may have, each VM with a free CID.
#[derive(Debug)]
pub struct Provider {
    host: Host,
    client: Client,
    global: Arc<Global>,
    cids: Cids,
}

impl Provider {
    /// The provider for `client`.
    #[must_use]
    pub fn new(host: Host, client: Client) -> Self {
        Self {
            global: Arc::new(Global::new(host.root().to_owned())),
            host,
            client,
            cids: Cids::new(),
        }
    }

    /// Whether the client may have this VM.
    ///
    /// # Errors
    /// [`Error::Denied`] if it lacks a permission.
    pub fn authorize(&self, wish: Wish<'_>) -> Result<Request, Error> {
        self.check(Permission::Manage)?;
        if wish.is_custom || wish.network {
            self.check(Permission::Custom)?;
        }
        if wish.network {
            self.check(Permission::Internet)?;
        }
        Ok(Request {
            name: wish.name.to_owned(),
        })
    }

    /// Whether the client may use this service.
    ///
    /// # Errors
    /// SECURITY if not.
    pub fn check_use(&self) -> BinderResult<()> {
        self.check(Permission::Manage).map_err(|e| (&e).into())
    }

    fn check(&self, permission: Permission) -> Result<(), Error> {
        if self.client.uid() == 0 {
            return Ok(());
        }
        let denied = |e| Error::Denied(Box::new(e));
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
        let policy = Policy::load(self.host.root()).map_err(|e| Error::Permissions(Box::new(e)))?;
        Authority::check(&policy, permission, &Caller::this_process()).map_err(denied)
    }

    /// A free CID and its directory.
    ///
    /// # Errors
    /// [`Error::NoCid`] if all are taken.
    pub fn context(&self, request: Request) -> Result<Context, Error> {
        if self.global.get()?.is_some()
            && let Some(context) = self.global_context(&request.name)?
        {
            return Ok(context);
        }
        let (lock, directory, vsock) = self.cids.take(&self.host, &self.client, &request.name)?;
        Ok(Context {
            name: request.name,
            cid: lock.cid(),
            vsock,
            directory,
            held: Held::new(lock, None),
        })
    }

    /// A CID and a directory of the global service's. A CID that is taken all the same is kept from
    /// being offered again until another one is found. None if the service has been stopped.
    fn global_context(&self, name: &str) -> Result<Option<Context>, Error> {
        let mut taken = Vec::new();
        for _ in 0..TRIES {
            let refused = |e| Error::Refused {
                what: "the global service gives no CID".into(),
                status: Box::new(e),
            };
            let pid = self.client.pid();
            let Some(context) = self
                .global
                .try_call(|service: &Internal| service.allocateGlobalVmContext(pid))
                .map_err(refused)?
            else {
                return Ok(None);
            };
            let cid = context.getCid().map_err(refused)?;
            let path = context.getTemporaryDirectory().map_err(refused)?;
            let cid = u32::try_from(cid)
                .ok()
                .filter(|cid| CIDS.contains(cid))
                .ok_or_else(|| {
                    Error::io(
                        format!("take the CID {cid} of the global service"),
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
                    return Ok(Some(Context {
                        name: name.to_owned(),
                        cid,
                        vsock,
                        directory,
                        held: Held::new(lock, Some(context)),
                    }));
                }
                Err(e) if is_taken(&e) => taken.push(context),
                Err(e) => return Err(e),
            }
        }
        Err(Error::NoCid)
    }

    /// The network and the devices that a VM wants.
    ///
    /// # Errors
    /// If the global service does not give them.
    pub fn equip(
        &self,
        held: &mut Held,
        config: &VirtualMachineRawConfig,
    ) -> Result<Equipment, Error> {
        let mut equipment = Equipment::default();
        if !config.devices.is_empty() {
            equipment.assigned = Some(held.devices(&self.global, &config.devices)?);
        }
        if config.networkSupported {
            equipment.tap = Some(held.network(&self.global)?);
        }
        Ok(equipment)
    }

    /// Who is told of creations, boots and ends.
    #[must_use]
    pub fn atoms(&self) -> Atoms {
        Atoms::new(Arc::clone(&self.global), self.client.uid())
    }

    /// The global service's, which remembers it; without one, 64 random bytes.
    ///
    /// # Errors
    /// If the service refuses, or the kernel gives no random bytes.
    pub fn allocate_instance_id(&self) -> BinderResult<[u8; 64]> {
        self.check_instances("allocateInstanceId")?;
        if let Some(id) = self
            .global
            .try_call(|service| service.allocateInstanceId())?
        {
            return Ok(id);
        }
        let mut id = [0; 64];
        let mut filled = 0;
        while filled < id.len() {
            filled += getrandom(&mut id[filled..], GetRandomFlags::empty())
                .map_err(|e| failure(&io::Error::from(e)))?;
        }
        Ok(id)
    }

    /// Has the global service forget an instance.
    ///
    /// # Errors
    /// UNSUPPORTED_OPERATION without it; what it answers.
    pub fn remove_instance(&self, id: &[u8; 64]) -> BinderResult<()> {
        self.check_instances("removeVmInstance")?;
        self.global
            .call("removeVmInstance", |service| service.removeVmInstance(id))
    }

    /// Has the global service take over an instance for the client.
    ///
    /// # Errors
    /// UNSUPPORTED_OPERATION without it; what it answers.
    pub fn claim_instance(&self, id: &[u8; 64]) -> BinderResult<()> {
        self.check_instances("claimVmInstance")?;
        self.global
            .call("claimVmInstance", |service| service.claimVmInstance(id))
    }

    fn check_instances(&self, method: &str) -> BinderResult<()> {
        self.check_use()?;
        built_with(CAPABILITIES.llpvm_changes, method, "llpvm_changes")
    }

    /// Names of consoles are kept and listed.
    ///
    /// # Errors
    /// None.
    pub fn check_host_console_names() -> BinderResult<()> {
        Ok(())
    }

    /// The VMs that the global service knows; without it, those of this user and, for the superuser,
    /// of all users.
    ///
    /// # Errors
    /// What the service answers.
    pub fn debug_list_vms(&self) -> BinderResult<Vec<VirtualMachineDebugInfo>> {
        match self.global.try_call(|service| service.debugListVms())? {
            Some(vms) => Ok(vms),
            None => directories::list(&self.host).map_err(|e| (&e).into()),
        }
    }

    /// The devices that the global service can give to VMs; none without it.
    ///
    /// # Errors
    /// UNSUPPORTED_OPERATION if this program was built without that; what the service answers.
    pub fn assignable_devices(&self) -> BinderResult<Vec<AssignableDevice>> {
        self.check(Permission::Custom)
            .map_err(|e| rsbinder::Status::from(&e))?;
        built_with(
            CAPABILITIES.device_assignment,
            "getAssignableDevices",
            "device_assignment",
        )?;
        self.global.call("getAssignableDevices", |service| {
            service.getAssignableDevices()
        })
    }

    /// Passed on to the global service.
    ///
    /// # Errors
    /// UNSUPPORTED_OPERATION without it; what it answers.
    pub fn enable_test_attestation(&self) -> BinderResult<()> {
        self.check(Permission::Custom)
            .map_err(|e| rsbinder::Status::from(&e))?;
        check_attestation("enableTestAttestation")?;
        self.global.call("enableTestAttestation", |service| {
            service.enableTestAttestation()
        })
    }

    /// What the global service says; without it there is none.
    ///
    /// # Errors
    /// What the service answers.
    pub fn is_remote_attestation_supported(&self) -> BinderResult<bool> {
        if !CAPABILITIES.remote_attestation {
            return Ok(false);
        }
        let answer = self
            .global
            .try_call(|service| service.isRemoteAttestationSupported())?;
        Ok(answer.unwrap_or(false))
    }

    /// How guests have themselves certified.
    #[must_use]
    pub fn attestation(&self) -> Attestation {
        Attestation {
            global: Arc::clone(&self.global),
            uid: self.client.uid(),
        }
    }
}

/// How the guests of a client have themselves certified.
#[derive(Debug, Clone)]
pub struct Attestation {
    global: Arc<Global>,
    uid: u32,
}

impl Attestation {
    /// Has the global service get a certificate for a guest's signing request.
    ///
    /// # Errors
    /// UNSUPPORTED_OPERATION without it; what it answers.
    pub fn request(&self, csr: &[u8], test_mode: bool) -> BinderResult<Vec<Certificate>> {
        check_attestation("requestAttestation")?;
        let uid = self.uid.cast_signed();
        self.global.call("requestAttestation", |service| {
            service.requestAttestation(csr, uid, test_mode)
        })
    }
}

fn check_attestation(method: &str) -> BinderResult<()> {
    built_with(
        CAPABILITIES.remote_attestation,
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
