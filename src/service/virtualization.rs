// SPDX-License-Identifier: Apache-2.0
//! `IVirtualizationService`: what a client calls first.

use crate::client::Client;
use crate::debug_policy;
use crate::host::Host;
use crate::profile::{self, Provider};
use crate::service::{Machine, image, status};
use crate::settings::Settings;
use crate::vm::{Destination, Instance, RunOptions, Vms, plan};
use avf_aidl::service::{
    AssignableDevice, BnVirtualizationService, FEATURE_MULTI_TENANT, FEATURE_NETWORK,
    FEATURE_VENDOR_MODULES, IVirtualMachine, IVirtualizationService, PartitionType,
    VirtualMachineConfig, VirtualMachineDebugInfo,
};
use rsbinder::{BinderResult, Interface, ParcelFileDescriptor, SIBinder, Strong};
use std::sync::Arc;
use vmm::crosvm::Platform;
use vmm::find::{self, Finder};

/// The service of one client.
#[derive(Debug)]
pub struct VirtualizationService {
    host: Host,
    settings: Settings,
    finder: Finder,
    provider: Provider,
    vms: Arc<Vms>,
}

impl VirtualizationService {
    /// The service for `client` on `host`.
    #[must_use]
    pub fn new(host: Host, settings: Settings, client: Client) -> Self {
        Self {
            finder: Finder::new(vmm_settings(&host)),
            provider: Provider::new(host.clone(), client),
            host,
            settings,
            vms: Arc::default(),
        }
    }

    /// The VMs of this client.
    #[must_use]
    pub fn vms(&self) -> Arc<Vms> {
        Arc::clone(&self.vms)
    }

    /// The service as a binder object.
    #[must_use]
    pub fn into_binder(self) -> SIBinder {
        BnVirtualizationService::new_binder(self).as_binder()
    }

    /// Parcelable, checked plan, context, VM: each step leaves nothing behind if a later one fails.
    fn create(
        &self,
        config: &VirtualMachineConfig,
        files: plan::ConsoleFiles<'_>,
    ) -> Result<Arc<Instance>, crate::vm::Error> {
        let config = plan::raw_config(config)?;
        let hypervisor = self.host.hypervisor();
        plan::check_features(config, profile::CAPABILITIES, &hypervisor)?;
        let request = self.provider.authorize(config)?;
        let draft = plan::Draft::new(config, files, &hypervisor, request.is_vendor())?;
        let found = self.finder.vmm()?;
        let options = RunOptions {
            accel: found.accel,
            boot_timeout: self.settings.boot_timeout(false, found.accel),
            ramdump: self.ramdump()?,
        };
        self.vms.settle(&config.name);
        let context = self.provider.context(request)?;
        self.vms.add(draft, context, &*found.vmm, options)
    }

    /// Where memory dumps go, if a setting or the host's policy wants them.
    fn ramdump(&self) -> Result<Option<Destination>, crate::vm::Error> {
        if let Some(directory) = &self.settings.ramdumps {
            Destination::check_directory(directory)?;
        } else if !debug_policy::wants_ramdump(&self.host)? {
            return Ok(None);
        }
        Ok(Some(Destination {
            kept: self.settings.ramdumps.clone(),
            collector: self.host.path(COLLECTOR),
        }))
    }
}

/// The socket of Android's crash collector.
const COLLECTOR: &str = "/dev/socket/tombstoned_crash";
/// The property that names another crosvm than that of the virtualization APEX.
const CROSVM_PROPERTY: &str = "hypervisor.virtualizationmanager.crosvm_path";

/// Where this host has its VMM.
fn vmm_settings(host: &Host) -> find::Settings {
    let named = host.property(CROSVM_PROPERTY).map(|path| host.path(&path));
    find::Settings {
        platform: if host.is_android() {
            Platform::Android
        } else {
            Platform::Linux
        },
        shipped: named
            .into_iter()
            .chain([host.path(find::SHIPPED)])
            .collect(),
    }
}

impl Interface for VirtualizationService {}

impl IVirtualizationService for VirtualizationService {
    fn createVm(
        &self,
        config: &VirtualMachineConfig,
        console_out: Option<&ParcelFileDescriptor>,
        console_in: Option<&ParcelFileDescriptor>,
        os_log: Option<&ParcelFileDescriptor>,
    ) -> BinderResult<Strong<dyn IVirtualMachine>> {
        let files = plan::ConsoleFiles {
            console_out,
            console_in,
            os_log,
        };
        let vm = self
            .create(config, files)
            .map_err(|e| status::logged(&format!("createVm '{}'", plan::name(config)), &e))?;
        log::info!("VM '{}' created with CID {}", vm.name(), vm.cid());
        Ok(Machine::binder(vm))
    }

    fn allocateInstanceId(&self) -> BinderResult<[u8; 64]> {
        self.provider.allocate_instance_id()
    }

    fn initializeWritablePartition(
        &self,
        image: &ParcelFileDescriptor,
        size_bytes: i64,
        kind: PartitionType,
    ) -> BinderResult<()> {
        image::initialize(image, size_bytes, kind)
    }

    fn createOrUpdateIdsigFile(
        &self,
        _input: &ParcelFileDescriptor,
        _idsig: &ParcelFileDescriptor,
    ) -> BinderResult<()> {
        Err(status::unsupported(
            "createOrUpdateIdsigFile is not supported yet",
        ))
    }

    fn debugListVms(&self) -> BinderResult<Vec<VirtualMachineDebugInfo>> {
        self.provider.debug_list_vms(&self.vms)
    }

    fn getAssignableDevices(&self) -> BinderResult<Vec<AssignableDevice>> {
        Err(status::unsupported(&profile::no_global_service(
            "getAssignableDevices",
        )))
    }

    fn getSupportedOSList(&self) -> BinderResult<Vec<String>> {
        // An operating system is supported if the virtualization APEX has a base config for it.
        let mut names: Vec<String> =
            std::fs::read_dir(self.host.path("/apex/com.android.virt/etc"))
                .into_iter()
                .flatten()
                .flatten()
                .filter_map(|entry| {
                    let name = entry.file_name().into_string().ok()?;
                    let stem = name.strip_suffix(".json")?;
                    stem.starts_with("microdroid").then(|| stem.to_owned())
                })
                .collect();
        names.sort();
        Ok(names)
    }

    fn isFeatureEnabled(&self, feature: &str) -> BinderResult<bool> {
        let capabilities = profile::CAPABILITIES;
        Ok(match feature {
            FEATURE_NETWORK => capabilities.network,
            FEATURE_VENDOR_MODULES => capabilities.vendor_modules,
            FEATURE_MULTI_TENANT => capabilities.multi_tenant,
            _ => false,
        })
    }

    fn enableTestAttestation(&self) -> BinderResult<()> {
        Err(status::unsupported(&profile::no_global_service(
            "enableTestAttestation",
        )))
    }

    fn isRemoteAttestationSupported(&self) -> BinderResult<bool> {
        self.provider.is_remote_attestation_supported()
    }

    fn isUpdatableVmSupported(&self) -> BinderResult<bool> {
        // It takes Secretkeeper, which neither profile can reach.
        Ok(false)
    }

    fn removeVmInstance(&self, _instance_id: &[u8; 64]) -> BinderResult<()> {
        Err(status::unsupported(&profile::no_global_service(
            "removeVmInstance",
        )))
    }

    fn claimVmInstance(&self, _instance_id: &[u8; 64]) -> BinderResult<()> {
        Err(status::unsupported(&profile::no_global_service(
            "claimVmInstance",
        )))
    }
}
