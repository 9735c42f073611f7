// SPDX-License-Identifier: Apache-2.0
//! `IVirtualMachineService` for guests of every release.

use super::{answer, answer_nothing, resolve, unsupported};
use crate::interfaces::{GUEST, GuestMethod};
use crate::recognise::Wire;
use avf_aidl::common::{Certificate, ErrorCode, IEncryptedStoreKEK};
use avf_aidl::guest::BpVirtualMachineService;
use avf_aidl::secretkeeper::ISecretkeeper;
use rsbinder::{
    Binder, BinderResult, Interface, Parcel, Proxy, Remotable, SIBinder, StatusCode, Strong,
    TransactionCode,
};
use std::io::Write;

/// What the programs in a guest may ask of its manager, whichever release they come from.
///
/// Each method answers with the exceptions of the interface's contract.
#[expect(
    missing_docs,
    reason = "the methods are the interface's own; see the .aidl files"
)]
pub trait Guest: Send + Sync {
    fn notify_payload_started(&self) -> BinderResult<()>;
    fn notify_payload_ready(&self) -> BinderResult<()>;
    fn notify_payload_finished(&self, exit_code: i32) -> BinderResult<()>;
    fn notify_error(&self, code: ErrorCode, message: &str) -> BinderResult<()>;
    fn request_attestation(&self, csr: &[u8], test_mode: bool) -> BinderResult<Vec<Certificate>>;
    fn secretkeeper(&self) -> BinderResult<Strong<dyn ISecretkeeper>>;
    fn claim_secretkeeper_entry(&self, _id: &[u8; 64]) -> BinderResult<()> {
        unsupported("claimSecretkeeperEntry")
    }
    fn host_rpc_provider(&self) -> BinderResult<SIBinder> {
        unsupported("getHostRpcProvider")
    }
    fn register_guest_agent(&self, _agent: &SIBinder) -> BinderResult<()> {
        unsupported("registerGuestAgent")
    }
    fn encrypted_store_key(&self) -> BinderResult<Option<Strong<dyn IEncryptedStoreKEK>>>;
    fn forward_atom(&self) -> BinderResult<()> {
        unsupported("forwardAtom")
    }
}

/// The binder object of `server` for one guest.
#[must_use]
pub fn guest(server: Box<dyn Guest>, wire: Wire) -> SIBinder {
    Binder::new(GuestObject { server, wire }).as_binder()
}

struct GuestObject {
    server: Box<dyn Guest>,
    wire: Wire,
}

impl Remotable for GuestObject {
    fn descriptor() -> &'static str {
        BpVirtualMachineService::descriptor()
    }

    fn on_transact(
        &self,
        code: TransactionCode,
        arguments: &mut Parcel,
        reply: &mut Parcel,
    ) -> Result<(), StatusCode> {
        let Some((call, _)) = resolve(&self.wire, &GUEST, code, arguments, reply)? else {
            return Ok(());
        };
        let server = &*self.server;
        match call.method.method {
            GuestMethod::NotifyPayloadStarted => {
                answer_nothing(reply, server.notify_payload_started())
            }
            GuestMethod::NotifyPayloadReady => answer_nothing(reply, server.notify_payload_ready()),
            GuestMethod::NotifyPayloadFinished => {
                answer_nothing(reply, server.notify_payload_finished(arguments.read()?))
            }
            GuestMethod::NotifyError => {
                let (code, message): (ErrorCode, String) = (arguments.read()?, arguments.read()?);
                answer_nothing(reply, server.notify_error(code, &message))
            }
            GuestMethod::RequestAttestation => {
                let (csr, test_mode): (Vec<u8>, bool) = (arguments.read()?, arguments.read()?);
                answer(reply, &server.request_attestation(&csr, test_mode))
            }
            GuestMethod::GetSecretkeeper => answer(reply, &server.secretkeeper()),
            GuestMethod::ClaimSecretkeeperEntry => {
                answer_nothing(reply, server.claim_secretkeeper_entry(&arguments.read()?))
            }
            GuestMethod::GetHostRpcProvider => answer(reply, &server.host_rpc_provider()),
            GuestMethod::RegisterGuestAgent => {
                answer_nothing(reply, server.register_guest_agent(&arguments.read()?))
            }
            GuestMethod::GetEncryptedStoreKek => answer(reply, &server.encrypted_store_key()),
            GuestMethod::ForwardAtom => answer_nothing(reply, server.forward_atom()),
        }
    }

    fn on_dump(&self, _writer: &mut dyn Write, _args: &[String]) -> Result<(), StatusCode> {
        Ok(())
    }
}
