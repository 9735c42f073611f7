// SPDX-License-Identifier: Apache-2.0
//! `vm run`: one VM, from its description to its end.

use crate::cli::{RunArgs, Topology};
use crate::paint::Paint;
use anyhow::{Context, Result, anyhow};
use avf_aidl::service::VirtualMachineConfig;
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;
use vm_config::{CpuTopology, MemoryMib, VmConfig};
use vmclient::console::Console;
use vmclient::{DeathReason, Event, Manager, ManagerOptions, Streams};

/// The variable that says what the manager logs.
const LOG_VARIABLE: &str = "VIRTMGR_LOG";
/// Lines of the console that are shown when a VM fails whose console went to a file.
const LAST_LINES: usize = 20;

/// Runs a VM and waits for its end.
pub(crate) fn run(args: &RunArgs) -> Result<ExitCode> {
    let begin = Instant::now();
    let config = description(args)?;
    let parcel = VirtualMachineConfig::RawConfig(config.to_parcelable()?);
    let manager_program = manager_program(args)?;

    // All files first: what cannot be opened should not cost a boot.
    let (console, console_out) = Console::new(&[], Some(output(args.console.as_deref())?))?;
    let (log, log_out) = Console::new(&[], Some(output(args.log.as_deref())?))?;
    let console_in = match &args.console_in {
        Some(path) => {
            Some(OwnedFd::from(File::open(path).with_context(|| {
                format!("--console-in {}", path.display())
            })?))
        }
        None => None,
    };

    let mut options = ManagerOptions::new(manager_program).own_process_group();
    if std::env::var_os(LOG_VARIABLE).is_none() {
        options = options.env(LOG_VARIABLE, "warn");
    }
    let manager = Manager::start(&options)?;
    let streams = Streams {
        console_out: Some(console_out),
        console_in,
        log: Some(log_out),
    };
    let vm = manager.create_vm(&parcel, streams)?;
    drop(parcel);

    let progress = Progress::new(begin);
    progress.say(Instant::now(), format_args!("VM created, CID {}", vm.cid()));
    vm.on_event(move |timed| match &timed.event {
        Event::Error { .. } => progress.always(timed.at, &timed.event),
        event => progress.say(timed.at, event),
    });
    vm.start()?;
    progress.say(Instant::now(), "VM started");
    let reason = vm
        .wait_for_death(None)?
        .ok_or_else(|| anyhow!("the wait for the VM's death ended without one"))?;

    let code = vm.payload_exit_code();
    drop(vm);
    if let Some(status) = manager.end().status.filter(|status| !status.success()) {
        progress.always(
            Instant::now(),
            format_args!("the VM manager ended with {status}"),
        );
    }
    let last_words = console.finish();
    drop(log);
    match (reason, code) {
        (DeathReason::Shutdown, code) => Ok(exit_code(code.unwrap_or(0))),
        (reason, code) => {
            if args.console.is_some() && !last_words.is_empty() {
                eprintln!(
                    "The last lines of the console:\n{}",
                    last_lines(&last_words)
                );
            }
            eprintln!("{} the VM died: {reason}", Paint::stderr().bad("error:"));
            Ok(code
                .filter(|code| *code != 0)
                .map_or(ExitCode::FAILURE, exit_code))
        }
    }
}

/// The description with what the command line overrules.
fn description(args: &RunArgs) -> Result<VmConfig> {
    let mut config = VmConfig::load(&args.config)?;
    if let Some(name) = &args.name {
        config.name = Some(name.clone());
    } else if config.name.is_none() {
        config.name = args
            .config
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned());
    }
    if let Some(mib) = args.memory {
        config.memory = Some(MemoryMib::try_from(mib).context("--mem")?);
    }
    if let Some(topology) = args.cpu_topology {
        config.cpu_topology = match topology {
            Topology::OneCpu => CpuTopology::OneCpu,
            Topology::MatchHost => CpuTopology::MatchHost,
        };
    }
    config.protected |= args.protected;
    Ok(config)
}

fn manager_program(args: &RunArgs) -> Result<PathBuf> {
    if let Some(path) = &args.manager {
        return Ok(path.clone());
    }
    let name = if args.early {
        "early_virtmgr"
    } else {
        "virtmgr"
    };
    vmclient::locate(name).ok_or_else(|| {
        anyhow!(
            "no {name} beside this program, in /apex/com.android.virt/bin or in PATH; \
             build it (cargo xtask dist) or say where it is with --manager FILE"
        )
    })
}

/// Where a console's output goes.
fn output(path: Option<&Path>) -> Result<Box<dyn Write + Send>> {
    Ok(match path {
        Some(path) => Box::new(
            File::create(path).with_context(|| format!("cannot write to {}", path.display()))?,
        ),
        None => Box::new(std::io::stdout()),
    })
}

/// A payload's exit code as ours: what does not fit is a failure.
fn exit_code(code: i32) -> ExitCode {
    u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from)
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}

/// Tells a user at a terminal how far the VM is.
#[derive(Debug, Clone, Copy)]
struct Progress {
    begin: Instant,
    shown: bool,
    paint: Paint,
}

impl Progress {
    fn new(begin: Instant) -> Self {
        Self {
            begin,
            shown: std::io::stderr().is_terminal(),
            paint: Paint::stderr(),
        }
    }

    fn say(&self, at: Instant, what: impl std::fmt::Display) {
        if self.shown {
            self.always(at, what);
        }
    }

    fn always(&self, at: Instant, what: impl std::fmt::Display) {
        let seconds = at.duration_since(self.begin).as_secs_f64();
        eprintln!(
            "{}",
            self.paint.dim(format_args!("vm: {seconds:7.3} s  {what}"))
        );
    }
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
