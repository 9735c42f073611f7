// SPDX-License-Identifier: Apache-2.0
//! A VM from its creation to its end, with a manager of its own.

use super::delay::Delay;
use super::device_tree::DeviceTree;
use super::files::Files;
use super::host_console::HostConsole;
use super::hub::{Hub, Parts};
use super::manager_log::ManagerLog;
use super::progress::Progress;
use super::sink::Sink;
use super::verdict::{Outcome, judge};
use crate::cli::common::DebugArgs;
use crate::machines;
use crate::manager::{self, LOG_VARIABLE};
use crate::signals::Interrupt;
use crate::terminal::RawTerminal;
use anyhow::{Context, Result, anyhow};
use host::printable;
use rustix::fs::OFlags;
use rustix::pipe::{PipeFlags, pipe_with};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use vmclient::avf_aidl::service::VirtualMachineConfig;
use vmclient::{CallError, Error, Event, Manager, ManagerOptions, Streams, VmInstance};

/// How long the manager or a VMM may take before the user is told what is being waited for.
const SLOW: Duration = Duration::from_secs(8);

/// What a VM is run with, beside its config.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    /// The VM's name.
    pub(crate) name: &'a str,
    /// How the manager is started.
    pub(crate) manager: ManagerOptions,
    /// Whether it is the one for early VMs.
    pub(crate) early: bool,
    /// What is seen of the guest.
    pub(crate) debug: &'a DebugArgs,
    /// Whether the user wants to know more.
    pub(crate) verbose: bool,
}

/// Runs the VM that `config` describes and waits for its end.
///
/// # Errors
/// If it cannot be created, started or waited for.
pub(crate) fn run(
    request: &Request<'_>,
    config: impl FnOnce(&Manager) -> Result<VirtualMachineConfig>,
) -> Result<ExitCode> {
    // All files first: what cannot be opened should not cost a boot.
    let files = Files::open(request.debug)?;
    let hides_console = !files.console.is_stdout();
    let progress = Arc::new(Progress::new());
    let seen = Arc::clone(&progress);
    let interrupt = Interrupt::catch(move || seen.done(Instant::now(), "ending the VM"))?;

    let log_level = std::env::var_os(LOG_VARIABLE).filter(|level| !level.is_empty());
    let log = ManagerLog::new(
        Arc::clone(&progress),
        request.verbose || log_level.is_some(),
    );
    let lines = log.clone();
    let mut options = request.manager.clone().on_log(move |line| lines.line(line));
    if request.verbose && log_level.is_none() {
        options = options.env(LOG_VARIABLE, "info");
    }
    progress.wait_for("starting the manager");
    let mut manager = None;
    let outcome = Manager::start(&options)
        .map_err(anyhow::Error::from)
        .and_then(|started| {
            interrupt.arm(started.hang_up_handle());
            let started = manager.insert(started);
            let surroundings = Surroundings {
                progress: &progress,
                log: &log,
                interrupt: &interrupt,
            };
            live(request, started, files, &surroundings, config)
        });
    // When the manager has ended, all that it had to say has been read.
    progress.wait_for("");
    let status = manager.and_then(|manager| manager.end().status);
    let caught = interrupt.caught();
    drop(interrupt);
    // A refusal says all that the manager logged of it, and who ended the VM need not be told why.
    if caught.is_none() && !outcome.as_ref().is_err_and(is_refusal) {
        log.release();
    }
    if let Some(status) = status.filter(|status| !status.success()) {
        progress.note(
            Instant::now(),
            format_args!("the VM manager ended: {status}"),
        );
    }
    if let Some(signal) = caught {
        progress.done(Instant::now(), "ended");
        return Ok(crate::exit_by_signal(signal));
    }
    let outcome = outcome?;
    Ok(judge(&outcome, hides_console, &progress))
}

/// Whether an error is a manager's answer to a call.
fn is_refusal(error: &anyhow::Error) -> bool {
    error.is::<CallError>() || matches!(error.downcast_ref(), Some(Error::Call(_)))
}

/// What outlives the manager.
struct Surroundings<'a> {
    progress: &'a Arc<Progress>,
    log: &'a ManagerLog,
    interrupt: &'a Interrupt,
}

/// The VM's life, as long as the manager lives.
fn live(
    request: &Request<'_>,
    manager: &Manager,
    files: Files,
    surroundings: &Surroundings<'_>,
    config: impl FnOnce(&Manager) -> Result<VirtualMachineConfig>,
) -> Result<Outcome> {
    let Surroundings {
        progress,
        log,
        interrupt,
    } = *surroundings;
    progress.wait_for("preparing the VM");
    let config = config(manager)?;
    let what = "cannot make a pipe for the console";
    let (console, console_out) = pipe_with(PipeFlags::CLOEXEC).context(what)?;
    let (guest_log, log_out) = pipe_with(PipeFlags::CLOEXEC).context(what)?;
    let (console_in, input) = match files.input {
        Some(file) => (file, None),
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
        device_tree: files
            .device_tree
            .as_ref()
            .map(DeviceTree::descriptor)
            .transpose()?,
    };
    let delay = Delay::tell(
        progress,
        SLOW,
        "the manager has not created the VM yet; waiting for it (Ctrl-C gives up)",
    )?;
    let vm = manager.create_vm(&config, streams)?;
    drop(delay);
    if let Some(tree) = &files.device_tree {
        tree.clear()?;
    }
    // Its files are open in the manager now, and need not be here.
    drop(config);
    let cid = vm.cid();
    let host_console = if request.early {
        None
    } else {
        host_console(&vm)
            .map_err(|e| progress.done(Instant::now(), format_args!("no host console: {e:#}")))
            .ok()
    };
    let directory = machines::directory_of(cid, manager.process_id());
    let keep = |name: &str| directory.as_ref().map(|directory| directory.join(name));
    let title = format!("VM '{}' created, CID {cid}", printable(request.name));
    progress.console_is_read_by(format!("vm logs --console {cid}"));
    progress.done(Instant::now(), title);

    let seen = Arc::clone(progress);
    vm.on_event(move |timed| seen.event(timed.at, &timed.event));
    let terminal = if request.debug.attach {
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
            Sink::new(files.console, keep(vm_directory::CONSOLE).as_deref()),
        ),
        log: (
            guest_log,
            Sink::new(files.log, keep(vm_directory::LOG).as_deref()),
        ),
        input,
        host_console,
        terminal: terminal.clone(),
        farewell: format!(
            "vm: left the console; the VM runs on here, and Ctrl-C ends it{}",
            if request.early {
                String::new()
            } else {
                format!("; `vm console {cid}` attaches again")
            }
        ),
        broken_pipe: interrupt.broken_pipe(),
    })?;
    progress.wait_for("booting");
    let delay = Delay::tell(
        progress,
        SLOW,
        "the VMM does not answer; waiting for it (Ctrl-C gives up)",
    )?;
    let started = vm.start();
    drop(delay);
    let ended = started
        .map(|()| log.release())
        .and_then(|()| vm.wait_for_death(None));
    if let Some(tree) = &files.device_tree
        && ended.is_ok()
        && tree.is_empty()
    {
        progress.note(
            Instant::now(),
            format_args!(
                "the VMM has written no device tree to {}",
                tree.path().display()
            ),
        );
    }
    let code = vm.payload_exit_code();
    let has_told_error = vm.guest_error().is_some();
    drop(vm);
    let remains = hub.finish();
    if let Some(terminal) = terminal {
        terminal.leave();
        progress.mute(false);
    }
    let reason = ended?.ok_or_else(|| anyhow!("the wait for the VM's death ended without one"))?;
    Ok(Outcome {
        reason,
        code,
        has_told_error,
        last_words: remains.last_words,
        has_lost_output: remains.has_lost,
    })
}

/// Makes a pseudo-terminal, and tells the manager of it.
fn host_console(vm: &VmInstance) -> Result<HostConsole> {
    let console = HostConsole::new()?;
    vm.binder()
        .setHostConsoleName(console.path())
        .map_err(|status| manager::refused("setHostConsoleName", status))?;
    Ok(console)
}

impl Progress {
    fn event(&self, at: Instant, event: &Event) {
        match event {
            Event::Error { .. } => self.note(at, printable(&event.to_string())),
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
