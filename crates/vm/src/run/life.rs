// SPDX-License-Identifier: Apache-2.0
//! A VM from its creation to its end, with a manager of its own.

use super::host_console::HostConsole;
use super::hub::{Hub, Parts};
use super::manager_log::ManagerLog;
use super::progress::Progress;
use super::sink::{Shown, Sink};
use crate::cli::common::DebugArgs;
use crate::machines;
use crate::manager::{self, LOG_VARIABLE};
use crate::out::tell;
use crate::paint::Paint;
use crate::signals::Interrupt;
use crate::terminal::RawTerminal;
use anyhow::{Context, Result, anyhow, ensure};
use rustix::fs::OFlags;
use rustix::pipe::{PipeFlags, pipe_with};
use std::fs::File;
use std::io::IsTerminal;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;
use vmclient::avf_aidl::service::VirtualMachineConfig;
use vmclient::{DeathReason, Event, Manager, Streams, VmInstance};

/// Lines of the console that are shown when a VM fails whose console was not.
const LAST_LINES: usize = 20;

/// What the user wants of a VM's life.
#[derive(Debug)]
pub(crate) struct Wishes<'a> {
    /// The VM's name.
    pub(crate) name: &'a str,
    /// The manager's program.
    pub(crate) program: &'a Path,
    /// Whether it is the one for early VMs.
    pub(crate) early: bool,
    /// What is seen of the guest.
    pub(crate) debug: &'a DebugArgs,
    /// Whether the user wants to know more.
    pub(crate) verbose: bool,
}

/// What a VM's life led to.
struct Outcome {
    reason: DeathReason,
    code: Option<i32>,
    last_words: String,
}

/// Runs the VM that `config` describes and waits for its end.
///
/// # Errors
/// If it cannot be created, started or waited for.
pub(crate) fn run(
    wishes: &Wishes<'_>,
    config: impl FnOnce(&Manager) -> Result<VirtualMachineConfig>,
) -> Result<ExitCode> {
    // All files first: what cannot be opened should not cost a boot.
    let ends = Ends::open(wishes.debug)?;
    let hides_console = !matches!(ends.console, Shown::Stdout);
    let progress = Arc::new(Progress::new());
    let seen = Arc::clone(&progress);
    let interrupt = Interrupt::catch(move || seen.done(Instant::now(), "ending the VM"))?;

    let log = ManagerLog::new(Arc::clone(&progress));
    let lines = log.clone();
    let mut options = manager::options(wishes.program).on_log(move |line| lines.line(line));
    if wishes.verbose && std::env::var_os(LOG_VARIABLE).is_none() {
        options = options.env(LOG_VARIABLE, "info");
    }
    progress.wait_for("starting the manager");
    let mut manager = None;
    let outcome = Manager::start(&options)
        .map_err(anyhow::Error::from)
        .and_then(|started| {
            interrupt.arm(started.hang_up_handle());
            let started = manager.insert(started);
            let around = Around {
                progress: &progress,
                log: &log,
                interrupt: &interrupt,
            };
            live(wishes, started, ends, &around, config)
        });
    // When the manager has ended, all that it had to say has been read.
    progress.wait_for("");
    let status = manager.and_then(|manager| manager.end().status);
    let caught = interrupt.caught();
    drop(interrupt);
    let error = outcome.as_ref().err().map(|e| format!("{e:#}"));
    log.release(error.as_deref());
    if let Some(status) = status.filter(|status| !status.success()) {
        progress.note(
            Instant::now(),
            format_args!("the VM manager ended with {status}"),
        );
    }
    if let Some(signal) = caught {
        progress.done(Instant::now(), "ended");
        return Ok(crate::exit_by_signal(signal));
    }
    let outcome = outcome?;
    Ok(judge(&outcome, hides_console, &progress))
}

/// What is there before the manager and after it.
struct Around<'a> {
    progress: &'a Arc<Progress>,
    log: &'a ManagerLog,
    interrupt: &'a Interrupt,
}

/// The VM's life, as long as the manager lives.
fn live(
    wishes: &Wishes<'_>,
    manager: &Manager,
    ends: Ends,
    around: &Around<'_>,
    config: impl FnOnce(&Manager) -> Result<VirtualMachineConfig>,
) -> Result<Outcome> {
    let Around {
        progress,
        log,
        interrupt,
    } = *around;
    progress.wait_for("preparing the VM");
    let config = config(manager)?;
    let what = "make a pipe for the console";
    let (console, console_out) = pipe_with(PipeFlags::CLOEXEC).context(what)?;
    let (guest_log, log_out) = pipe_with(PipeFlags::CLOEXEC).context(what)?;
    let (console_in, input) = match ends.input {
        Some(file) => (OwnedFd::from(file), None),
        None => {
            let (read, write) = pipe_with(PipeFlags::CLOEXEC).context(what)?;
            rustix::fs::fcntl_setfl(&write, OFlags::WRONLY | OFlags::NONBLOCK).context(what)?;
            (read, Some(write))
        }
    };
    let streams = Streams {
        console_out: Some(console_out),
        console_in: Some(console_in),
        log: Some(log_out),
    };
    let vm = manager.create_vm(&config, streams)?;
    // Its files are open in the manager now, and need not be here.
    drop(config);
    let cid = vm.cid();
    let host_console = if wishes.early {
        None
    } else {
        host_console(&vm)
            .map_err(|e| progress.done(Instant::now(), format_args!("no host console: {e:#}")))
            .ok()
    };
    let directory = machines::directory_of(cid, manager.process_id());
    let keep = |name: &str| directory.as_ref().map(|directory| directory.join(name));
    let title = format!("VM '{}' created, CID {cid}", wishes.name);
    progress.done(Instant::now(), title);

    let seen = Arc::clone(progress);
    vm.on_event(move |timed| seen.event(timed.at, &timed.event));
    let terminal = if wishes.debug.attach {
        progress.done(Instant::now(), "attached to its console; Ctrl-] leaves it");
        let terminal = RawTerminal::enter(std::io::stdin())?;
        interrupt.restore(&terminal);
        progress.mute(true);
        Some(terminal)
    } else {
        None
    };
    let hub = Hub::start(Parts {
        progress: Arc::clone(progress),
        console: (
            console,
            Sink::new(ends.console, keep(vm_directory::CONSOLE).as_deref()),
        ),
        log: (
            guest_log,
            Sink::new(ends.log, keep(vm_directory::LOG).as_deref()),
        ),
        input,
        host_console,
        terminal: terminal.clone(),
        farewell: format!(
            "vm: left the console; the VM runs on here, and Ctrl-C ends it{}",
            if wishes.early {
                String::new()
            } else {
                format!("; `vm console {cid}` attaches again")
            }
        ),
    })?;
    progress.wait_for("booting");
    let ended = vm
        .start()
        .map(|()| log.release(None))
        .and_then(|()| vm.wait_for_death(None));
    let code = vm.payload_exit_code();
    drop(vm);
    let last_words = hub.finish();
    if let Some(terminal) = terminal {
        terminal.leave();
        progress.mute(false);
    }
    let reason = ended?.ok_or_else(|| anyhow!("the wait for the VM's death ended without one"))?;
    Ok(Outcome {
        reason,
        code,
        last_words,
    })
}

/// Tells how the VM ended, and makes an exit status of it.
fn judge(outcome: &Outcome, hides_console: bool, progress: &Progress) -> ExitCode {
    match (outcome.reason, outcome.code) {
        (DeathReason::Shutdown, code) => {
            progress.done(Instant::now(), "the guest has powered off");
            exit_code(code.unwrap_or(0))
        }
        (reason, code) => {
            // One that was killed from outside has not said why.
            let may_tell = reason != DeathReason::Killed && hides_console;
            if may_tell && !outcome.last_words.trim().is_empty() {
                tell(&format!(
                    "The last lines of the console:\n{}",
                    last_lines(&outcome.last_words)
                ));
            }
            let error = Paint::stderr().bad("error:");
            tell(&format!("{error} the VM died: {reason}"));
            code.filter(|code| *code != 0)
                .map_or(ExitCode::FAILURE, exit_code)
        }
    }
}

/// Makes a pseudo-terminal, and tells the manager of it.
fn host_console(vm: &VmInstance) -> Result<HostConsole> {
    let console = HostConsole::new()?;
    vm.binder()
        .setHostConsoleName(console.path())
        .map_err(|status| manager::refused("setHostConsoleName", status))?;
    Ok(console)
}

/// The user's ends of what the guest says and is told.
struct Ends {
    console: Shown,
    log: Shown,
    input: Option<File>,
}

impl Ends {
    fn open(args: &DebugArgs) -> Result<Self> {
        if args.attach {
            ensure!(
                std::io::stdin().is_terminal() && std::io::stdout().is_terminal(),
                "--attach: standard input and output must be a terminal; use --console and --console-in"
            );
            return Ok(Self {
                console: Shown::Stdout,
                log: Shown::of_option("--log", args.log.as_deref())?,
                input: None,
            });
        }
        let input = args.console_in.as_deref().map(|path| {
            let place = if path == Path::new("-") {
                Path::new("/dev/stdin")
            } else {
                path
            };
            File::open(place).with_context(|| format!("--console-in {}", path.display()))
        });
        Ok(Self {
            console: Shown::of_option("--console", args.console.as_deref())?,
            log: Shown::of_option("--log", args.log.as_deref())?,
            input: input.transpose()?,
        })
    }
}

impl Progress {
    fn event(&self, at: Instant, event: &Event) {
        match event {
            Event::Error { .. } => self.note(at, event),
            // That is told at the end, with more.
            Event::Died(_) => {}
            Event::PayloadStarted => {
                self.done(at, event);
                self.wait_for("waiting for the payload");
            }
            _ => {
                self.done(at, event);
                self.wait_for("");
            }
        }
    }
}

/// A payload's exit code as ours: what does not fit is a failure.
fn exit_code(code: i32) -> ExitCode {
    u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from)
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_lines_are_shown() {
        let text: String = (0..LAST_LINES + 3).map(|n| format!("line {n}\n")).collect();
        let shown = last_lines(&text);
        assert!(shown.starts_with("line 3\n"), "{shown}");
        assert!(
            shown.ends_with(&format!("line {}", LAST_LINES + 2)),
            "{shown}"
        );
        assert_eq!(last_lines("one"), "one");
    }
}
