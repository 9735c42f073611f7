// SPDX-License-Identifier: Apache-2.0
//! What is refused before any file is opened.

use crate::capabilities::Capabilities;
use crate::error::{Error, Kind};
use avf_aidl::service::VirtualMachineRawConfig;
use host::Hypervisor;

/// Refuses what this profile, or this host, cannot do, by the field's name.
///
/// # Errors
/// [`Kind::Unsupported`]; [`Kind::Failure`] where the interface's contract has that.
pub fn check_features(
    config: &VirtualMachineRawConfig,
    can: Capabilities,
    hypervisor: &Hypervisor,
) -> Result<(), Error> {
    if config.enableHypervisorSpecificAuthMethod {
        return Err(Error::new(
            Kind::Failure,
            "enableHypervisorSpecificAuthMethod: it is for protected VMs of the hypervisor Gunyah, which this manager does not use; leave it out",
        ));
    }
    let program = can.program;
    let refused = [
        (
            config.networkSupported && !can.network,
            format!("{program} doesn't support networkSupported"),
        ),
        (
            config.networkSupported && config.protectedVm,
            "networkSupported: a protected VM cannot have a network".to_owned(),
        ),
        (
            !config.deviceAssignmentConfig.devices.is_empty() && !can.device_assignment,
            format!("{program} doesn't support devices"),
        ),
        (
            config.protectedVm && !hypervisor.protected_vms,
            "protectedVm: the hypervisor of this host has no protected VMs".to_owned(),
        ),
        (
            !config.sharedPaths.is_empty(),
            format!("{program} doesn't support sharedPaths; give the guest its files on a disk"),
        ),
        (
            !config.hostServices.is_empty(),
            format!("{program} doesn't support hostServices; let the guest connect over vsock"),
        ),
        (
            !config.teeServices.is_empty(),
            format!("{program} doesn't support teeServices; leave them out"),
        ),
        (
            is_given(config.profileName.as_deref()),
            format!("{program} doesn't support profileName; set the fields themselves"),
        ),
    ];
    match refused.into_iter().find(|(asked, _)| *asked) {
        Some((_, what)) => Err(Error::unsupported(what)),
        None => Ok(()),
    }
}

/// Whether a name is given.
pub(crate) fn is_given(name: Option<&str>) -> bool {
    name.is_some_and(|name| !name.is_empty())
}
