// SPDX-License-Identifier: Apache-2.0
//! `vm console`: this terminal at a VM's console.

use crate::cli::machines::ConsoleArgs;
use crate::machines::{self, Machine, only_one_with_console, select};
use crate::out::{self, Reader};
use crate::signals::ending;
use crate::terminal::{RawTerminal, until_escape};
use anyhow::{Context, Result, anyhow, bail, ensure};
use host::printable;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::io::IsTerminal;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Why an attachment ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The key for it was pressed.
    Left,
    /// The console is gone.
    Gone,
    /// Standard output is gone.
    Unread,
    /// A signal came.
    Signal(i32),
}

/// Attaches this terminal to a console until the user leaves it or it is gone.
pub(crate) fn console(args: &ConsoleArgs) -> Result<ExitCode> {
    let machines = machines::all(&args.manager)?;
    let machine = match &args.vm {
        Some(wanted) => select(&machines, wanted)?,
        None => only_one_with_console(&machines)?,
    };
    machine.check_access()?;
    let device = open(machine)?;
    let is_terminal = std::io::stdin().is_terminal();
    let signals = Signals::catch()?;
    let raw = is_terminal
        .then(|| RawTerminal::enter(std::io::stdin()))
        .transpose()?;
    if is_terminal {
        // Only now, so that who reads it can type; and a raw terminal does not return by itself.
        out::tell(&format!(
            "Console of VM {}. Ctrl-] leaves it.\r",
            machine.title()
        ));
    }
    let end = attach(&device, &signals);
    drop(raw);
    match end? {
        End::Left => out::tell("\nLeft the console; the VM runs on."),
        End::Gone if is_terminal => out::tell("\nThe console is gone: the VM has ended."),
        End::Gone | End::Unread => {}
        End::Signal(signal) => return Ok(crate::exit_by_signal(signal)),
    }
    Ok(ExitCode::SUCCESS)
}

/// Opens a VM's console. What its client named is opened only if it can be one.
fn open(machine: &Machine) -> Result<OwnedFd> {
    let title = machine.title();
    let path = machine.console.as_deref().ok_or_else(|| {
        let log = format!("`vm logs --console {}` prints its console", machine.cid);
        if machine.is_early {
            anyhow!("VM {title} has no host console, as no early VM has; {log}")
        } else {
            anyhow!("VM {title} has no host console: its client did not name one; {log}")
        }
    })?;
    let shown = printable(path);
    let stat =
        rustix::fs::stat(path).with_context(|| format!("the console {shown} of VM {title}"))?;
    ensure!(
        FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
            && (stat.st_uid == machine.uid || stat.st_uid == 0),
        "the console {shown} of VM {title} is not a terminal of its user"
    );
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let device = rustix::fs::open(path, flags, Mode::empty())
        .with_context(|| format!("open the console {shown} of VM {title}"))?;
    ensure!(
        rustix::termios::isatty(&device),
        "the console {shown} of VM {title} is not a terminal"
    );
    // Two readers would each get a part.
    match rustix::fs::flock(&device, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(device),
        Err(Errno::WOULDBLOCK) => bail!("someone else is attached to the console of VM {title}"),
        Err(e) => Err(e).context("lock the console"),
    }
}

/// Copies both ways until something ends.
fn attach(device: &OwnedFd, signals: &Signals) -> Result<End> {
    let stdin = std::io::stdin();
    let mut chunk = [0_u8; 4096];
    let mut has_keys = true;
    loop {
        let mut fds = vec![
            PollFd::new(device, PollFlags::IN),
            PollFd::new(&signals.caught, PollFlags::IN),
        ];
        if has_keys {
            fds.push(PollFd::new(&stdin, PollFlags::IN));
        }
        match poll(&mut fds, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(e) => return Err(e).context("wait for the console"),
        }
        let is_ready = |at: usize| fds.get(at).is_some_and(|fd| !fd.revents().is_empty());
        let (output, signal, keys) = (is_ready(0), is_ready(1), is_ready(2));
        if signal {
            return Ok(End::Signal(signals.number()));
        }
        if output {
            match rustix::io::read(device, &mut chunk) {
                // The other end of a pseudo-terminal is closed.
                Ok(0) | Err(Errno::IO) => return Ok(End::Gone),
                Ok(count) => {
                    if out::print_bytes(&chunk[..count])? == Reader::Gone {
                        return Ok(End::Unread);
                    }
                }
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(e) => return Err(e).context("cannot read the console"),
            }
        }
        if keys {
            let count = match rustix::io::read(&stdin, &mut chunk) {
                Ok(count) => count,
                Err(Errno::AGAIN | Errno::INTR) => continue,
                // The terminal is gone.
                Err(_) => 0,
            };
            has_keys = count > 0;
            let (typed, left) = if stdin.is_terminal() {
                until_escape(&chunk[..count])
            } else {
                (&chunk[..count], false)
            };
            match crate::pipes::offer(device, typed) {
                Ok(()) => {}
                Err(Errno::IO) => return Ok(End::Gone),
                Err(e) => return Err(e).context("cannot write to the console"),
            }
            if left {
                return Ok(End::Left);
            }
        }
    }
}

/// Signals that end this program, as something to wait for beside others.
struct Signals {
    caught: UnixStream,
    number: Arc<AtomicUsize>,
}

impl Signals {
    fn catch() -> Result<Self> {
        let what = "catch signals";
        let (caught, sender) = UnixStream::pair().context(what)?;
        let number = Arc::new(AtomicUsize::new(0));
        for signal in ending() {
            let which = usize::try_from(signal).context(what)?;
            // What is registered first is done first: the number is there when the byte is.
            signal_hook::flag::register_usize(signal, Arc::clone(&number), which).context(what)?;
            let sender = sender.try_clone().context(what)?;
            signal_hook::low_level::pipe::register(signal, sender).context(what)?;
        }
        Ok(Self { caught, number })
    }

    /// The signal that came last.
    fn number(&self) -> i32 {
        i32::try_from(self.number.load(Ordering::SeqCst)).unwrap_or(0)
    }
}
