// SPDX-License-Identifier: Apache-2.0
//! The session with the manager.

use crate::Error;
use avf_aidl::r15_qpr1::common::ErrorCode;
use avf_aidl::r15_qpr1::guest::IVirtualMachineService;
use avf_rpc::payload::connect_host;
use rsbinder::rpc::RpcSession;
use rsbinder::{BinderResult, FromIBinder, Strong};
use std::fmt;

/// The smallest CID that a guest can have: 0 to 2 are the hypervisor, the loopback and the host.
const FIRST_GUEST_CID: u32 = 3;

/// The manager of this VM, as the guest sees it. Dropping it ends the session.
pub struct Host {
    cid: u32,
    service: Strong<dyn IVirtualMachineService>,
    _session: RpcSession,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("cid", &self.cid)
            .finish_non_exhaustive()
    }
}

impl Host {
    /// Connects to the manager: CID 2, and as port the guest's own CID.
    ///
    /// # Errors
    /// If the guest has no vsock device, or the manager does not listen or is not one.
    pub fn connect() -> Result<Self, Error> {
        let cid = vsock::get_local_cid().map_err(Error::Cid)?;
        if cid < FIRST_GUEST_CID || cid == vsock::VMADDR_CID_ANY {
            return Err(Error::NoCid(cid));
        }
        let session = connect_host(cid).map_err(|source| Error::Connect { port: cid, source })?;
        let not_a_manager = |status| Error::NotAManager { port: cid, status };
        let root = session.get_root().map_err(not_a_manager)?;
        let service =
            <dyn IVirtualMachineService as FromIBinder>::try_from(root).map_err(not_a_manager)?;
        Ok(Self {
            cid,
            service,
            _session: session,
        })
    }

    /// This guest's CID.
    #[must_use]
    pub fn cid(&self) -> u32 {
        self.cid
    }

    /// The service itself, for calls that this type has no method for.
    #[must_use]
    pub fn service(&self) -> &Strong<dyn IVirtualMachineService> {
        &self.service
    }

    /// Tells the host that the payload was started.
    ///
    /// # Errors
    /// If the session is gone, or the host has already heard of a later state.
    pub fn notify_started(&self) -> Result<(), Error> {
        report("notifyPayloadStarted", self.service.notifyPayloadStarted())
    }

    /// Tells the host that the payload serves its clients.
    ///
    /// # Errors
    /// If the session is gone, or the host has already heard of a later state.
    pub fn notify_ready(&self) -> Result<(), Error> {
        report("notifyPayloadReady", self.service.notifyPayloadReady())
    }

    /// Tells the host that the payload has ended with exit code `code`.
    ///
    /// # Errors
    /// If the session is gone, or the host has already heard of a later state.
    pub fn notify_finished(&self, code: i32) -> Result<(), Error> {
        report(
            "notifyPayloadFinished",
            self.service.notifyPayloadFinished(code),
        )
    }

    /// Tells the host that something failed; `message` is for humans.
    ///
    /// # Errors
    /// If the session is gone.
    pub fn notify_error(&self, code: ErrorCode, message: &str) -> Result<(), Error> {
        report("notifyError", self.service.notifyError(code, message))
    }
}

fn report(report: &'static str, answer: BinderResult<()>) -> Result<(), Error> {
    answer.map_err(|status| Error::Report { report, status })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;

    #[test]
    fn a_machine_without_vsock_is_told_so() {
        if std::path::Path::new("/dev/vsock").exists() {
            skip::skip!("this machine has /dev/vsock");
            return;
        }
        let error = Host::connect().unwrap_err();
        assert!(error.to_string().contains("/dev/vsock"), "{error}");
        assert!(error.source().is_some());
    }
}
