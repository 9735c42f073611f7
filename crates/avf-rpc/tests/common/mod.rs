// SPDX-License-Identifier: Apache-2.0
//! A server with a root object of few methods, and the bytes of a peer that does not use the library.

use avf_aidl::common::{DeathReason, ErrorCode};
use avf_aidl::service::{BnVirtualMachineCallback, IVirtualMachineCallback};
use avf_rpc::server::{Policy, Server};
use rsbinder::rpc::transport::UnixTransport;
use rsbinder::{BinderResult, Interface};
use std::os::unix::net::UnixStream;

struct Root;

impl Interface for Root {}

#[allow(non_snake_case, reason = "AIDL method names")]
impl IVirtualMachineCallback for Root {
    fn onPayloadStarted(&self, _: i32) -> BinderResult<()> {
        Ok(())
    }
    fn onPayloadReady(&self, _: i32) -> BinderResult<()> {
        Ok(())
    }
    fn onPayloadFinished(&self, _: i32, _: i32) -> BinderResult<()> {
        Ok(())
    }
    fn onError(&self, _: i32, _: ErrorCode, _: &str) -> BinderResult<()> {
        Ok(())
    }
    fn onDied(&self, _: i32, _: DeathReason) -> BinderResult<()> {
        Ok(())
    }

    fn onGuestAgentRegistered(&self, _: i32, _: i32) -> BinderResult<()> {
        Ok(())
    }
}

/// The policy of a manager.
pub(crate) const POLICY: Policy = Policy {
    connections: 128,
    threads: 4,
    callbacks: 64,
    call_bytes: None,
    fds: true,
    reply_timeout: None,
};

pub(crate) fn server() -> Server {
    let root = BnVirtualMachineCallback::new_binder(Root);
    Server::new(root.as_binder(), POLICY).unwrap()
}

/// A new connection to `server`.
pub(crate) fn connect(server: &Server) -> UnixStream {
    let (ours, theirs) = UnixStream::pair().unwrap();
    server.serve(Box::new(UnixTransport::from_stream(theirs).unwrap()));
    ours
}

/// The header of a new session with the protocol of Android 16 and descriptors, and the word that
/// follows it.
pub(crate) fn handshake() -> Vec<u8> {
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    bytes.extend([0, 1]);
    bytes.extend([0; 8]);
    bytes.extend(0_u16.to_le_bytes());
    bytes.extend(b"cci\0\0\0\0\0");
    bytes
}
