// SPDX-License-Identifier: Apache-2.0
//! A terminal that hands every key on, and is itself again at the end.

use anyhow::{Context, Result};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

/// The key that leaves a console: Ctrl-].
pub(crate) const ESCAPE: u8 = 0x1d;

/// A terminal in raw mode. It is restored when this is dropped or left, and before a panic is
/// reported; the owner's part is to end in order on signals.
#[derive(Debug)]
pub(crate) struct RawTerminal {
    fd: OwnedFd,
    /// What it was; none once it is so again.
    saved: Mutex<Option<Termios>>,
}

impl RawTerminal {
    /// Puts the terminal `fd` into raw mode.
    ///
    /// # Errors
    /// If it is not a terminal.
    pub(crate) fn enter(fd: impl AsFd) -> Result<Arc<Self>> {
        let what = "put the terminal into raw mode";
        let fd = fd.as_fd().try_clone_to_owned().context(what)?;
        let saved = tcgetattr(&fd).context(what)?;
        let mut raw = saved.clone();
        raw.make_raw();
        let terminal = Arc::new(Self {
            fd,
            saved: Mutex::new(Some(saved)),
        });
        let seen = Arc::downgrade(&terminal);
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if let Some(terminal) = seen.upgrade() {
                terminal.leave();
            }
            report(panic);
        }));
        tcsetattr(&terminal.fd, OptionalActions::Now, &raw).context(what)?;
        Ok(terminal)
    }

    /// Makes the terminal what it was.
    pub(crate) fn leave(&self) {
        let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(saved) = saved.take() {
            // It fails if the terminal is gone, and then nothing is left to be restored.
            let _ = tcsetattr(&self.fd, OptionalActions::Drain, &saved);
        }
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        self.leave();
    }
}

/// The keys before the one that leaves, and whether that was pressed.
pub(crate) fn until_escape(keys: &[u8]) -> (&[u8], bool) {
    match keys.iter().position(|key| *key == ESCAPE) {
        Some(at) => (&keys[..at], true),
        None => (keys, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
    use rustix::termios::LocalModes;

    #[test]
    fn a_terminal_is_restored() {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let slave = ioctl_tiocgptpeer(&master, flags).unwrap();
        let echoes = || {
            let modes = tcgetattr(&slave).unwrap().local_modes;
            modes.contains(LocalModes::ECHO | LocalModes::ISIG | LocalModes::ICANON)
        };
        assert!(echoes());
        let terminal = RawTerminal::enter(&slave).unwrap();
        assert!(!echoes());
        terminal.leave();
        assert!(echoes());
        drop(terminal);
        // A panic on any thread restores it before it is reported.
        let terminal = RawTerminal::enter(&slave).unwrap();
        assert!(!echoes());
        std::thread::spawn(|| panic!("on purpose"))
            .join()
            .unwrap_err();
        assert!(echoes());
        drop(terminal);
        let pipe = rustix::pipe::pipe().unwrap();
        assert!(RawTerminal::enter(&pipe.0).is_err());
    }

    #[test]
    fn the_escape_key_is_not_handed_on() {
        assert_eq!(until_escape(b"abc"), (&b"abc"[..], false));
        assert_eq!(until_escape(b"a\x1dbc"), (&b"a"[..], true));
    }
}
