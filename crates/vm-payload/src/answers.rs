// SPDX-License-Identifier: Apache-2.0
//! Knows when the answers of all calls are on their way, so that a program which was told to end by
//! a call can end after its answer and not before.

use rsbinder::rpc::{PeerIdentity, RpcResult, RpcTransport};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// The number of connections that have read something and are not back to read more.
#[derive(Debug, Default)]
pub(crate) struct Busy {
    connections: Mutex<usize>,
    less: Condvar,
}

impl Busy {
    /// Waits until no connection is busy, for at most `patience`.
    pub(crate) fn wait(&self, patience: Duration) {
        let busy = self
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Whether it was reached in time makes no difference to a caller about to end.
        drop(
            self.less
                .wait_timeout_while(busy, patience, |busy| *busy > 0),
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

/// A connection that counts itself as busy from the end of a read to the beginning of the next: in
/// between, its thread runs a call and sends the answer.
pub(crate) struct Watched<T> {
    inner: T,
    busy: Arc<Busy>,
    counted: AtomicBool,
}

impl<T: RpcTransport> Watched<T> {
    pub(crate) fn new(inner: T, busy: Arc<Busy>) -> Self {
        Self {
            inner,
            busy,
            counted: AtomicBool::new(false),
        }
    }

    fn read<R>(&self, read: impl FnOnce(&T) -> RpcResult<R>) -> RpcResult<R> {
        self.leave();
        let got = read(&self.inner);
        if got.is_ok() && !self.counted.swap(true, Ordering::AcqRel) {
            self.busy.add();
        }
        got
    }
}

impl<T> Watched<T> {
    fn leave(&self) {
        if self.counted.swap(false, Ordering::AcqRel) {
            self.busy.remove();
        }
    }
}

impl<T> Drop for Watched<T> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl<T: RpcTransport> RpcTransport for Watched<T> {
    fn recv_frame(&self) -> RpcResult<Vec<u8>> {
        self.read(T::recv_frame)
    }
    fn recv_frame_with_fds(&self) -> RpcResult<(Vec<u8>, Vec<OwnedFd>)> {
        self.read(T::recv_frame_with_fds)
    }
    fn recv_raw(&self, buf: &mut [u8]) -> RpcResult<usize> {
        self.read(|inner| inner.recv_raw(buf))
    }
    fn recv_raw_with_fds(&self, buf: &mut [u8]) -> RpcResult<(usize, Vec<OwnedFd>)> {
        self.read(|inner| inner.recv_raw_with_fds(buf))
    }

    fn send_frame(&self, buf: &[u8]) -> RpcResult<()> {
        self.inner.send_frame(buf)
    }
    fn send_frame_with_fds(&self, buf: &[u8], fds: &[BorrowedFd<'_>]) -> RpcResult<()> {
        self.inner.send_frame_with_fds(buf, fds)
    }
    fn send_raw(&self, buf: &[u8]) -> RpcResult<()> {
        self.inner.send_raw(buf)
    }
    fn send_raw_with_fds(&self, buf: &[u8], fds: &[BorrowedFd<'_>]) -> RpcResult<()> {
        self.inner.send_raw_with_fds(buf, fds)
    }
    fn send_raw_draining(
        &self,
        buf: &[u8],
        fds: &[BorrowedFd<'_>],
        drain: &mut dyn FnMut() -> RpcResult<()>,
    ) -> RpcResult<()> {
        self.inner.send_raw_draining(buf, fds, drain)
    }
    fn peer_identity(&self) -> PeerIdentity {
        self.inner.peer_identity()
    }
    fn describe(&self) -> &str {
        self.inner.describe()
    }
    fn set_read_timeout(&self, timeout: Option<Duration>) -> RpcResult<()> {
        self.inner.set_read_timeout(timeout)
    }
    fn set_write_timeout(&self, timeout: Option<Duration>) -> RpcResult<()> {
        self.inner.set_write_timeout(timeout)
    }
    fn set_liveness(&self, timeout: Option<Duration>) -> RpcResult<()> {
        self.inner.set_liveness(timeout)
    }
    fn peer_closed(&self) -> Option<bool> {
        self.inner.peer_closed()
    }
    fn shutdown_handle(&self) -> Option<Box<dyn FnOnce() + Send>> {
        self.inner.shutdown_handle()
    }
    fn shutdown(&self) -> RpcResult<()> {
        self.inner.shutdown()
    }
    fn supports_fd_passing(&self) -> bool {
        self.inner.supports_fd_passing()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use avf_aidl::common::{Certificate, ErrorCode};
    use avf_aidl::guest::{BnVirtualMachineService, IVirtualMachineService};
    use avf_aidl::secretkeeper::ISecretkeeper;
    use avf_rpc::payload::connect_payload;
    use avf_rpc::server::{Policy, Server};
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
                call_bytes: None,
                fds: false,
                reply_timeout: None,
            };
            let server = Arc::new(Server::new(root.as_binder(), policy).unwrap());
            let busy = Arc::new(Busy::default());
            let (serving, watching) = (Arc::clone(&server), Arc::clone(&busy));
            let session = connect_payload(move || {
                let (ours, theirs) = UnixStream::pair().unwrap();
                let transport = UnixTransport::from_owned_fd(ours.into()).unwrap();
                serving.serve(Box::new(Watched::new(transport, Arc::clone(&watching))));
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
