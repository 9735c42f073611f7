// SPDX-License-Identifier: Apache-2.0
//! `early_virtmgr`: no global service; VMs are declared in a list, with static CIDs.

use crate::app_config::Apexes;
use crate::client::Client;
use crate::profile::{Capabilities, Creation, End, Equipment, Wish};
use crate::service::status::unsupported;
use crate::vm::directory::sweep;
use crate::vm::{self, Context, VmDirectory, vhost};
use avf_aidl::common::Certificate;
use avf_aidl::service::{AssignableDevice, VirtualMachineDebugInfo, VirtualMachineRawConfig};
use host::Host;
use microdroid::PayloadConfig;
use microdroid::apex::{ApexInfoList, CLASSPATH, Source};
use rsbinder::BinderResult;
use rustix::process::{Resource, Rlimit, setrlimit};
use std::sync::Once;
use std::time::Duration;

/// The program's name.
pub const NAME: &str = "early_virtmgr";
/// What it is for, in half a line.
pub const ABOUT: &str = "manages the VMs that start before /data is mounted";
/// What needs the global service cannot be had.
pub const CAPABILITIES: Capabilities = Capabilities {
    network: false,
    device_assignment: false,
    vendor_modules: false,
    llpvm_changes: false,
    dice_changes: false,
    remote_attestation: false,
    ..Capabilities::of_build()
};

/// Where the VMs' directories are.
const DIRECTORIES: &str = "/mnt/vm/early";
/// How the instance ids of clients on the vendor's partitions begin.
const VENDOR_INSTANCE_ID: [u8; 4] = [0xff; 4];

/// Lifts the limit on locked memory for this process and the VMMs that it starts.
///
/// A refusal is a warning only: a VMM that needs locked memory will fail and say so.
pub fn lift_memory_lock_limit() {
    let unlimited = Rlimit {
        current: None,
        maximum: None,
    };
    if let Err(e) = setrlimit(Resource::Memlock, unlimited) {
        log::warn!(
            "the limit on locked memory stays: {e}; a VMM that locks its guest's memory needs the \
             capability CAP_SYS_RESOURCE here"
        );
    }
}

/// The answer of a method that needs the global service.
#[must_use]
pub fn no_global_service(method: &str) -> String {
    format!("{NAME} doesn't support {method}")
}

/// No guest gets a vendor's image here.
///
/// # Errors
/// Always [`vm::Error::Unsupported`].
pub fn vendor_digest(_image: &std::fs::File) -> Result<String, vm::Error> {
    Err(vm::Error::Unsupported {
        what: format!("{NAME} doesn't support customConfig.vendorImage"),
    })
}

/// APEXes as the system came with them: nothing newer can be had before /data is mounted.
#[derive(Debug)]
pub struct Selection;

impl Selection {
    /// The selection on a host.
    #[must_use]
    pub fn new(_host: &Host) -> Self {
        Self
    }
}

impl Apexes for Selection {
    fn complete(&self, _list: &mut ApexInfoList, config: &PayloadConfig) -> Result<(), vm::Error> {
        let unsupported = |what: &str| {
            Err(vm::Error::Unsupported {
                what: format!("{NAME} doesn't support {what} in a payload's configuration"),
            })
        };
        if config.prefer_staged {
            return unsupported("prefer_staged");
        }
        if config.apexes.iter().any(|apex| apex.name == CLASSPATH) {
            return unsupported(CLASSPATH);
        }
        Ok(())
    }

    fn source(&self) -> Source {
        Source::Preinstalled
    }
}

/// What a VM has beside its CID and directory: nothing.
#[derive(Debug)]
pub struct Held;

impl Held {
    /// How the VM's console is listed.
    #[must_use]
    pub fn listing(&self) -> Option<Listing> {
        None
    }
}

/// There is no one who lists consoles.
#[derive(Debug, Clone)]
pub struct Listing;

impl Listing {
    /// Nothing.
    pub fn set_console(&self, _path: &str) {}
}

/// No one is told.
#[derive(Debug, Clone)]
pub struct Atoms;

impl Atoms {
    /// Nothing.
    pub fn creation_requested(&self, _creation: &Creation<'_>) {}

    /// Nothing.
    pub fn booted(&self, _name: &str, _elapsed: Duration) {}

    /// Nothing.
    pub fn exited(&self, _end: &End<'_>) {}
}

/// No guest is certified.
#[derive(Debug, Clone)]
pub struct Attestation;

impl Attestation {
    /// Needs the global service.
    ///
    /// # Errors
    /// Always UNSUPPORTED_OPERATION.
    pub fn request(&self, _csr: &[u8], _test_mode: bool) -> BinderResult<Vec<Certificate>> {
        Err(unsupported(&no_global_service("requestAttestation")))
    }
}

/// A VM that its client may create.
#[derive(Debug)]
pub struct Request {
    name: String,
    cid: u32,
    is_vendor: bool,
}

impl Request {
    /// Whether the client is on a partition of the vendor's.
    #[must_use]
    pub fn is_vendor(&self) -> bool {
        self.is_vendor
    }
}

/// Gives declared VMs to the executables that they are declared for.
#[derive(Debug)]
pub struct Provider {
    host: Host,
    client: Client,
    swept: Once,
}

impl Provider {
    /// The provider for `client`.
    #[must_use]
    pub fn new(host: Host, client: Client) -> Self {
        Self {
            host,
            client,
            swept: Once::new(),
        }
    }

    /// Finds the VM in the early VM list of the client's partition.
    ///
    /// # Errors
    /// If it is not declared, or for another executable.
    pub fn authorize(&self, wish: Wish<'_>) -> Result<Request, vm::Error> {
        let Wish {
            name, instance_id, ..
        } = wish;
        let root = self.host.root();
        let executable = early_vms::ClientExecutable::of_process(self.client.pid(), root)
            .map_err(|e| vm::Error::EarlyVm(Box::new(e)))?;
        // What /proc said is of the client only if the client lived until after it was asked.
        if !self
            .client
            .is_alive()
            .map_err(|e| vm::Error::io("ask whether the client lives", e))?
        {
            return Err(vm::Error::ClientGone {
                pid: self.client.pid(),
            });
        }
        let early = |e| vm::Error::EarlyVm(Box::new(e));
        let partition = executable.partition().map_err(early)?;
        let list = early_vms::EarlyVms::load(root, partition).map_err(early)?;
        for fault in list.faults() {
            log::warn!("{fault}");
        }
        let vm = list.find(name).map_err(early)?;
        vm.check_executable(&executable).map_err(early)?;
        if partition.is_vendor() && !instance_id.starts_with(&VENDOR_INSTANCE_ID) {
            return Err(vm::Error::Invalid {
                what: format!(
                    "instanceId: that of a client in partition {partition} must begin with FF FF FF FF, not {:02X?}",
                    &instance_id[..VENDOR_INSTANCE_ID.len()]
                ),
            });
        }
        Ok(Request {
            name: vm.name.clone(),
            cid: vm.cid,
            is_vendor: partition.is_vendor(),
        })
    }

    /// Takes the VM's CID and directory.
    ///
    /// # Errors
    /// If the VM is running already, or another VM has its CID.
    pub fn context(&self, request: Request) -> Result<Context, vm::Error> {
        let base = self.host.path(DIRECTORIES);
        self.swept.call_once(|| sweep(&base));
        let directory = VmDirectory::claim(&base, request.cid, &request.name, self.client.pid())?;
        let vsock = vhost::reserve(request.cid)?;
        Ok(Context {
            name: request.name,
            cid: request.cid,
            vsock,
            directory,
            held: Held,
        })
    }

    /// No VM has a network or devices of the host here; those that want them were refused.
    ///
    /// # Errors
    /// None.
    pub fn equip(
        &self,
        _held: &mut Held,
        _config: &VirtualMachineRawConfig,
    ) -> Result<Equipment, vm::Error> {
        Ok(Equipment::default())
    }

    /// No one is told of creations, boots and ends.
    #[must_use]
    pub fn atoms(&self) -> Atoms {
        Atoms
    }

    /// No guest is certified.
    #[must_use]
    pub fn attestation(&self) -> Attestation {
        Attestation
    }

    /// What a client may do is the platform's access control's business here.
    ///
    /// # Errors
    /// None.
    pub fn check_use(&self) -> BinderResult<()> {
        Ok(())
    }

    /// Needs the global service.
    ///
    /// # Errors
    /// Always UNSUPPORTED_OPERATION.
    pub fn allocate_instance_id(&self) -> BinderResult<[u8; 64]> {
        Err(unsupported(&no_global_service("allocateInstanceId")))
    }

    /// Consoles are listed by the global service.
    ///
    /// # Errors
    /// Always UNSUPPORTED_OPERATION.
    pub fn check_host_console_names() -> BinderResult<()> {
        Err(unsupported(&no_global_service("setHostConsoleName")))
    }

    /// Needs the global service.
    ///
    /// # Errors
    /// Always UNSUPPORTED_OPERATION.
    pub fn debug_list_vms(&self) -> BinderResult<Vec<VirtualMachineDebugInfo>> {
        Err(unsupported(&no_global_service("debugListVms")))
    }

    /// Needs the global service.
    ///
    /// # Errors
    /// Always UNSUPPORTED_OPERATION.
    pub fn remove_instance(&self, _id: &[u8; 64]) -> BinderResult<()> {
        Err(unsupported(&no_global_service("removeVmInstance")))
    }

    /// Needs the global service.
    ///
    /// # Errors
    /// Always UNSUPPORTED_OPERATION.
    pub fn claim_instance(&self, _id: &[u8; 64]) -> BinderResult<()> {
        Err(unsupported(&no_global_service("claimVmInstance")))
    }

    /// Needs the global service.
    ///
    /// # Errors
    /// Always UNSUPPORTED_OPERATION.
    pub fn assignable_devices(&self) -> BinderResult<Vec<AssignableDevice>> {
        Err(unsupported(&no_global_service("getAssignableDevices")))
    }

    /// Needs the global service.
    ///
    /// # Errors
    /// Always UNSUPPORTED_OPERATION.
    pub fn enable_test_attestation(&self) -> BinderResult<()> {
        Err(unsupported(&no_global_service("enableTestAttestation")))
    }

    /// Needs the global service.
    ///
    /// # Errors
    /// Always UNSUPPORTED_OPERATION.
    pub fn is_remote_attestation_supported(&self) -> BinderResult<bool> {
        Err(unsupported(&no_global_service(
            "isRemoteAttestationSupported",
        )))
    }
}
