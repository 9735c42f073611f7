// SPDX-License-Identifier: Apache-2.0
//! `IVirtualizationService`: what a client calls first.

use crate::app_config::{self, Expanded};
use crate::client::Client;
use crate::debug_policy::DebugPolicy;
use crate::device_tree::{self, Untrusted};
use crate::error::Error;
use crate::host::Host;
use crate::profile::{Chosen, Profile, Request};
use crate::reports::Creation;
use crate::service::{GuestService, VirtualMachine, image};
use crate::settings::Settings;
use crate::status;
use crate::vm::plan::LabelPolicy;
use crate::vm::{Destination, Instance, Roots, RunOptions, Vms, plan};
use avf_aidl::service::{
    AssignableDevice, BnVirtualizationService, IVirtualMachine, IVirtualizationService,
    PartitionType, VirtualMachineConfig, VirtualMachineDebugInfo,
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
    profile: Arc<Chosen>,
    vms: Arc<Vms>,
}

impl VirtualizationService {
    /// The service for `client` on `host`.
    #[must_use]
    pub fn new(host: Host, settings: Settings, client: Client) -> Self {
        Self {
            finder: Finder::new(vmm_settings(&host)),
            profile: Arc::new(Chosen::new(host.clone(), client)),
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
    ) -> Result<Arc<Instance>, Error> {
        let (name, instance_id) = plan::identity(config);
        let is_app = matches!(config, VirtualMachineConfig::AppConfig(_));
        let grant = self.authorize(config)?;
        let policy = DebugPolicy::of(&self.host)?;
        let expanded;
        let (raw, trusted, wants_updatable) = match config {
            VirtualMachineConfig::RawConfig(raw) => (raw, &[][..], false),
            VirtualMachineConfig::AppConfig(app) => {
                expanded = app_config::expand(app, &self.host, policy, self.profile.platform())?;
                let Expanded {
                    raw,
                    trusted,
                    wants_updatable,
                } = &expanded;
                (raw, &trusted[..], *wants_updatable)
            }
        };
        let hypervisor = self.host.hypervisor();
        plan::check_features(raw, Chosen::CAPABILITIES, &hypervisor)?;
        let labels = match (Chosen::is_vendor(&grant), is_app) {
            (true, _) => LabelPolicy::Vendor,
            (false, true) => LabelPolicy::App,
            (false, false) => LabelPolicy::Raw,
        };
        let mut draft = plan::Draft::new(raw, files, &hypervisor, labels)?;
        let untrusted = Untrusted {
            instance_id,
            defer_rollback_protection: wants_updatable && self.is_updatable(),
        };
        draft.device_tree_overlay = Some(device_tree::overlay(&self.host, untrusted, trusted)?);
        let found = self.finder.vmm()?;
        let options = RunOptions {
            accel: found.accel,
            boot_timeout: self.settings.boot_timeout(is_app, found.accel),
            ramdump: self.ramdump(policy)?,
            reports: self.profile.reports(),
            roots: self.roots(),
        };
        self.vms.settle(name);
        let context = self.profile.context(grant, raw)?;
        self.vms.add(draft, context, &*found.vmm, options)
    }

    /// Whether the client may have this VM, made of these files; asked before any file is opened.
    fn authorize(
        &self,
        config: &VirtualMachineConfig,
    ) -> Result<<Chosen as Profile>::Grant, Error> {
        let (name, instance_id) = plan::identity(config);
        let (is_custom, network) = match config {
            VirtualMachineConfig::RawConfig(raw) => {
                plan::check_features(raw, Chosen::CAPABILITIES, &self.host.hypervisor())?;
                (true, raw.networkSupported)
            }
            VirtualMachineConfig::AppConfig(app) => {
                app_config::check_features(app, Chosen::CAPABILITIES)?;
                let network = app
                    .customConfig
                    .as_ref()
                    .is_some_and(|c| c.networkSupported);
                (app_config::is_custom(app), network)
            }
        };
        let grant = self.profile.authorize(Request {
            name,
            instance_id,
            is_custom,
            network,
        })?;
        self.host.say_whether_files_have_labels();
        plan::check_origin(config, &self.host, Chosen::is_vendor(&grant))?;
        Ok(grant)
    }

    /// The binder objects of this client's VMs.
    fn roots(&self) -> Roots {
        let profile = Arc::clone(&self.profile);
        Roots {
            guest: Arc::new(move |vm| GuestService::binder(vm, Arc::clone(&profile))),
            control: Arc::new(|vm| VirtualMachine::visitor(Arc::clone(vm))),
        }
    }

    /// Whether a guest can leave rollback protection to Secretkeeper, which neither profile can
    /// reach.
    fn is_updatable(&self) -> bool {
        false
    }

    /// Where memory dumps go, if a setting or the host's policy wants them.
    fn ramdump(&self, policy: DebugPolicy) -> Result<Option<Destination>, Error> {
        if let Some(directory) = &self.settings.ramdumps {
            Destination::check_directory(directory)?;
        } else if !policy.ramdump {
            return Ok(None);
        }
        Ok(Some(Destination {
            kept: self.settings.ramdumps.clone(),
            collector: self.host.path(COLLECTOR),
        }))
    }
}

/// What is told of a client's request for a VM.
fn creation<'a>(
    config: &'a VirtualMachineConfig,
    created: &BinderResult<Arc<Instance>>,
) -> Creation<'a> {
    let (is_app, is_protected, memory_mib, topology) = match config {
        VirtualMachineConfig::RawConfig(raw) => {
            (false, raw.protectedVm, raw.memoryMib, raw.cpuTopology)
        }
        VirtualMachineConfig::AppConfig(app) => {
            (true, app.protectedVm, app.memoryMib, app.cpuTopology)
        }
    };
    Creation {
        name: plan::name(config),
        is_protected,
        is_app,
        cpus: plan::cpus(topology).map_or(0, |cpus| cpus.count().get()),
        memory_mib,
        exception: created
            .as_ref()
            .err()
            .map_or(0, |status| status.exception_code() as i32),
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
        let created = self
            .create(config, files)
            .map_err(|e| status::logged(&format!("createVm '{}'", plan::name(config)), &e));
        self.profile
            .reports()
            .creation_requested(&creation(config, &created));
        let vm = created?;
        log::info!("VM '{}' created with CID {}", vm.name(), vm.cid());
        Ok(VirtualMachine::binder(vm))
    }

    fn allocateInstanceId(&self) -> BinderResult<[u8; 64]> {
        self.profile.allocate_instance_id()
    }

    fn initializeWritablePartition(
        &self,
        image: &ParcelFileDescriptor,
        size_bytes: i64,
        kind: PartitionType,
    ) -> BinderResult<()> {
        self.profile.check_use()?;
        image::initialize(image, size_bytes, kind)
    }

    fn createOrUpdateIdsigFile(
        &self,
        input: &ParcelFileDescriptor,
        idsig: &ParcelFileDescriptor,
    ) -> BinderResult<()> {
        self.profile.check_use()?;
        image::update_idsig(input, idsig, self.host.sdk())
    }

    fn debugListVms(&self) -> BinderResult<Vec<VirtualMachineDebugInfo>> {
        self.profile.debug_list_vms()
    }

    fn getAssignableDevices(&self) -> BinderResult<Vec<AssignableDevice>> {
        self.profile.assignable_devices()
    }

    fn getSupportedOSList(&self) -> BinderResult<Vec<String>> {
        Ok(app_config::supported(&self.host))
    }

    fn isFeatureEnabled(&self, feature: &str) -> BinderResult<bool> {
        Ok(Chosen::CAPABILITIES.has(feature))
    }

    fn enableTestAttestation(&self) -> BinderResult<()> {
        self.profile.enable_test_attestation()
    }

    fn isRemoteAttestationSupported(&self) -> BinderResult<bool> {
        self.profile.is_remote_attestation_supported()
    }

    fn isUpdatableVmSupported(&self) -> BinderResult<bool> {
        Ok(self.is_updatable())
    }

    fn removeVmInstance(&self, instance_id: &[u8; 64]) -> BinderResult<()> {
        self.profile.remove_instance(instance_id)
    }

    fn claimVmInstance(&self, instance_id: &[u8; 64]) -> BinderResult<()> {
        self.profile.claim_instance(instance_id)
    }
}
