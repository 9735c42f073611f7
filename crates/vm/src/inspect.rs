// SPDX-License-Identifier: Apache-2.0
//! `vm inspect`: the details of a VM.

use crate::cli::machines::InspectArgs;
use crate::list::{age, coloured};
use crate::machines::{self, Machine, Status, select, usage};
use crate::out;
use crate::paint::Paint;
use crate::size::Size;
use crate::users;
use anyhow::Result;
use host::printable;
use serde::Serialize;
use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use vm_directory::{CONSOLE, LOG, Process, old};

/// The details of a VM, as printed in JSON.
#[derive(Debug, Serialize)]
struct Details {
    cid: u32,
    name: Option<String>,
    state: String,
    early: bool,
    uid: u32,
    user: String,
    directory: String,
    console: Option<String>,
    client: Option<Task>,
    manager: Option<Task>,
    /// The VMM and its helpers.
    processes: Vec<Task>,
    /// Bytes that the host has taken back from the guest.
    balloon: Option<i64>,
    logs: Vec<LogSize>,
}

/// A process that has to do with the VM.
#[derive(Debug, Serialize)]
struct Task {
    pid: i32,
    program: Option<String>,
    /// Bytes of memory.
    memory: Option<u64>,
    /// Seconds of CPU time.
    cpu_seconds: Option<f64>,
    /// Seconds since its start.
    age_seconds: Option<u64>,
}

/// What is kept of the guest's output.
#[derive(Debug, Serialize)]
struct LogSize {
    file: String,
    bytes: u64,
}

/// Shows a VM.
pub(crate) fn inspect(args: &InspectArgs) -> Result<ExitCode> {
    let machines = machines::all(&args.manager)?;
    let machine = select(&machines, &args.vm)?;
    machine.check_access()?;
    let details = details(machine);
    if args.json {
        out::print_json(&details)?;
    } else {
        out::print(&text(&details, Paint::stdout()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn details(machine: &Machine) -> Details {
    let (status, balloon) = match machine.reach() {
        Ok(control) => (
            Status::told(machine, control.state()),
            control.memory_balloon().ok(),
        ),
        Err(status) => (status, None),
    };
    let note = machine.note.clone().unwrap_or_default();
    Details {
        cid: machine.cid,
        name: machine.name().map(str::to_owned),
        state: status.to_string(),
        early: machine.is_early,
        uid: machine.uid,
        user: users::name(machine.uid),
        directory: machine.directory.to_string_lossy().into_owned(),
        console: machine.console.clone(),
        client: machine.client.map(|pid| task(pid, Process::of_pid(pid))),
        manager: note.manager.map(|process| task(process.pid, Some(process))),
        processes: note
            .all_processes()
            .into_iter()
            .filter(|process| process.is_alive())
            .map(|process| task(process.pid, Some(process)))
            .collect(),
        balloon,
        logs: logs(&machine.directory),
    }
}

fn task(pid: i32, process: Option<Process>) -> Task {
    let usage = process.and_then(usage);
    Task {
        pid,
        program: usage.as_ref().map(|usage| usage.name.clone()),
        memory: usage.as_ref().map(|usage| usage.resident.as_u64()),
        cpu_seconds: usage.as_ref().map(|usage| usage.cpu.as_secs_f64()),
        age_seconds: usage.as_ref().map(|usage| usage.age.as_secs()),
    }
}

fn logs(directory: &Path) -> Vec<LogSize> {
    [CONSOLE, LOG]
        .into_iter()
        .map(|name| directory.join(name))
        .flat_map(|path| [old(&path), path])
        .filter_map(|path| {
            Some(LogSize {
                bytes: path.metadata().ok()?.len(),
                file: path.file_name()?.to_string_lossy().into_owned(),
            })
        })
        .collect()
}

fn text(details: &Details, paint: Paint) -> String {
    let mut text = String::new();
    let mut line = |title: &str, value: String| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{title:>10}  {value}");
    };
    let name = details.name.as_deref().map_or("-".into(), printable);
    line("name", name.into_owned());
    let kind = if details.early { " (early VM)" } else { "" };
    line("CID", format!("{}{kind}", details.cid));
    line("state", coloured(&details.state, paint));
    line("user", format!("{} ({})", details.user, details.uid));
    line("directory", printable(&details.directory).into_owned());
    line(
        "console",
        match &details.console {
            Some(path) => format!(
                "{} {}",
                printable(path),
                paint.dim(format!("(vm console {})", details.cid))
            ),
            None => "none".to_owned(),
        },
    );
    if let Some(bytes) = details.balloon {
        let size = Size::bytes(bytes.unsigned_abs());
        line("balloon", format!("{size} taken back from the guest"));
    }
    for log in &details.logs {
        line("log", format!("{} {}", log.file, Size::bytes(log.bytes)));
    }
    let roles = [("client", &details.client), ("manager", &details.manager)];
    let roles = roles
        .into_iter()
        .filter_map(|(role, task)| Some((role, task.as_ref()?)));
    let rest = details.processes.iter().map(|task| ("process", task));
    for (role, task) in roles.chain(rest) {
        line(role, shown(task));
    }
    text
}

fn shown(task: &Task) -> String {
    match (
        &task.program,
        task.memory,
        task.cpu_seconds,
        task.age_seconds,
    ) {
        (Some(program), Some(memory), Some(cpu), Some(seconds)) => format!(
            "{} {}: {} of memory, {cpu:.2} s of CPU time in {}",
            task.pid,
            printable(program),
            Size::bytes(memory),
            age(Duration::from_secs(seconds))
        ),
        _ => format!("{} (gone)", task.pid),
    }
}
