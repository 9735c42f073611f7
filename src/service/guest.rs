// SPDX-License-Identifier: Apache-2.0
//! `IVirtualMachineService`: what the programs in a guest may tell their manager.

use crate::profile::{Chosen, Profile};
use crate::status::exception;
use crate::vm::{Instance, PayloadState};
use avf_aidl::common::IEncryptedStoreKEK;
use avf_aidl::common::{Certificate, ErrorCode};
use avf_aidl::secretkeeper::ISecretkeeper;
use avf_wire::server::{Guest, guest};
use avf_wire::{Release, Wire};
use rsbinder::{BinderResult, ExceptionCode, SIBinder, StatusCode, Strong};
use std::sync::{Arc, Weak};

/// The service of one guest. It does not keep its VM alive.
#[derive(Debug)]
pub struct GuestService {
    vm: Weak<Instance>,
    profile: Arc<Chosen>,
}

impl GuestService {
    /// The binder object for the guest of `vm`, whose client speaks `release`.
    #[must_use]
    pub fn binder(vm: &Arc<Instance>, profile: Arc<Chosen>, release: Release) -> SIBinder {
        let service = Self {
            vm: Arc::downgrade(vm),
            profile,
        };
        guest(Box::new(service), Wire::of_guest(release))
    }

    fn vm(&self) -> BinderResult<Arc<Instance>> {
        self.vm
            .upgrade()
            .ok_or_else(|| exception(ExceptionCode::IllegalState, "this VM is being removed"))
    }
}

impl Guest for GuestService {
    fn notify_payload_started(&self) -> BinderResult<()> {
        let vm = self.vm()?;
        vm.advance_payload(PayloadState::Started)
            .map_err(|e| (&e).into())
    }

    fn notify_payload_ready(&self) -> BinderResult<()> {
        let vm = self.vm()?;
        vm.advance_payload(PayloadState::Ready)
            .map_err(|e| (&e).into())
    }

    fn notify_payload_finished(&self, exit_code: i32) -> BinderResult<()> {
        let vm = self.vm()?;
        vm.advance_payload(PayloadState::Finished(exit_code))
            .map_err(|e| (&e).into())
    }

    fn notify_error(&self, code: ErrorCode, message: &str) -> BinderResult<()> {
        let vm = self.vm()?;
        // The numbers are open: an unknown one is passed on as what it is, unknown.
        let code = if (0..=3).contains(&code.0) {
            code
        } else {
            ErrorCode::UNKNOWN
        };
        vm.callbacks().error(vm.cid(), code, message);
        Ok(())
    }

    fn request_attestation(&self, csr: &[u8], test_mode: bool) -> BinderResult<Vec<Certificate>> {
        self.profile.request_attestation(csr, test_mode)
    }

    fn secretkeeper(&self) -> BinderResult<Strong<dyn ISecretkeeper>> {
        Err(StatusCode::NameNotFound.into())
    }

    fn encrypted_store_key(&self) -> BinderResult<Option<Strong<dyn IEncryptedStoreKEK>>> {
        Ok(self.vm()?.storage_key())
    }
}
