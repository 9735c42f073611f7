// SPDX-License-Identifier: Apache-2.0
//! A transport around another, whose observer hears of every read and write.

use rsbinder::rpc::{PeerIdentity, RpcResult, RpcTransport};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

/// What hears of the traffic of a connection. All methods do nothing unless overridden.
pub trait Observer: Send + Sync {
    /// The connection is about to wait for its peer.
    fn before_read(&self) {}

    /// The peer sent `bytes` bytes; 0 is its end of file. An error ends the session.
    ///
    /// # Errors
    /// Whatever the observer objects to.
    fn after_read(&self, bytes: usize) -> RpcResult<()> {
        let _ = bytes;
        Ok(())
    }

    /// Something is about to be sent to the peer.
    fn before_write(&self) {}

    /// The library bounds its waits for the peer: with `Some` while the peer has to complete a
    /// handshake, with `None` from then on.
    fn read_timeout(&self, timeout: Option<Duration>) {
        let _ = timeout;
    }

    /// How the library may cut the connection from another thread when a deadline passes. It starts a
    /// thread for each deadline of a connection that has this; without it, only each single wait is
    /// bounded.
    fn shutdown_handle(&self, inner: &dyn RpcTransport) -> Option<Box<dyn FnOnce() + Send>> {
        inner.shutdown_handle()
    }

    /// Reads from `inner`, where descriptors may come with the bytes.
    ///
    /// # Errors
    /// Those of `inner`.
    fn read_with_fds(
        &self,
        inner: &dyn RpcTransport,
        buf: &mut [u8],
    ) -> RpcResult<(usize, Vec<OwnedFd>)> {
        inner.recv_raw_with_fds(buf)
    }
}

/// A transport with an [`Observer`], which goes when the transport does.
pub struct Observed<O> {
    // Field order is drop order: the connection is closed before the observer learns of its end.
    inner: Arc<dyn RpcTransport>,
    observer: O,
}

impl<O: Observer> Observed<O> {
    /// Has `observer` watch the traffic of `inner`.
    #[must_use]
    pub fn new(inner: impl Into<Arc<dyn RpcTransport>>, observer: O) -> Self {
        Self {
            inner: inner.into(),
            observer,
        }
    }

    /// One read, by `read`, which says how many bytes came.
    fn read<R>(
        &self,
        bytes: impl FnOnce(&R) -> usize,
        read: impl FnOnce() -> RpcResult<R>,
    ) -> RpcResult<R> {
        self.observer.before_read();
        let got = read()?;
        self.observer.after_read(bytes(&got))?;
        Ok(got)
    }

    fn write(&self, write: impl FnOnce(&dyn RpcTransport) -> RpcResult<()>) -> RpcResult<()> {
        self.observer.before_write();
        write(&*self.inner)
    }
}

impl<O: Observer> RpcTransport for Observed<O> {
    fn recv_frame(&self) -> RpcResult<Vec<u8>> {
        self.read(Vec::len, || self.inner.recv_frame())
    }
    fn recv_frame_with_fds(&self) -> RpcResult<(Vec<u8>, Vec<OwnedFd>)> {
        self.read(
            |(frame, _): &(Vec<u8>, _)| frame.len(),
            || self.inner.recv_frame_with_fds(),
        )
    }
    fn recv_raw(&self, buf: &mut [u8]) -> RpcResult<usize> {
        self.read(|count| *count, || self.inner.recv_raw(buf))
    }
    fn recv_raw_with_fds(&self, buf: &mut [u8]) -> RpcResult<(usize, Vec<OwnedFd>)> {
        self.read(
            |(count, _): &(usize, _)| *count,
            || self.observer.read_with_fds(&*self.inner, buf),
        )
    }

    fn send_frame(&self, buf: &[u8]) -> RpcResult<()> {
        self.write(|inner| inner.send_frame(buf))
    }
    fn send_frame_with_fds(&self, buf: &[u8], fds: &[BorrowedFd<'_>]) -> RpcResult<()> {
        self.write(|inner| inner.send_frame_with_fds(buf, fds))
    }
    fn send_raw(&self, buf: &[u8]) -> RpcResult<()> {
        self.write(|inner| inner.send_raw(buf))
    }
    fn send_raw_with_fds(&self, buf: &[u8], fds: &[BorrowedFd<'_>]) -> RpcResult<()> {
        self.write(|inner| inner.send_raw_with_fds(buf, fds))
    }
    fn send_raw_draining(
        &self,
        buf: &[u8],
        fds: &[BorrowedFd<'_>],
        drain: &mut dyn FnMut() -> RpcResult<()>,
    ) -> RpcResult<()> {
        self.write(|inner| inner.send_raw_draining(buf, fds, drain))
    }

    fn peer_identity(&self) -> PeerIdentity {
        self.inner.peer_identity()
    }
    fn describe(&self) -> &str {
        self.inner.describe()
    }
    fn set_read_timeout(&self, timeout: Option<Duration>) -> RpcResult<()> {
        self.observer.read_timeout(timeout);
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
        self.observer.shutdown_handle(&*self.inner)
    }
    fn shutdown(&self) -> RpcResult<()> {
        self.inner.shutdown()
    }
    fn supports_fd_passing(&self) -> bool {
        self.inner.supports_fd_passing()
    }
}
