// SPDX-License-Identifier: Apache-2.0
//! The init of a plain Linux guest that runs one payload and reports to the manager on the host.
//!
//! It is process 1 of an initramfs. In order: pseudo file systems ([`mounts`]), the kernel command
//! line ([`cmdline`]), kernel modules ([`modules`]), the session with the host, the log device
//! ([`devices`]), partitions ([`partitions`]) or a payload disk ([`app`]), the payload ([`run`]); then
//! power off, whatever happened. Failures are reported to the host, on the failure line and on the
//! console ([`report`]).
#![forbid(unsafe_code)]

mod app;
mod cmdline;
mod devices;
mod executable;
mod failure;
mod loopback;
mod modules;
mod mounts;
mod partitions;
mod report;
mod run;
mod uevents;

use cmdline::{Options, Payload};
use failure::{Failure, Kind};
use report::Report;
use rustix::system::{RebootCommand, reboot};
use std::process::ExitCode;
use uevents::Uevents;

fn main() -> ExitCode {
    if std::process::id() != 1 {
        eprintln!("avf-init: this is the init of a guest and works only as process 1");
        return ExitCode::FAILURE;
    }
    // The end of process 1 panics the kernel: say why and power off instead.
    std::panic::set_hook(Box::new(|info| {
        let text = info.to_string();
        report::last_words(&Failure::new(
            Kind::Runtime,
            format!("avf-init panicked: {text}"),
        ));
        if std::thread::current().name() == Some("main") {
            power_off();
        }
    }));
    if let Err(failure) = mounts::pseudo_file_systems() {
        report::last_words(&failure);
        return power_off();
    }
    let mut report = Report::new();
    if let Err(failure) = boot(&mut report) {
        report.failed(&failure);
    }
    // The session ends before the machine does, so that the host has received everything.
    drop(report);
    power_off()
}

/// Everything between the mounts and the power off.
fn boot(report: &mut Report) -> Result<(), Failure> {
    let options = std::fs::read_to_string("/proc/cmdline")
        .map_err(|e| Failure::io(Kind::Runtime, "read /proc/cmdline", &e))
        .map(|line| Options::parse(&line))?;
    let uevents = Uevents::open()?;
    modules::load(modules::LIST)?;
    loopback::up()?;
    if !options.noservice {
        report.connect(&uevents)?;
    }
    // Only now can errors in the parameters be reported.
    let payload = options.payload?;
    let log = devices::log(&uevents)?;
    report.log_to(&log)?;
    let program = match payload {
        Payload::Program(program) => program,
        Payload::App { args } => app::prepare(args, &uevents, report)?,
    };
    let mut mounted = Vec::new();
    for mount in &program.mounts {
        mounted.push(partitions::mount(mount, &uevents)?);
    }
    let code = run::payload(&program, log, report)?;
    report.finished(code);
    partitions::unmount(mounted, report);
    Ok(())
}

/// Writes everything out and switches the machine off. Returns only if the kernel refuses.
fn power_off() -> ExitCode {
    rustix::fs::sync();
    match reboot(RebootCommand::PowerOff) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("avf-init: the kernel does not power off: {e}");
            ExitCode::FAILURE
        }
    }
}
