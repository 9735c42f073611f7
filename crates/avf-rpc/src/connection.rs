// SPDX-License-Identifier: Apache-2.0
//! Counted connections: a transport that gives its place back when it is dropped.
//!
//! The RPC library bounds connections only in an accept loop of its own, which polls. Ours do not,
//! so the bound is kept here.

use rsbinder::rpc::transport::RpcTransport;
use rsbinder::rpc::{PeerIdentity, RpcError};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

type RpcResult<T> = Result<T, RpcError>;

/// How many connections one server serves at once.
#[derive(Debug, Clone)]
pub struct Limit {
    live: Arc<AtomicUsize>,
    most: usize,
}

impl Limit {
    /// At most `most` connections at once.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            live: Arc::default(),
            most,
        }
    }

    /// Takes a place, or `None` if all are taken.
    #[must_use]
    pub fn take(&self) -> Option<Place> {
        self.live
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| {
                (n < self.most).then_some(n + 1)
            })
            .ok()
            .map(|_| Place {
                live: Arc::clone(&self.live),
            })
    }

    /// The connections served now.
    #[must_use]
    pub fn live(&self) -> usize {
        self.live.load(Ordering::Acquire)
    }
}

/// One taken place of a [`Limit`], given back when dropped.
#[derive(Debug)]
pub struct Place {
    live: Arc<AtomicUsize>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.live.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A transport that holds a [`Place`] as long as the RPC library holds the transport, and that
/// bounds what a peer may send without being answered.
///
/// The library accepts messages of up to 64 MiB. A call is answered before the next is read, so
/// what arrives between two answers is one call, and a bound on it is one on the size of calls.
pub struct Counted {
    inner: Box<dyn RpcTransport>,
    _place: Place,
    /// Bytes received since the last were sent, and how many are allowed.
    unanswered: AtomicUsize,
    most_unanswered: usize,
}

impl Counted {
    /// Ties `place` to `inner`, whose peer may send at most `most_unanswered` bytes in a row.
    #[must_use]
    pub fn new(inner: Box<dyn RpcTransport>, place: Place, most_unanswered: usize) -> Self {
        Self {
            inner,
            _place: place,
            unanswered: AtomicUsize::new(0),
            most_unanswered,
        }
    }

    fn received(&self, bytes: usize) -> RpcResult<()> {
        let before = self.unanswered.fetch_add(bytes, Ordering::Relaxed);
        let declared = before.saturating_add(bytes);
        if declared > self.most_unanswered {
            log::warn!(
                "{}: ended, its peer sent {declared} bytes in one call",
                self.describe()
            );
            return Err(RpcError::FrameTooLarge {
                declared,
                max: self.most_unanswered,
            });
        }
        Ok(())
    }

    fn sent(&self) {
        self.unanswered.store(0, Ordering::Relaxed);
    }
}

impl RpcTransport for Counted {
    fn send_frame(&self, buf: &[u8]) -> RpcResult<()> {
        self.inner.send_frame(buf)
    }
    fn recv_frame(&self) -> RpcResult<Vec<u8>> {
        self.inner.recv_frame()
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
    fn send_frame_with_fds(&self, buf: &[u8], fds: &[BorrowedFd<'_>]) -> RpcResult<()> {
        self.inner.send_frame_with_fds(buf, fds)
    }
    fn recv_frame_with_fds(&self) -> RpcResult<(Vec<u8>, Vec<OwnedFd>)> {
        self.inner.recv_frame_with_fds()
    }
    fn send_raw(&self, buf: &[u8]) -> RpcResult<()> {
        self.sent();
        self.inner.send_raw(buf)
    }
    fn recv_raw(&self, buf: &mut [u8]) -> RpcResult<usize> {
        let count = self.inner.recv_raw(buf)?;
        self.received(count)?;
        Ok(count)
    }
    fn send_raw_with_fds(&self, buf: &[u8], fds: &[BorrowedFd<'_>]) -> RpcResult<()> {
        self.sent();
        self.inner.send_raw_with_fds(buf, fds)
    }
    fn recv_raw_with_fds(&self, buf: &mut [u8]) -> RpcResult<(usize, Vec<OwnedFd>)> {
        let (count, fds) = self.inner.recv_raw_with_fds(buf)?;
        self.received(count)?;
        Ok((count, fds))
    }
    fn send_raw_draining(
        &self,
        buf: &[u8],
        fds: &[BorrowedFd<'_>],
        drain: &mut dyn FnMut() -> RpcResult<()>,
    ) -> RpcResult<()> {
        self.sent();
        self.inner.send_raw_draining(buf, fds, drain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rsbinder::rpc::transport::UnixTransport;

    #[test]
    fn a_peer_may_send_only_so_much_unanswered() {
        let (ours, theirs) = UnixTransport::pair().unwrap();
        let place = Limit::new(1).take().unwrap();
        let ours = Counted::new(Box::new(ours), place, 1000);
        let mut buffer = [0; 600];
        theirs.send_raw(&[1; 600]).unwrap();
        assert_eq!(ours.recv_raw(&mut buffer).unwrap(), 600);
        ours.send_raw(b"answer").unwrap();
        theirs.send_raw(&[1; 600]).unwrap();
        assert_eq!(ours.recv_raw(&mut buffer).unwrap(), 600);
        theirs.send_raw(&[1; 600]).unwrap();
        let error = ours.recv_raw(&mut buffer).unwrap_err();
        assert!(
            matches!(error, RpcError::FrameTooLarge { max: 1000, .. }),
            "{error}"
        );
    }

    #[test]
    fn places_are_bounded_and_come_back() {
        let limit = Limit::new(2);
        let first = limit.take().unwrap();
        let _second = limit.take().unwrap();
        assert!(limit.take().is_none());
        drop(first);
        assert_eq!(limit.live(), 1);
        assert!(limit.take().is_some());
    }
}
