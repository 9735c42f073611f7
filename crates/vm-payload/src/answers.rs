// SPDX-License-Identifier: Apache-2.0
//! Tells when every call has been answered, so that a program that a call told to end can end after
//! its answer and not before.

use avf_rpc::observed::Observer;
use rsbinder::rpc::RpcResult;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// The number of connections that have read something and are not waiting for more.
#[derive(Debug, Default)]
pub(crate) struct Busy {
    connections: Mutex<usize>,
    less: Condvar,
}

impl Busy {
    /// Waits until no connection is busy, for at most `timeout`.
    pub(crate) fn wait(&self, timeout: Duration) {
        let busy = self
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Whether it was reached in time makes no difference to a caller about to end.
        drop(
            self.less
                .wait_timeout_while(busy, timeout, |busy| *busy > 0),
        );
    }

    fn add(&self) {
        *self
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner) += 1;
    }

    fn remove(&self) {
        *self
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner) -= 1;
        self.less.notify_all();
    }
}

/// Counts a connection as busy from the end of a read to the beginning of the next: in between, its
/// thread runs a call and sends the answer.
pub(crate) struct Watch {
    busy: Arc<Busy>,
    counted: AtomicBool,
}

impl Watch {
    pub(crate) fn new(busy: Arc<Busy>) -> Self {
        Self {
            busy,
            counted: AtomicBool::new(false),
        }
    }
}

impl Observer for Watch {
    fn before_read(&self) {
        if self.counted.swap(false, Ordering::AcqRel) {
            self.busy.remove();
        }
    }

    fn after_read(&self, _bytes: usize) -> RpcResult<()> {
        if !self.counted.swap(true, Ordering::AcqRel) {
            self.busy.add();
        }
        Ok(())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.before_read();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use avf_aidl::r15_qpr1::common::{Certificate, ErrorCode};
    use avf_aidl::r15_qpr1::guest::{BnVirtualMachineService, IVirtualMachineService};
    use avf_aidl::r15_qpr1::secretkeeper::ISecretkeeper;
    use avf_rpc::observed::Observed;
    use avf_rpc::payload::connect_payload;
    use avf_rpc::server::{Policy, Server};
    use rsbinder::rpc::RpcTransport;
    use rsbinder::rpc::transport::UnixTransport;
    use rsbinder::{BinderResult, FromIBinder, Interface, StatusCode, Strong};
    use std::os::unix::net::UnixStream;
    use std::sync::mpsc::{Sender, channel};

    /// A service one of whose calls ends its server.
    struct Ends(Sender<()>);

    impl Interface for Ends {}

    #[allow(non_snake_case, reason = "AIDL method names")]
    impl IVirtualMachineService for Ends {
        fn notifyPayloadStarted(&self) -> BinderResult<()> {
            Ok(())
        }
        fn notifyPayloadReady(&self) -> BinderResult<()> {
            Ok(())
        }
        fn notifyPayloadFinished(&self, _: i32) -> BinderResult<()> {
            self.0.send(()).unwrap();
            // The worst case: the answer is not even begun when the other thread goes on.
            std::thread::yield_now();
            Ok(())
        }
        fn notifyError(&self, _: ErrorCode, _: &str) -> BinderResult<()> {
            Ok(())
        }
        fn requestAttestation(&self, _: &[u8], _: bool) -> BinderResult<Vec<Certificate>> {
            Ok(Vec::new())
        }
        fn getSecretkeeper(&self) -> BinderResult<Strong<dyn ISecretkeeper>> {
            Err(StatusCode::NameNotFound.into())
        }
    }

    #[test]
    fn the_answer_of_the_last_call_arrives() {
        for _ in 0..200 {
            let (ends, ended) = channel();
            let root = BnVirtualMachineService::new_binder(Ends(ends));
            let policy = Policy {
                connections: 8,
                threads: 2,
                callbacks: 0,
                call_bytes: None,
                fds: false,
                reply_timeout: None,
            };
            let server = Arc::new(Server::new(root.as_binder(), policy).unwrap());
            let busy = Arc::new(Busy::default());
            let (serving, watching) = (Arc::clone(&server), Arc::clone(&busy));
            let session = connect_payload(move || {
                let (ours, theirs) = UnixStream::pair().unwrap();
                let transport: Box<dyn RpcTransport> =
                    Box::new(UnixTransport::from_owned_fd(ours.into()).unwrap());
                let watch = Watch::new(Arc::clone(&watching));
                serving.serve(Box::new(Observed::new(transport, watch)));
                Ok(theirs.into())
            })
            .unwrap();
            let service =
                <dyn IVirtualMachineService as FromIBinder>::try_from(session.get_root().unwrap())
                    .unwrap();
            std::thread::scope(|scope| {
                let call = scope.spawn(move || service.notifyPayloadFinished(0));
                ended.recv().unwrap();
                busy.wait(Duration::from_secs(60));
                server.terminate();
                call.join().unwrap().unwrap();
            });
        }
    }
}
