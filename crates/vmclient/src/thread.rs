// SPDX-License-Identifier: Apache-2.0
//! Threads that a program of any kind can have without noticing.

use nix::sys::signal::{SigSet, SigmaskHow};
use std::io;
use std::thread::{Builder, JoinHandle};

/// Starts `run` on a thread called `name` that takes no signals: the program's handlers do not run
/// there, and a write to a closed pipe is an error even where SIGPIPE would end the program.
pub(crate) fn start(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    // A thread begins with the mask of the one that starts it.
    let mask = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    let thread = Builder::new().name(name.to_owned()).spawn(run);
    mask.thread_set_mask()?;
    thread
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn signals_are_blocked_there_and_not_here() {
        let before = SigSet::thread_get_mask().unwrap();
        let (tx, rx) = mpsc::channel();
        let thread = start("test-quiet", move || {
            tx.send(SigSet::thread_get_mask().unwrap()).unwrap();
        });
        thread.unwrap().join().unwrap();
        let there = rx.recv().unwrap();
        for signal in [
            nix::sys::signal::SIGPIPE,
            nix::sys::signal::SIGTERM,
            nix::sys::signal::SIGCHLD,
        ] {
            assert!(there.contains(signal), "{signal}");
        }
        assert_eq!(SigSet::thread_get_mask().unwrap(), before);
    }
}
