// SPDX-License-Identifier: Apache-2.0
//! `early_virtmgr`: no global service; VMs are declared in a list, with static CIDs.

use crate::app_config::Platform;
use crate::capabilities::Capabilities;
use crate::client::Client;
use crate::error::{Error, Kind};
use crate::profile::{NAME, Profile};
use crate::requested::Requested;
use crate::vm::directory::sweep;
use crate::vm::plan::Equipment;
use crate::vm::{Context, VmDirectory, vhost};
use avf_aidl::service::VirtualMachineRawConfig;
use host::Host;
use microdroid::PayloadConfig;
use microdroid::apex::{ApexInfoList, CLASSPATH, Source};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::fs::File;
use std::sync::Once;
use vm_directory::bases;

/// How the instance ids of clients on the vendor's partitions begin.
const VENDOR_INSTANCE_ID: [u8; 4] = [0xff; 4];

/// A VM that its client may create.
#[derive(Debug)]
pub struct Grant {
    name: String,
    cid: u32,
    is_vendor: bool,
}

/// The program: gives declared VMs to the executables that they are declared for.
#[derive(Debug)]
pub struct Early {
    host: Host,
    client: Client,
    swept: Once,
}

impl Profile for Early {
    const ABOUT: &'static str = "manages the VMs that start before /data is mounted";
    // Without the global service, what it allocates is not available.
    const CAPABILITIES: Capabilities = Capabilities {
        network: false,
        device_assignment: false,
        vendor_modules: false,
        llpvm_changes: false,
        dice_changes: false,
        remote_attestation: false,
        ..Capabilities::of_build("early_virtmgr")
    };
    type Grant = Grant;

    fn new(host: Host, client: Client) -> Self {
        Self {
            host,
            client,
            swept: Once::new(),
        }
    }

    /// Finds the VM in the early VM list of the client's partition.
    fn authorize(&self, requested: &Requested<'_>) -> Result<Grant, Error> {
        let Requested {
            name, instance_id, ..
        } = *requested;
        let root = self.host.root();
        let executable = early_vms::ClientExecutable::of_process(self.client.pid(), root)
            .map_err(|e| Error::failed("this early VM cannot be created", e))?;
        // What /proc said is of the client only if the client lived until after it was asked.
        if !self
            .client
            .is_alive()
            .map_err(|e| Error::io("cannot ask whether the client lives", e))?
        {
            return Err(Error::failed(
                "this early VM cannot be created",
                format!(
                    "the client, process {}, is gone, so it cannot be identified",
                    self.client.pid()
                ),
            ));
        }
        let early = |e| Error::failed("this early VM cannot be created", e);
        let partition = executable.partition().map_err(early)?;
        let list = early_vms::EarlyVms::load(root, partition).map_err(early)?;
        for fault in list.faults() {
            log::warn!("{fault}");
        }
        let vm = list.find(name).map_err(early)?;
        vm.check_executable(&executable).map_err(early)?;
        if partition.is_vendor() && !instance_id.starts_with(&VENDOR_INSTANCE_ID) {
            return Err(Error::invalid(format!(
                "instanceId: that of a client in partition {partition} must begin with FF FF FF FF, not {:02X?}",
                &instance_id[..VENDOR_INSTANCE_ID.len()]
            )));
        }
        Ok(Grant {
            name: vm.name.clone(),
            cid: vm.cid,
            is_vendor: partition.is_vendor(),
        })
    }

    fn is_vendor(grant: &Grant) -> bool {
        grant.is_vendor
    }

    /// Takes the VM's static CID, and the directory of that number.
    fn context(&self, grant: Grant, _config: &VirtualMachineRawConfig) -> Result<Context, Error> {
        let base = bases::make_early(self.host.root()).map_err(|e| Error::of(Kind::Failure, e))?;
        self.swept.call_once(|| sweep(&base));
        let directory = VmDirectory::claim(&base, grant.cid, &grant.name, self.client.pid())?;
        let vsock = vhost::reserve(grant.cid)?;
        Ok(Context {
            name: grant.name,
            cid: grant.cid,
            vsock,
            directory,
            equipment: Equipment::default(),
            listing: None,
            resources: Box::new(()),
        })
    }

    fn platform(&self) -> &dyn Platform {
        self
    }

    /// Lifts the limit on locked memory for this process and the VMMs that it starts.
    ///
    /// A refusal is no warning: few VMMs lock memory, and one that cannot fails and says so.
    fn lift_memory_lock_limit() {
        let unlimited = Rlimit {
            current: None,
            maximum: None,
        };
        if let Err(e) = setrlimit(Resource::Memlock, unlimited) {
            log::info!(
                "cannot raise the limit on locked memory: {e}; a VMM that locks its guest's memory \
                 needs the capability CAP_SYS_RESOURCE here"
            );
        }
    }
}

/// APEXes as the system came with them: nothing newer is there before /data is mounted.
impl Platform for Early {
    fn complete(&self, _list: &mut ApexInfoList, config: &PayloadConfig) -> Result<(), Error> {
        let unsupported = |what: &str| {
            Err(Error::unsupported(format!(
                "{NAME} doesn't support {what} in a payload's configuration"
            )))
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

    fn vendor_digest(&self, _image: &File) -> Result<String, Error> {
        Err(Error::unsupported(format!(
            "{NAME} doesn't support customConfig.vendorImage"
        )))
    }
}
