// SPDX-License-Identifier: Apache-2.0
//! The signals that end a manager in order: SIGHUP, SIGINT and SIGTERM.
//!
//! They are blocked in every thread and read from a descriptor by the main thread. A signal that was
//! ignored when the program started, as under `nohup`, stays ignored. The processes that a manager
//! starts begin with no signal blocked.

use rustix::io::Errno;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use vmm::mask;

/// The signals, and their names for messages.
const ENDING: [(i32, &str); 3] = [
    (libc::SIGHUP, "SIGHUP"),
    (libc::SIGINT, "SIGINT"),
    (libc::SIGTERM, "SIGTERM"),
];

/// A signal that ends this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal {
    /// Its number.
    pub number: i32,
    /// Its name.
    pub name: &'static str,
}

impl Signal {
    /// What a program exits with that this signal has ended: what a shell shows, too.
    #[must_use]
    pub fn exit_status(self) -> u8 {
        u8::try_from(128 + self.number).unwrap_or(u8::MAX)
    }
}

/// The signals that have arrived.
#[derive(Debug)]
pub struct Signals(OwnedFd);

impl Signals {
    /// Blocks the signals, in this thread and in those that it starts from now on.
    ///
    /// # Errors
    /// If the process has no descriptor left.
    #[expect(unsafe_code, reason = "signalfd has no safe interface here")]
    pub fn block() -> io::Result<Self> {
        let ending = ENDING.map(|(signal, _)| signal);
        let taken: Vec<_> = ending.into_iter().filter(|s| !is_ignored(*s)).collect();
        let set = mask::of(&taken);
        mask::change(libc::SIG_BLOCK, &set)?;
        let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
        // SAFETY: the set is initialized; -1 asks for a new descriptor.
        let fd = unsafe { libc::signalfd(-1, &raw const set, flags) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made the descriptor, and no one else has it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// The signal that has arrived first, if one has.
    #[must_use]
    pub fn take(&self) -> Option<Signal> {
        let mut info = [0; size_of::<libc::signalfd_siginfo>()];
        loop {
            match rustix::io::read(&self.0, &mut info) {
                Err(Errno::INTR) => {}
                Ok(read) if read == info.len() => break,
                _ => return None,
            }
        }
        // The number comes first, as `u32`.
        let number = i32::from_ne_bytes([info[0], info[1], info[2], info[3]]);
        ENDING
            .into_iter()
            .find(|(signal, _)| *signal == number)
            .map(|(number, name)| Signal { number, name })
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Ignores the signals in this process: a VM's own processes end with their VM, not before it, also
/// when a service manager sends a signal to all of them at once.
pub fn ignore_ending() {
    for (signal, _) in ENDING {
        ignore(signal);
    }
}

/// Has a write beyond the limit on file sizes fail with `EFBIG`, here and in the processes that this
/// one starts, instead of ending the process.
pub fn ignore_file_size_limit() {
    ignore(libc::SIGXFSZ);
}

/// Has children that end wait to be reaped. A client that ignores SIGCHLD hands that on through exec,
/// and the kernel would reap them itself and tell nobody.
pub fn reap_children() {
    dispose(libc::SIGCHLD, libc::SIG_DFL);
}

fn ignore(signal: i32) {
    dispose(signal, libc::SIG_IGN);
}

#[expect(unsafe_code, reason = "dispositions have no safe interface")]
fn dispose(signal: i32, action: libc::sighandler_t) {
    // SAFETY: no handler is installed, so nothing of this program runs in a signal's context.
    unsafe { libc::signal(signal, action) };
}

#[expect(unsafe_code, reason = "dispositions have no safe interface")]
fn is_ignored(signal: i32) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: without a new action, sigaction only writes the present one where it is told to.
    let failed = unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: a sigaction that has not failed has written the action.
    failed == 0 && unsafe { action.assume_init_ref() }.sa_sigaction == libc::SIG_IGN
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Tells the test below that it runs in a process of its own.
    const ALONE: &str = "VIRTMGR_TEST_SIGCHLD";

    #[test]
    fn a_child_can_be_reaped_under_a_client_that_ignores_sigchld() {
        if std::env::var_os(ALONE).is_some() {
            // As such a client leaves it.
            ignore(libc::SIGCHLD);
            assert!(Command::new("true").status().is_err(), "nothing to mend");
            reap_children();
            let status = Command::new("sh").args(["-c", "exit 7"]).status();
            assert_eq!(status.unwrap().code(), Some(7));
            return;
        }
        let name = "signals::tests::a_child_can_be_reaped_under_a_client_that_ignores_sigchld";
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name])
            .env(ALONE, "1")
            .status()
            .unwrap();
        assert!(status.success());
    }
}
