// SPDX-License-Identifier: Apache-2.0
//! `vm stop`, `vm suspend` and `vm resume`.

use crate::cli::machines::{PauseArgs, StopArgs};
use crate::machines::{self, Machine, Status, select};
use crate::out;
use anyhow::{Context, Result, anyhow};
use std::process::ExitCode;
use vmclient::Control;

/// Ends VMs. All are found before the first is ended.
pub(crate) fn stop(args: &StopArgs) -> Result<ExitCode> {
    let machines = machines::all(&args.manager)?;
    let wanted: Vec<&Machine> = if args.all {
        machines
            .iter()
            .filter(|machine| machine.check_access().is_ok())
            .collect()
    } else {
        pick(&machines, &args.vms)?
    };
    if wanted.is_empty() {
        out::tell("No VM runs.");
    }
    each(&wanted, "stop", |control| Ok(control.stop()?))
}

/// Stops the CPUs of VMs.
pub(crate) fn suspend(args: &PauseArgs) -> Result<ExitCode> {
    let machines = machines::all(&args.manager)?;
    let wanted = pick(&machines, &args.vms)?;
    each(&wanted, "suspend", |control| Ok(control.suspend()?))
}

/// Lets the CPUs of VMs run on.
pub(crate) fn resume(args: &PauseArgs) -> Result<ExitCode> {
    let machines = machines::all(&args.manager)?;
    let wanted = pick(&machines, &args.vms)?;
    each(&wanted, "resume", |control| Ok(control.resume()?))
}

/// The VMs that are meant, each once.
fn pick<'a>(machines: &'a [Machine], wanted: &[String]) -> Result<Vec<&'a Machine>> {
    let mut picked: Vec<&Machine> = Vec::new();
    for name in wanted {
        let machine = select(machines, name)?;
        machine.check_access()?;
        if !picked.iter().any(|one| one.directory == machine.directory) {
            picked.push(machine);
        }
    }
    Ok(picked)
}

/// Does something with each VM and prints the CIDs of those with which it went well. One that
/// fails does not keep the others from it.
fn each(
    machines: &[&Machine],
    what: &str,
    act: impl Fn(Control) -> Result<()>,
) -> Result<ExitCode> {
    let mut failed = false;
    for machine in machines {
        let done = match machine.reach_to_act() {
            Ok(control) => act(control),
            Err(status) => Err(unreachable(status)),
        };
        match done.with_context(|| format!("{what} VM {}", machine.title())) {
            Ok(()) => out::print(&format!("{}\n", machine.cid))?,
            Err(e) => {
                failed = true;
                out::tell_error(&e);
            }
        }
    }
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Why a VM cannot be reached, for people.
fn unreachable(status: Status) -> anyhow::Error {
    match status {
        Status::Created => {
            anyhow!("it is not started yet, so only its client can do that; end the client")
        }
        Status::Foreign => anyhow!("it is another user's"),
        Status::Gone => anyhow!("it has ended meanwhile"),
        _ => anyhow!("it does not answer; its manager may be overloaded or stopped"),
    }
}
