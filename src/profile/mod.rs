// SPDX-License-Identifier: Apache-2.0
//! The one switch between the two programs: which [`Profile`] is compiled in.

#[cfg(early)]
mod early;
#[cfg(not(early))]
mod full;

#[cfg(early)]
pub use early::Early as Chosen;
#[cfg(not(early))]
pub use full::Full as Chosen;

use crate::app_config::Platform;
use crate::capabilities::Capabilities;
use crate::client::Client;
use crate::error::Error;
use crate::reports::{NoReports, Reports};
use crate::requested::Requested;
use crate::status::unsupported;
use crate::vm::Context;
use avf_aidl::common::Certificate;
use avf_aidl::service::{AssignableDevice, VirtualMachineDebugInfo, VirtualMachineRawConfig};
use host::Host;
use rsbinder::{BinderResult, Status};
use std::sync::Arc;

/// The name of the program that is compiled.
pub const NAME: &str = Chosen::CAPABILITIES.program;

/// What one of the two programs does in its own way. The defaults are those of a program that can do
/// nothing but run VMs: methods that need the global service are refused.
pub trait Profile: std::fmt::Debug + Send + Sync + Sized {
    /// What the program is for, in half a line.
    const ABOUT: &'static str;
    /// What it can do for a VM, and its name.
    const CAPABILITIES: Capabilities;
    /// A VM that its client may create.
    type Grant;

    /// The profile for `client`.
    fn new(host: Host, client: Client) -> Self;

    /// Whether the client may have this VM.
    ///
    /// # Errors
    /// If it may not.
    fn authorize(&self, requested: &Requested<'_>) -> Result<Self::Grant, Error>;

    /// Whether the client is on a partition of the vendor's.
    #[must_use]
    fn is_vendor(_grant: &Self::Grant) -> bool {
        false
    }

    /// What makes the VM unique on the machine: its CID and its directory, with the network and the
    /// devices that `config` wants.
    ///
    /// # Errors
    /// If they are taken, or cannot be made.
    fn context(
        &self,
        grant: Self::Grant,
        config: &VirtualMachineRawConfig,
    ) -> Result<Context, Error>;

    /// Which of the platform's files a Microdroid gets.
    fn platform(&self) -> &dyn Platform;

    /// Lifts the limit on locked memory at the start of the program.
    fn lift_memory_lock_limit() {}

    /// Receives the creations, boots and ends of VMs.
    #[must_use]
    fn reports(&self) -> Arc<dyn Reports> {
        Arc::new(NoReports)
    }

    /// Whether the client may use the methods that make files for VMs.
    ///
    /// # Errors
    /// SECURITY if not.
    fn check_use(&self) -> BinderResult<()> {
        Ok(())
    }

    /// Whether consoles have names here.
    ///
    /// # Errors
    /// UNSUPPORTED_OPERATION if not.
    fn check_host_console_names() -> BinderResult<()> {
        Err(refused::<Self>("setHostConsoleName"))
    }

    /// A new instance id.
    ///
    /// # Errors
    /// UNSUPPORTED_OPERATION if this profile has none to give.
    fn allocate_instance_id(&self) -> BinderResult<[u8; 64]> {
        Err(refused::<Self>("allocateInstanceId"))
    }

    /// Forgets an instance.
    ///
    /// # Errors
    /// UNSUPPORTED_OPERATION if no instances are remembered.
    fn remove_instance(&self, _id: &[u8; 64]) -> BinderResult<()> {
        Err(refused::<Self>("removeVmInstance"))
    }

    /// Takes over an instance for the client.
    ///
    /// # Errors
    /// UNSUPPORTED_OPERATION if no instances are remembered.
    fn claim_instance(&self, _id: &[u8; 64]) -> BinderResult<()> {
        Err(refused::<Self>("claimVmInstance"))
    }

    /// The VMs that run on the machine.
    ///
    /// # Errors
    /// UNSUPPORTED_OPERATION if they are not listed.
    fn debug_list_vms(&self) -> BinderResult<Vec<VirtualMachineDebugInfo>> {
        Err(refused::<Self>("debugListVms"))
    }

    /// The host's devices that VMs can have.
    ///
    /// # Errors
    /// UNSUPPORTED_OPERATION if VMs can have none.
    fn assignable_devices(&self) -> BinderResult<Vec<AssignableDevice>> {
        Err(refused::<Self>("getAssignableDevices"))
    }

    /// Prepares the attestation of test guests.
    ///
    /// # Errors
    /// UNSUPPORTED_OPERATION if no guest is attested.
    fn enable_test_attestation(&self) -> BinderResult<()> {
        Err(refused::<Self>("enableTestAttestation"))
    }

    /// Whether guests can be attested.
    ///
    /// # Errors
    /// UNSUPPORTED_OPERATION if no guest is attested.
    fn is_remote_attestation_supported(&self) -> BinderResult<bool> {
        Err(refused::<Self>("isRemoteAttestationSupported"))
    }

    /// Certificates for a guest's signing request.
    ///
    /// # Errors
    /// UNSUPPORTED_OPERATION if no guest is attested.
    fn request_attestation(&self, _csr: &[u8], _test_mode: bool) -> BinderResult<Vec<Certificate>> {
        Err(refused::<Self>("requestAttestation"))
    }
}

/// The answer of a method that the profile does not have.
fn refused<P: Profile>(method: &str) -> Status {
    let program = P::CAPABILITIES.program;
    unsupported(&format!("{program} doesn't support {method}"))
}
