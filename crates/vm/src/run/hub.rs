// SPDX-License-Identifier: Apache-2.0
//! The one thread that copies all that a guest writes and reads while `vm` runs it.
//!
//! ```text
//!   guest's console ─▶ console.log, what the user sees, the pseudo-terminal
//!   guest's log     ─▶ log.log, what the user sees
//!   pseudo-terminal ─▶ guest's console input
//!   this terminal   ─▶ guest's console input, until Ctrl-]
//! ```

use super::host_console::HostConsole;
use super::progress::Progress;
use super::sink::{Shown, Sink};
use crate::out::{self, Reader};
use crate::pipes::offer;
use crate::signals::BrokenPipe;
use crate::terminal::{RawTerminal, until_escape};
use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};
use stoppable::{Signal, StoppableThread};

/// What the thread works with.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) progress: Arc<Progress>,
    /// What the guest writes, and where it goes.
    pub(super) console: (OwnedFd, Sink),
    pub(super) log: (OwnedFd, Sink),
    /// The guest's console input, non-blocking.
    pub(super) input: Option<OwnedFd>,
    pub(super) host_console: Option<HostConsole>,
    /// The terminal that is attached from the start.
    pub(super) terminal: Option<Arc<RawTerminal>>,
    /// The message on leaving the console.
    pub(super) farewell: String,
    /// Ends the VM when nobody reads its output on standard output any more.
    pub(super) broken_pipe: BrokenPipe,
}

/// What is left of a guest's streams at the end.
#[derive(Debug, Default)]
pub(super) struct Remains {
    /// The end of the console's output.
    pub(super) last_words: String,
    /// Whether output could not be written where the user wanted it.
    pub(super) has_lost: bool,
}

/// The running thread. Dropping it has it read what is still there and joins it.
#[derive(Debug)]
pub(super) struct Hub {
    thread: StoppableThread<Remains>,
}

impl Hub {
    /// Starts the thread.
    pub(super) fn start(parts: Parts) -> Result<Self> {
        let thread = StoppableThread::start("console", move |stop| parts.run(stop))
            .context("cannot start the thread for the console")?;
        Ok(Self { thread })
    }

    /// Reads what is still there, ends, and returns what remains of it.
    pub(super) fn finish(self) -> Remains {
        self.thread.finish().unwrap_or_default()
    }
}

impl Parts {
    fn run(self, stop: &Signal) -> Remains {
        let Self {
            progress,
            console: (console, mut console_sink),
            log: (log, mut log_sink),
            mut input,
            mut host_console,
            mut terminal,
            farewell,
            broken_pipe,
        } = self;
        let (mut console, mut log) = (Some(console), Some(log));
        let stdin = std::io::stdin();
        let mut chunk = [0_u8; 4096];
        let mut is_stopping = false;
        let tell = |text: String| progress.tell(&format!("vm: {text}"));
        let end = || {
            if broken_pipe.end() {
                tell("nobody reads standard output any more; ending the VM".to_owned());
            }
        };
        let mut quiet = Quiet::new();
        loop {
            let mut fds = vec![PollFd::new(stop, PollFlags::IN)];
            let at_console = place(&mut fds, console.as_ref().map(readable));
            let at_log = place(&mut fds, log.as_ref().map(readable));
            let typed = host_console.as_ref().filter(|_| input.is_some());
            let typed = typed.map(|console| PollFd::from_borrowed_fd(console.fd(), PollFlags::IN));
            let at_typed = place(&mut fds, typed);
            let keys = terminal
                .as_ref()
                .map(|_| PollFd::new(&stdin, PollFlags::IN));
            let at_keys = place(&mut fds, keys);
            // No events are asked for: what comes is that the reader has gone.
            let stdout = out::stdout();
            let watches_stdout = console_sink.shown.is_stdout() || log_sink.shown.is_stdout();
            let shown = watches_stdout.then(|| PollFd::new(&stdout, PollFlags::empty()));
            let at_stdout = place(&mut fds, shown.filter(|_| !is_stopping));
            // Once stopping, only what is there already is taken.
            let timeout = if is_stopping { Some(NOW) } else { quiet.left() };
            match poll(&mut fds, timeout.as_ref()) {
                Err(Errno::INTR) => continue,
                Err(_) => break,
                Ok(0) if !is_stopping => {
                    quiet.told(&progress);
                    continue;
                }
                Ok(_) => {}
            }
            let is_unread = at_stdout.is_some_and(|at| {
                let gone = PollFlags::ERR | PollFlags::HUP;
                fds[at].revents().intersects(gone)
            });
            let ready =
                |place: Option<usize>| place.is_some_and(|at| !fds[at].revents().is_empty());
            let (has_console, has_log) = (ready(at_console), ready(at_log));
            let (has_typed, has_keys) = (ready(at_typed), ready(at_keys));
            if is_stopping && !has_console && !has_log {
                break;
            }
            is_stopping |= ready(Some(0));
            drop(fds);
            if is_unread {
                end();
                for sink in [&mut console_sink, &mut log_sink] {
                    if sink.shown.is_stdout() {
                        sink.shown = Shown::Nothing;
                    }
                }
            }
            if has_console || has_log {
                quiet.heard();
            }
            if has_console {
                match take(&mut console, &mut chunk) {
                    [] => {}
                    bytes => {
                        if console_sink.take(bytes, tell) == Reader::Gone {
                            end();
                        }
                        progress.console(bytes);
                        if let Some(host_console) = &host_console {
                            host_console.show(bytes);
                        }
                    }
                }
            }
            if has_log {
                match take(&mut log, &mut chunk) {
                    [] => {}
                    bytes => {
                        if log_sink.take(bytes, tell) == Reader::Gone {
                            end();
                        }
                    }
                }
            }
            if has_typed && let Some(from) = &host_console {
                match from.typed(&mut chunk) {
                    Ok(bytes) => feed(&mut input, bytes),
                    Err(_) => host_console = None,
                }
            }
            if has_keys && let Some(at) = &terminal {
                let count = rustix::io::read(&stdin, &mut chunk).unwrap_or(0);
                let (keys, left) = until_escape(&chunk[..count]);
                feed(&mut input, keys);
                if left || count == 0 {
                    at.leave();
                    terminal = None;
                    console_sink.shown = Shown::Nothing;
                    progress.mute(false);
                    progress.tell(&farewell);
                }
            }
        }
        Remains {
            has_lost: console_sink.has_lost() || log_sink.has_lost(),
            last_words: console_sink.into_tail(),
        }
    }
}

/// How long a guest may be silent while it boots before the user gets a hint.
const SILENCE: Duration = Duration::from_secs(30);

/// Watches for a guest that says nothing. The hint is given once.
struct Quiet {
    since: Instant,
    is_told: bool,
}

impl Quiet {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            is_told: false,
        }
    }

    /// The time until the hint; none if there is no more.
    fn left(&self) -> Option<Timespec> {
        let left = SILENCE.saturating_sub(self.since.elapsed());
        Timespec::try_from(left).ok().filter(|_| !self.is_told)
    }

    fn told(&mut self, progress: &Progress) {
        if self.since.elapsed() >= SILENCE {
            self.is_told = true;
            progress.silent(SILENCE);
        }
    }

    fn heard(&mut self) {
        self.since = Instant::now();
    }
}

/// No time at all.
const NOW: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

/// Adds a descriptor that is to be waited for, and returns its place.
fn place<'a>(fds: &mut Vec<PollFd<'a>>, fd: Option<PollFd<'a>>) -> Option<usize> {
    fds.push(fd?);
    Some(fds.len() - 1)
}

fn readable(fd: &OwnedFd) -> PollFd<'_> {
    PollFd::new(fd, PollFlags::IN)
}

/// Reads what is there; at the end nothing, and then the descriptor is closed.
fn take<'a>(fd: &mut Option<OwnedFd>, chunk: &'a mut [u8]) -> &'a [u8] {
    let Some(open) = fd else { return &[] };
    match rustix::io::read(open, &mut *chunk) {
        Ok(0) => {
            *fd = None;
            &[]
        }
        Ok(count) => &chunk[..count],
        Err(Errno::INTR) => &[],
        Err(_) => {
            *fd = None;
            &[]
        }
    }
}

/// Gives the guest what was typed. A guest that does not read loses it.
fn feed(input: &mut Option<OwnedFd>, bytes: &[u8]) {
    if let Some(open) = &*input
        && offer(open, bytes).is_err()
    {
        *input = None;
    }
}
