// SPDX-License-Identifier: Apache-2.0
//! `IVirtualMachineService`: what the programs in a guest may tell their manager.

use crate::profile::{Chosen, Profile};
use crate::status::exception;
use crate::vm::{Instance, PayloadState};
use avf_aidl::common::{Certificate, ErrorCode};
use avf_aidl::guest::{BnVirtualMachineService, IVirtualMachineService};
use avf_aidl::secretkeeper::ISecretkeeper;
use rsbinder::{BinderResult, ExceptionCode, Interface, SIBinder, StatusCode, Strong};
use std::sync::{Arc, Weak};

/// The service of one guest. It does not keep its VM alive.
#[derive(Debug)]
pub struct GuestService {
    vm: Weak<Instance>,
    profile: Arc<Chosen>,
}

impl GuestService {
    /// The binder object for the guest of `vm`.
    #[must_use]
    pub fn binder(vm: &Arc<Instance>, profile: Arc<Chosen>) -> SIBinder {
        let service = Self {
            vm: Arc::downgrade(vm),
            profile,
        };
        BnVirtualMachineService::new_binder(service).as_binder()
    }

    fn vm(&self) -> BinderResult<Arc<Instance>> {
        self.vm
            .upgrade()
            .ok_or_else(|| exception(ExceptionCode::IllegalState, "this VM is being removed"))
    }
}

impl Interface for GuestService {}

impl IVirtualMachineService for GuestService {
    fn notifyPayloadStarted(&self) -> BinderResult<()> {
        let vm = self.vm()?;
        vm.advance_payload(PayloadState::Started)
            .map_err(|e| (&e).into())
    }

    fn notifyPayloadReady(&self) -> BinderResult<()> {
        let vm = self.vm()?;
        vm.advance_payload(PayloadState::Ready)
            .map_err(|e| (&e).into())
    }

    fn notifyPayloadFinished(&self, exit_code: i32) -> BinderResult<()> {
        let vm = self.vm()?;
        vm.advance_payload(PayloadState::Finished(exit_code))
            .map_err(|e| (&e).into())
    }

    fn notifyError(&self, code: ErrorCode, message: &str) -> BinderResult<()> {
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

    fn requestAttestation(&self, csr: &[u8], test_mode: bool) -> BinderResult<Vec<Certificate>> {
        self.profile.request_attestation(csr, test_mode)
    }

    fn getSecretkeeper(&self) -> BinderResult<Strong<dyn ISecretkeeper>> {
        Err(StatusCode::NameNotFound.into())
    }
}
