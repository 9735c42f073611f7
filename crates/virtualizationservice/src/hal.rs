// SPDX-License-Identifier: Apache-2.0
//! The device's own services that this one calls, where kernel binder and a manifest declare them.

use avf_aidl::secretkeeper::{ISecretkeeper, SecretId};
use rsbinder::{FromIBinder, Status, StatusCode};
use service_client::Kernel;
use std::sync::Arc;

/// The store of VMs' secrets.
const SECRETKEEPER: &str = "android.hardware.security.secretkeeper.ISecretkeeper/default";
/// What certifies VMs.
const REMOTE_PROVISIONING: &str =
    "android.hardware.security.keymint.IRemotelyProvisionedComponent/avf";

/// Whether VMs can be certified by this device at all.
pub(crate) fn has_remote_provisioning(kernel: Option<&Kernel>) -> bool {
    kernel.is_some_and(|kernel| kernel.is_declared(REMOTE_PROVISIONING))
}

/// The store of VMs' secrets, if this device has one.
#[derive(Debug)]
pub(crate) struct SecretStore {
    kernel: Option<Arc<Kernel>>,
}

impl SecretStore {
    /// The one that the manifest declares.
    pub(crate) fn declared(kernel: Option<&Arc<Kernel>>) -> Self {
        Self {
            kernel: kernel
                .filter(|kernel| kernel.is_declared(SECRETKEEPER))
                .cloned(),
        }
    }

    /// None.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self { kernel: None }
    }

    /// Whether there is one.
    pub(crate) fn is_there(&self) -> bool {
        self.kernel.is_some()
    }

    /// Deletes the secrets of `ids`.
    pub(crate) fn delete(&self, ids: &[[u8; 64]]) -> Result<(), Status> {
        let Some(kernel) = &self.kernel else {
            return Ok(());
        };
        // Looked up each time: it may have been restarted.
        let binder = kernel
            .get(SECRETKEEPER)
            .ok()
            .flatten()
            .ok_or(StatusCode::NameNotFound)?;
        let secrets = <dyn ISecretkeeper>::try_from(binder)?;
        let ids: Vec<SecretId> = ids.iter().map(|id| SecretId { id: *id }).collect();
        secrets.deleteIds(&ids)
    }
}
