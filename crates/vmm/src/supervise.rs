// SPDX-License-Identifier: Apache-2.0
//! A supervisor for VMMs that are started through a script.
//!
//! The kernel ends a manager's direct child with the manager (`PR_SET_PDEATHSIG`), but not what
//! that child has started. A script that runs its VMM without `exec` would leave it behind. So a
//! script gets a parent between itself and the manager, which is told of the manager's end by
//! SIGTERM, adopts every orphan among its descendants, and kills them all before it ends itself in
//! the way in which the script ended. A VMM that is a program needs none of this.

use crate::child::Exit;
use host::with_remedy;
use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, Signal, WaitOptions, WaitStatus};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The name of the command by which a program is a supervisor: its arguments are the process id of
/// its parent, the script, and the script's arguments.
pub const COMMAND: &str = "supervise";

/// The first descriptor that is not a standard one.
const FIRST_INHERITED: u32 = 3;

/// Why there is nothing to supervise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The command line is wrong.
    #[error("{COMMAND} is started by the manager itself, with a process id and a command")]
    Usage,
    /// A system call failed.
    #[error("cannot {what}")]
    System {
        /// What was being done.
        what: &'static str,
        /// The system error.
        source: io::Error,
    },
    /// The script could not be started.
    #[error("cannot start {0}", program.display())]
    Start {
        /// The script.
        program: PathBuf,
        /// The system error, and the remedy.
        source: io::Error,
    },
}

/// Whether `program` is a script. A file that cannot be read is not: an interpreter could not read
/// it either.
pub(crate) fn is_needed(program: &Path) -> bool {
    let mut head = [0; 2];
    File::open(program).is_ok_and(|mut file| file.read_exact(&mut head).is_ok() && &head == b"#!")
}

/// The first arguments of the supervisor of `program`; the program's own follow.
pub(crate) fn arguments(program: &Path) -> [OsString; 3] {
    [
        COMMAND.into(),
        std::process::id().to_string().into(),
        program.into(),
    ]
}

/// Runs a script until it, or this process's parent, ends; then ends everything that the script has
/// started. This process must have been started for it: it gives up the descriptors that it
/// inherited, and adopts and reaps processes.
///
/// # Errors
/// If the script cannot be started.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Result<Exit, Error> {
    let mut arguments = arguments.into_iter();
    let parent = arguments
        .next()
        .and_then(|text| text.to_str()?.parse().ok())
        .and_then(Pid::from_raw)
        .ok_or(Error::Usage)?;
    let program = PathBuf::from(arguments.next().ok_or(Error::Usage)?);
    let system = |what| {
        move |e: Errno| Error::System {
            what,
            source: e.into(),
        }
    };
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(system("adopt orphans"))?;
    let signals = signals::Blocked::new().map_err(|source| Error::System {
        what: "block signals",
        source,
    })?;
    // The parent asked for it before this program was executed, which a program with file
    // capabilities loses.
    rustix::process::set_parent_process_death_signal(Some(Signal::TERM))
        .map_err(system("watch the manager"))?;
    if rustix::process::getppid() != Some(parent) {
        return Ok(Exit::Signal(libc::SIGKILL));
    }
    let mut command = Command::new(&program);
    command.args(arguments);
    signals::Blocked::prepare(&mut command);
    let child = command.spawn().map_err(|e| {
        // The script itself was there a moment ago.
        let remedy = match e.kind() {
            io::ErrorKind::NotFound => "name an interpreter that exists in its first line",
            _ => "",
        };
        Error::Start {
            program,
            source: with_remedy(e, remedy),
        }
    })?;
    let main = Pid::from_child(&child);
    signals::close_inherited();
    let mut exit = None;
    while exit.is_none() {
        match signals.wait() {
            libc::SIGCHLD => exit = reap(main),
            _ => break,
        }
    }
    let exit = end_descendants(main, exit);
    Ok(exit.unwrap_or(Exit::Signal(libc::SIGKILL)))
}

/// Ends this process in the way of the script.
pub fn exit_like(exit: Exit) -> ! {
    if let Exit::Signal(signal) = exit {
        // One core file is enough.
        let none = Rlimit {
            current: Some(0),
            maximum: Some(0),
        };
        let _ = rustix::process::setrlimit(Resource::Core, none);
        signals::die_of(signal);
    }
    std::process::exit(match exit {
        Exit::Code(code) => code,
        Exit::Signal(signal) => 128 + signal,
    })
}

/// Reaps all children that have ended; how `main` ended, if it is one of them.
fn reap(main: Pid) -> Option<Exit> {
    let mut exit = None;
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if pid == main {
            exit = exit_of(status);
        }
    }
    exit
}

fn wait(options: WaitOptions) -> rustix::io::Result<Option<(Pid, WaitStatus)>> {
    rustix::io::retry_on_intr(|| rustix::process::wait(options))
}

fn exit_of(status: WaitStatus) -> Option<Exit> {
    let code = status.exit_status().map(Exit::Code);
    code.or_else(|| status.terminating_signal().map(Exit::Signal))
}

/// Kills and reaps all descendants. When a process has ended, its children are this process's, so
/// that the loop finds them, too. `exit` is how `main` ended, if it has been reaped; returns the same
/// afterwards.
fn end_descendants(main: Pid, mut exit: Option<Exit>) -> Option<Exit> {
    let mut options = WaitOptions::NOHANG;
    loop {
        match wait(options) {
            Ok(Some((pid, status))) if pid == main => exit = exit_of(status),
            Ok(Some(_)) => {}
            // Those that are left live.
            Ok(None) if kill_children(exit.is_none().then_some(main)) => {
                options = WaitOptions::empty();
                continue;
            }
            // No child is left, or none that can be found.
            Ok(None) | Err(_) => return exit,
        }
        options = WaitOptions::NOHANG;
    }
}

/// Kills the children; `main` is the script, unless it has been reaped. Returns whether there was
/// anything that it could kill.
fn kill_children(main: Option<Pid>) -> bool {
    let own = rustix::process::getpid();
    // Only this process reaps its children, so their numbers are still theirs.
    let kill = |pid| {
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    };
    if let Ok(children) = fs::read_to_string(format!("/proc/self/task/{own}/children")) {
        let children = children.split_whitespace();
        children
            .filter_map(|child| child.parse().ok().and_then(Pid::from_raw))
            .for_each(kill);
        return true;
    }
    // A kernel without this file.
    if rustix::process::getpgrp() == own {
        // With this process in it.
        let _ = rustix::process::kill_current_process_group(Signal::KILL);
        return true;
    }
    // The process group is the manager's, and perhaps its client's.
    main.map(kill).is_some()
}

/// Signals and descriptors, for which there is no safe interface.
#[expect(unsafe_code, reason = "signal masks and close_range have no safe form")]
mod signals {
    use super::{Command, CommandExt, FIRST_INHERITED, Signal, io};
    use crate::mask;
    use std::ptr;

    /// The signals that [`Blocked::wait`] takes.
    const TAKEN: [libc::c_int; 4] = [libc::SIGCHLD, libc::SIGTERM, libc::SIGINT, libc::SIGHUP];

    /// A set of signals that are blocked.
    pub(super) struct Blocked {
        set: libc::sigset_t,
    }

    impl Blocked {
        pub(super) fn new() -> io::Result<Self> {
            let set = mask::of(&TAKEN);
            mask::change(libc::SIG_BLOCK, &set)?;
            Ok(Self { set })
        }

        /// Has the child begin with no signal blocked, and the kernel kill it with this process.
        pub(super) fn prepare(command: &mut Command) {
            let (none, parent) = (mask::empty(), rustix::process::getpid());
            let hook = move || {
                mask::change(libc::SIG_SETMASK, &none)?;
                rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
                if rustix::process::getppid() != Some(parent) {
                    return Err(io::Error::from_raw_os_error(libc::ESRCH));
                }
                Ok(())
            };
            // SAFETY: the hook makes three system calls, allocates nothing and takes no lock, so it
            // may run between fork and exec.
            unsafe { command.pre_exec(hook) };
        }

        /// Waits for one of the signals.
        pub(super) fn wait(&self) -> libc::c_int {
            loop {
                // SAFETY: the set is initialized, and a null pointer asks for no details.
                let signal = unsafe { libc::sigwaitinfo(&raw const self.set, ptr::null_mut()) };
                // The one failure is an interruption by a signal that is not in the set.
                if signal > 0 {
                    return signal;
                }
            }
        }
    }

    /// Closes every inherited descriptor but the standard ones: a pipe or socket must end for its
    /// reader when the VMM ends, and a lock must go with it.
    pub(super) fn close_inherited() {
        // SAFETY: this process was started for the supervisor and has opened nothing itself, so
        // nothing in it owns these descriptors.
        let closed =
            unsafe { libc::syscall(libc::SYS_close_range, FIRST_INHERITED, u32::MAX, 0u32) };
        if closed == 0 {
            return;
        }
        // A kernel before 5.9.
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let limit = limit.and_then(|limit| i32::try_from(limit).ok());
        for fd in FIRST_INHERITED.cast_signed()..limit.unwrap_or(1024) {
            // SAFETY: as above; closing a number that is not in use has no effect.
            unsafe { libc::close(fd) };
        }
    }

    /// Has this process end by `signal`; returns if that does not end it.
    pub(super) fn die_of(signal: libc::c_int) {
        let _ = mask::change(libc::SIG_UNBLOCK, &mask::of(&[signal]));
        // SAFETY: the default action is a valid one; no handler of this program is replaced.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
        // SAFETY: raising a signal touches no memory of ours.
        unsafe { libc::raise(signal) };
    }
}
