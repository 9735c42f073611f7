// SPDX-License-Identifier: Apache-2.0
//! The sequence: start the manager, run the VM, ask its payload, see it end.

use super::app;
use super::args::{Args, open};
use super::timeline::{Timeline, Who};
use super::watchdog::Watchdog;
use anyhow::{Context, Error, Result, anyhow, bail, ensure};
use std::path::Path;
use std::time::{Duration, Instant};
use vm_demo::output::print;
use vm_demo::{IDemoService, PORT};
use vmclient::avf_aidl::service::{VirtualMachineConfig, VirtualMachineRawConfig};
use vmclient::console::Console;
use vmclient::rsbinder::{ParcelFileDescriptor, Status};
use vmclient::{CallError, DeathReason, Event, Manager, ManagerOptions, Streams, VmInstance};

/// The VM's name, as the early VM list has it.
const NAME: &str = "vm_demo_native_early";
/// What the guest's init says first.
const INIT_MARK: &str = "avf-init: started";
/// The variable that says what the manager logs.
const LOG_VARIABLE: &str = "VIRTMGR_LOG";
/// A wait that only the watchdog ends.
const FOR_EVER: Duration = Duration::MAX;

/// The answer and how it came.
#[derive(Debug)]
pub(crate) struct Outcome {
    answer: i32,
    cid: u32,
    death: DeathReason,
    timeline: Timeline,
}

/// Shows the outcome: as JSON alone, or as a timeline whose last line is the answer.
pub(crate) fn show_outcome(args: &Args, outcome: &Outcome) -> Result<()> {
    if args.json {
        let json = serde_json::json!({
            "answer": outcome.answer,
            "cid": outcome.cid,
            "death_reason": outcome.death.to_string(),
            "timeline": outcome.timeline.steps(),
        });
        print(format_args!("{json}"))
    } else {
        print(format_args!(
            "{}\n\nThe answer from VM is {}",
            outcome.timeline, outcome.answer
        ))
    }
    .context("cannot write to standard output")
}

/// Runs the demo.
pub(crate) fn run(args: &Args) -> Result<Outcome> {
    let apk = args.app();
    let raw = apk.is_none().then(|| config(args)).transpose()?;
    let mut options = ManagerOptions::new(args.manager()?).own_process_group();
    if std::env::var_os(LOG_VARIABLE).is_none() {
        options = options.env(LOG_VARIABLE, "warn");
    }
    let (console, console_out) = Console::new(&[INIT_MARK], None)?;
    let (log, log_out) = Console::new(&[], None)?;
    let streams = Streams {
        console_out: Some(console_out),
        console_in: None,
        log: Some(log_out),
        ..Default::default()
    };

    let manager = Manager::start(&options)?;
    let watchdog = Watchdog::start(args.timeout(), manager.hang_up_handle())?;
    let mut step = "the VM to be created";
    let made = apk
        .map(|apk| app::config(args, NAME, &apk, &manager))
        .transpose();
    let result = made.and_then(|app| {
        // One of the two is there.
        let config = app.as_ref().map(|app| &app.config).or(raw.as_ref());
        let config = config.context("no VM to be created")?;
        converse(&manager, config, streams, &console, &mut step)
    });
    let expired = watchdog.has_expired();
    drop(manager);
    drop(watchdog);
    result.map_err(|error| {
        show("console", &console.finish());
        show("log", &log.finish());
        if expired {
            anyhow!(
                "gave up after {} s, waiting for {step}; --timeout sets another limit",
                args.timeout().as_secs()
            )
        } else {
            error.context(format!("waiting for {step}"))
        }
    })
}

fn config(args: &Args) -> Result<VirtualMachineConfig> {
    let file =
        |option, path: &Path| open(option, path).map(|file| Some(ParcelFileDescriptor::new(file)));
    Ok(VirtualMachineConfig::RawConfig(VirtualMachineRawConfig {
        name: NAME.into(),
        kernel: file("--kernel", &args.kernel())?,
        initrd: file("--initrd", &args.initrd())?,
        params: Some(args.kernel_params()?),
        memoryMib: args.memory_mib,
        platformVersion: "~1.0".into(),
        ..Default::default()
    }))
}

/// Everything that needs the manager. `step` is what is being waited for.
fn converse(
    manager: &Manager,
    config: &VirtualMachineConfig,
    streams: Streams,
    console: &Console,
    step: &mut &'static str,
) -> Result<Outcome> {
    let vm = manager.create_vm(config, streams)?;
    let mut answered_at = None;
    let end = talk(&vm, step, &mut answered_at);

    let timing = manager.timing();
    let mut timeline = Timeline::new(timing.forked);
    timeline.note(Who::Host, "manager ready", timing.ready);
    timeline.note(Who::Host, "VM created", vm.created_at());
    timeline.note(Who::Host, "VMM started", vm.started_at());
    timeline.note(
        Who::Guest,
        "kernel: first console output",
        console.first_output(),
    );
    timeline.note(Who::Guest, "init started", console.seen(INIT_MARK));
    for timed in vm.events() {
        let name = match timed.event {
            Event::PayloadStarted => "payload started",
            Event::PayloadReady => "payload ready",
            Event::PayloadFinished(_) => "payload finished",
            Event::Died(_) => "VM dead",
            _ => continue,
        };
        timeline.note(Who::Guest, name, timed.at);
    }
    timeline.note(Who::Host, "answer from the payload", answered_at);
    match end {
        Ok((answer, death)) => Ok(Outcome {
            answer,
            cid: vm.cid(),
            death,
            timeline,
        }),
        Err(error) => {
            vm_demo::output::note(format_args!("{timeline}\n"));
            Err(error)
        }
    }
}

/// Runs the VM to its end, and returns the answer and the death reason.
fn talk(
    vm: &VmInstance,
    step: &mut &'static str,
    answered_at: &mut Option<Instant>,
) -> Result<(i32, DeathReason)> {
    *step = "the VM to be started";
    vm.start()?;
    *step = "the payload to be ready";
    vm.wait_until_ready(FOR_EVER)?;
    *step = "the payload's service";
    let service = vm.connect_service::<dyn IDemoService>(PORT)?;
    *step = "the answer";
    let answer = service
        .addInteger(10, 20)
        .map_err(|status| call_failed(vm, "addInteger", status))?;
    *answered_at = Some(Instant::now());
    ensure!(answer == 30, "the payload answers that 10 + 20 is {answer}");
    *step = "the VM to power off";
    // The guest may be gone before it could answer this; whether it went well shows in its death.
    let quit = service.quit();
    let death = vm.wait_for_death(None)?.context("no death reason")?;
    if death != DeathReason::Shutdown || vm.payload_exit_code().is_some_and(|code| code != 0) {
        if let Err(status) = quit {
            return Err(call_failed(vm, "quit", status));
        }
        bail!(ended(vm, death));
    }
    Ok((answer, death))
}

/// A call to the payload that failed: if the VM died, that says more than the call's status.
fn call_failed(vm: &VmInstance, method: &'static str, status: Status) -> Error {
    let error = CallError { method, status };
    match vm.wait_for_death(Some(Duration::from_secs(1))) {
        Ok(Some(death)) => ended(vm, death).context(error),
        _ => error.into(),
    }
}

/// The error for a VM that died.
fn ended(vm: &VmInstance, death: DeathReason) -> Error {
    let code = vm
        .payload_exit_code()
        .map(|code| format!(", the payload's exit code is {code}"));
    let error = vm.guest_error().map(|error| format!(", {error}"));
    anyhow!(
        "the VM died: {death}{}{}",
        code.unwrap_or_default(),
        error.unwrap_or_default()
    )
}

/// Shows the end of a stream of the guest's.
fn show(stream: &str, text: &str) {
    if !text.is_empty() {
        vm_demo::output::note(format_args!(
            "--- the end of the guest's {stream} ---\n{}\n---",
            text.trim_end()
        ));
    }
}
