// SPDX-License-Identifier: Apache-2.0
//! `IVirtualizationService`: what a client calls first.

use crate::app_config;
use crate::client::Client;
use crate::device_tree;
use crate::error::Error;
use crate::origin;
use crate::profile::{Chosen, Profile};
use crate::reports::Creation;
use crate::requested::{Config, Requested};
use crate::service::{GuestService, VirtualMachine, image};
use crate::settings::Settings;
use crate::status;
use crate::vm::plan::LabelPolicy;
use crate::vm::{Destination, Identity, Instance, Roots, RunOptions, Vms, plan};
use avf_aidl::service::{AssignableDevice, PartitionType, VirtualMachineDebugInfo};
use avf_wire::server::{self, Machine, Service};
use avf_wire::{CreateVm, Wire};
use debug_policy::DebugPolicy;
use host::{Host, Hypervisor};
use rsbinder::{BinderResult, ParcelFileDescriptor, SIBinder};
use std::sync::Arc;
use vmm::find::{self, Finder};

/// The service of one client.
#[derive(Debug)]
pub struct VirtualizationService {
    host: Host,
    settings: Settings,
    finder: Finder,
    profile: Arc<Chosen>,
    vms: Arc<Vms>,
    wire: Arc<Wire>,
    /// The client's user and process.
    client: (u32, i32),
}

impl VirtualizationService {
    /// The service for `client` on `host`, which speaks `wire`.
    #[must_use]
    pub fn new(host: Host, settings: Settings, client: Client, wire: Wire) -> Self {
        Self {
            client: (client.uid(), client.pid()),
            finder: Finder::new(find::Settings::of_host(&host)),
            profile: Arc::new(Chosen::new(host.clone(), client)),
            host,
            settings,
            vms: Arc::default(),
            wire: Arc::new(wire),
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
        let wire = Arc::clone(&self.wire);
        server::service(Box::new(self), wire)
    }

    /// Request, checked draft, context, VM: each step leaves nothing behind if a later one fails.
    fn create(
        &self,
        requested: &Requested<'_>,
        files: plan::ClientFiles<'_>,
    ) -> Result<Arc<Instance>, Error> {
        let hypervisor = self.host.hypervisor();
        let grant = self.authorize(requested, &hypervisor)?;
        let policy = DebugPolicy::of(&self.host)?;
        let expanded;
        let (raw, trusted) = match requested.config {
            Config::Raw(raw) => (raw, &[][..]),
            Config::App(app) => {
                expanded = app_config::expand(app, &self.host, policy, self.profile.platform())?;
                plan::check_features(&expanded.raw, Chosen::CAPABILITIES, &hypervisor)?;
                (&expanded.raw, &expanded.trusted[..])
            }
        };
        let labels = match (Chosen::is_vendor(&grant), requested.is_app()) {
            (true, _) => LabelPolicy::Vendor,
            (false, true) => LabelPolicy::App,
            (false, false) => LabelPolicy::Raw,
        };
        let mut draft = plan::Draft::new(raw, files, &hypervisor, labels)?;
        let overlay = device_tree::overlay(&self.host, requested.instance_id, trusted)?;
        draft.machine.device_tree_overlay = Some(overlay);
        draft.machine.usb_devices = vmm::usb::open(self.host.root(), &plan::usb_devices(raw)?)?;
        let found = self.finder.vmm()?;
        let options = RunOptions {
            accel: found.accel,
            boot_timeout: self.settings.boot_timeout(requested.is_app(), found.accel),
            ramdump: match raw.ramdump {
                true => self.ramdump(policy)?,
                false => None,
            },
            reports: self.profile.reports(),
            roots: self.roots(),
            identity: Identity {
                instance_id: *requested.instance_id,
                client_uid: self.client.0,
                client_pid: self.client.1,
            },
            storage_key: requested.storage_key.cloned(),
        };
        self.vms.settle(requested.name);
        let context = self.profile.context(grant, raw)?;
        self.vms.add(draft, context, &*found.vmm, options)
    }

    /// Whether the client may have this VM, made of these files; asked before any file is opened.
    fn authorize(
        &self,
        requested: &Requested<'_>,
        hypervisor: &Hypervisor,
    ) -> Result<<Chosen as Profile>::Grant, Error> {
        match requested.config {
            Config::Raw(raw) => plan::check_features(raw, Chosen::CAPABILITIES, hypervisor)?,
            Config::App(app) => app_config::check_features(app, Chosen::CAPABILITIES)?,
        }
        let grant = self.profile.authorize(requested)?;
        self.host.say_whether_files_have_labels();
        origin::check(requested, &self.host, Chosen::is_vendor(&grant))?;
        Ok(grant)
    }

    /// The binder objects of this client's VMs.
    fn roots(&self) -> Roots {
        let profile = Arc::clone(&self.profile);
        let release = self.wire.release();
        Roots {
            guest: Arc::new(move |vm| GuestService::binder(vm, Arc::clone(&profile), release)),
            control: Arc::new(|vm| VirtualMachine::visitor(Arc::clone(vm))),
        }
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
fn creation<'a>(requested: &Requested<'a>, created: &BinderResult<Arc<Instance>>) -> Creation<'a> {
    Creation {
        name: requested.name,
        is_protected: requested.is_protected,
        is_app: requested.is_app(),
        cpus: plan::cpus(requested.cpus).map_or(0, |cpus| cpus.count().get()),
        memory_mib: requested.memory_mib,
        exception: created
            .as_ref()
            .err()
            .map_or(0, |status| status.exception_code() as i32),
    }
}

/// The socket of Android's crash collector.
const COLLECTOR: &str = "/dev/socket/tombstoned_crash";

impl Service for VirtualizationService {
    fn create_vm(&self, arguments: &CreateVm) -> BinderResult<Arc<dyn Machine>> {
        let files = plan::ClientFiles {
            console_out: arguments.console_out.as_ref(),
            console_in: arguments.console_in.as_ref(),
            os_log: arguments.os_log.as_ref(),
            device_tree: arguments.dump_dt.as_ref(),
        };
        let requested = Requested::from(&arguments.config);
        let created = self
            .create(&requested, files)
            .map_err(|e| status::logged(&format!("createVm '{}'", requested.name), &e));
        self.profile
            .reports()
            .creation_requested(&creation(&requested, &created));
        let vm = created?;
        log::info!("VM '{}' created with CID {}", vm.name(), vm.cid());
        Ok(VirtualMachine::of_creator(vm))
    }

    fn allocate_instance_id(&self) -> BinderResult<[u8; 64]> {
        self.profile.allocate_instance_id()
    }

    fn initialize_writable_partition(
        &self,
        image: &ParcelFileDescriptor,
        size_bytes: i64,
        kind: PartitionType,
    ) -> BinderResult<()> {
        self.profile.check_use()?;
        image::initialize(image, size_bytes, kind)
    }

    fn set_encrypted_storage_size(
        &self,
        image: &ParcelFileDescriptor,
        size: i64,
    ) -> BinderResult<()> {
        self.profile.check_use()?;
        image::resize(image, size)
    }

    fn create_or_update_idsig_file(
        &self,
        input: &ParcelFileDescriptor,
        idsig: &ParcelFileDescriptor,
    ) -> BinderResult<()> {
        self.profile.check_use()?;
        image::update_idsig(input, idsig, self.host.sdk())
    }

    fn debug_list_vms(&self) -> BinderResult<Vec<VirtualMachineDebugInfo>> {
        self.profile.debug_list_vms()
    }

    fn assignable_devices(&self) -> BinderResult<Vec<AssignableDevice>> {
        self.profile.assignable_devices()
    }

    fn supported_os_list(&self) -> BinderResult<Vec<String>> {
        Ok(app_config::supported(&self.host))
    }

    fn debug_policy(&self) -> BinderResult<String> {
        // The form of Android's own manager, which clients show to people.
        Ok(match DebugPolicy::of(&self.host) {
            Ok(policy) => format!("Ok({policy:?})"),
            Err(e) => format!("Err({})", host::chain(&e)),
        })
    }

    fn is_feature_enabled(&self, feature: &str) -> BinderResult<bool> {
        Ok(Chosen::CAPABILITIES.has(feature))
    }

    fn enable_test_attestation(&self) -> BinderResult<()> {
        self.profile.enable_test_attestation()
    }

    fn is_remote_attestation_supported(&self) -> BinderResult<bool> {
        self.profile.is_remote_attestation_supported()
    }

    fn is_updatable_vm_supported(&self) -> BinderResult<bool> {
        // A guest would have to leave its secrets to Secretkeeper, which no manager can reach.
        Ok(false)
    }

    fn remove_vm_instance(&self, instance_id: &[u8; 64]) -> BinderResult<()> {
        self.profile.remove_instance(instance_id)
    }

    fn claim_vm_instance(&self, instance_id: &[u8; 64]) -> BinderResult<()> {
        self.profile.claim_instance(instance_id)
    }
}
