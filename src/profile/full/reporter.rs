// SPDX-License-Identifier: Apache-2.0
//! A thread for calls to the global service that nobody waits for: a service that hangs must not
//! delay the cleanup of a VM.

use std::fmt;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// How long the end of the manager waits for calls that are still to be made. The service notices
/// by itself what a manager that has ended had, so nothing is lost but statistics.
const LAST_CALLS: Duration = Duration::from_secs(2);

/// How long a caller waits for a call whose effect it may look for next.
const EFFECT: Duration = Duration::from_secs(2);

type Job = Box<dyn FnOnce() + Send>;

/// The queue of calls. Dropping it makes the calls that are left, within limits.
pub(super) struct Reporter {
    running: Mutex<Option<Running>>,
}

struct Running {
    jobs: Sender<Job>,
    /// Closed when the thread has made its last call.
    done: Receiver<()>,
    thread: JoinHandle<()>,
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reporter").finish_non_exhaustive()
    }
}

impl Reporter {
    /// A queue whose thread starts with the first call.
    pub(super) fn new() -> Self {
        Self {
            running: Mutex::new(None),
        }
    }

    /// Has `job` done after those before it.
    pub(super) fn send(&self, job: impl FnOnce() + Send + 'static) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.is_none() {
            match start() {
                Ok(started) => *running = Some(started),
                Err(e) => {
                    log::warn!("cannot start the thread that reports to the global service: {e}");
                    return;
                }
            }
        }
        if let Some(running) = &*running {
            // The thread ends only with the queue.
            let _ = running.jobs.send(Box::new(job));
        }
    }

    /// Has `job` done after those before it, and waits for it unless the service hangs. Says whether
    /// it was done: one that was not is still in the queue.
    pub(super) fn send_and_wait(&self, job: impl FnOnce() + Send + 'static) -> bool {
        let (sender, done) = channel();
        self.send(move || {
            job();
            let _ = sender.send(());
        });
        done.recv_timeout(EFFECT).is_ok()
    }
}

fn start() -> std::io::Result<Running> {
    let (jobs, queue) = channel::<Job>();
    let (finished, done) = channel::<()>();
    let thread = Builder::new().name("reports".to_owned()).spawn(move || {
        let _finished = finished;
        for job in queue {
            job();
        }
    })?;
    Ok(Running { jobs, done, thread })
}

impl Drop for Reporter {
    fn drop(&mut self) {
        let running = self.running.get_mut();
        let Some(Running { jobs, done, thread }) =
            running.unwrap_or_else(PoisonError::into_inner).take()
        else {
            return;
        };
        drop(jobs);
        match done.recv_timeout(LAST_CALLS) {
            // The process is ending, and its threads with it.
            Err(RecvTimeoutError::Timeout) => {
                log::warn!("the global service does not answer; its last reports are dropped");
            }
            _ => {
                if thread.join().is_err() {
                    log::error!("the thread that reports to the global service panicked");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::mpsc::sync_channel;
    use std::time::Instant;

    #[test]
    fn a_call_that_hangs_delays_nobody() {
        let reporter = Reporter::new();
        let (release, hang) = sync_channel::<()>(0);
        reporter.send(move || {
            let _ = hang.recv();
        });
        let (sender, later) = channel();
        // Returns at once, although the first call never does.
        reporter.send(move || sender.send(1).unwrap());
        assert!(later.try_recv().is_err());
        release.send(()).unwrap();
        assert_eq!(later.recv(), Ok(1));
        assert!(reporter.send_and_wait(|| ()));
        // With a call that hangs, the end waits for a limited time.
        let (_never, hang) = sync_channel::<()>(0);
        let hang = Arc::new(Mutex::new(hang));
        reporter.send(move || {
            let _ = hang.lock().unwrap().recv();
        });
        assert!(!reporter.send_and_wait(|| ()));
        let begun = Instant::now();
        drop(reporter);
        assert!(begun.elapsed() >= LAST_CALLS);
    }

    #[test]
    fn calls_are_made_before_the_end() {
        let reporter = Reporter::new();
        let (sender, calls) = channel();
        for number in 0..100 {
            let sender = sender.clone();
            reporter.send(move || sender.send(number).unwrap());
        }
        drop((reporter, sender));
        assert!(calls.iter().eq(0..100));
    }
}
