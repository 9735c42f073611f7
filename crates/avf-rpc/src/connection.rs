// SPDX-License-Identifier: Apache-2.0
//! Bounds on connections: how many a server serves, and how large their calls may be.
//!
//! The RPC library bounds connections only in an accept loop of its own, which polls. Ours do not,
//! so the bound is kept here.

use crate::log_limit::LogLimit;
use crate::observed::Observer;
use rsbinder::rpc::{RpcError, RpcResult};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many connections a server serves at once.
#[derive(Debug, Clone)]
pub struct Limit {
    live: Arc<AtomicUsize>,
    max: usize,
}

impl Limit {
    /// At most `max` connections at once.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self {
            live: Arc::default(),
            max,
        }
    }

    /// Takes a slot, or `None` if all are taken.
    #[must_use]
    pub fn take(&self) -> Option<Slot> {
        self.live
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| {
                (n < self.max).then_some(n + 1)
            })
            .ok()
            .map(|_| Slot {
                live: Arc::clone(&self.live),
            })
    }

    /// The connections served now.
    #[must_use]
    pub fn live(&self) -> usize {
        self.live.load(Ordering::Acquire)
    }
}

/// One taken slot of a [`Limit`], given back when dropped. As an [`Observer`] it gives the slot back
/// when the connection is closed.
#[derive(Debug)]
pub struct Slot {
    live: Arc<AtomicUsize>,
}

impl Observer for Slot {}

impl Drop for Slot {
    fn drop(&mut self) {
        self.live.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Bounds what a peer may send without being answered.
///
/// The library accepts messages of up to 64 MiB. A call is answered before the next is read, so
/// what arrives between two answers is one call, and a bound on it bounds the size of calls.
#[derive(Debug)]
pub(crate) struct CallSize {
    /// Bytes received since the last were sent.
    unanswered: AtomicUsize,
    max: usize,
}

impl CallSize {
    pub(crate) fn new(max: Option<usize>) -> Self {
        Self {
            unanswered: AtomicUsize::new(0),
            max: max.unwrap_or(usize::MAX),
        }
    }

    pub(crate) fn received(&self, bytes: usize, refused: &LogLimit) -> RpcResult<()> {
        let before = self.unanswered.fetch_add(bytes, Ordering::Relaxed);
        let declared = before.saturating_add(bytes);
        if declared > self.max {
            let max = self.max;
            refused.warn(format_args!(
                "a session was ended: its peer sent {declared} bytes in one call, and {max} are allowed"
            ));
            return Err(RpcError::FrameTooLarge { declared, max });
        }
        Ok(())
    }

    pub(crate) fn answered(&self) {
        self.unanswered.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_may_send_only_so_much_unanswered() {
        let refused = LogLimit::new();
        let size = CallSize::new(Some(1000));
        size.received(600, &refused).unwrap();
        size.answered();
        size.received(600, &refused).unwrap();
        let error = size.received(600, &refused).unwrap_err();
        assert!(
            matches!(error, RpcError::FrameTooLarge { max: 1000, .. }),
            "{error}"
        );
    }

    #[test]
    fn slots_are_bounded_and_come_back() {
        let limit = Limit::new(2);
        let first = limit.take().unwrap();
        let _second = limit.take().unwrap();
        assert!(limit.take().is_none());
        drop(first);
        assert_eq!(limit.live(), 1);
        assert!(limit.take().is_some());
    }
}
