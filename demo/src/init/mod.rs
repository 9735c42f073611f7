// SPDX-License-Identifier: Apache-2.0
//! Process 1, and the step between it and the client.

mod client;
mod system;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, WaitOptions, wait};
use rustix::system::{RebootCommand, reboot};
use std::process::{Command, ExitCode, Stdio};

/// The argument that makes this program the client's first step.
const CLIENT_STEP: &str = "client";

pub(crate) fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(CLIENT_STEP) {
        // It returns only if it fails.
        let error = client::become_client();
        vm_demo::output::note(format_args!("vm_demo_init: {error:#}"));
        return ExitCode::FAILURE;
    }
    if std::process::id() != 1 {
        vm_demo::output::note(format_args!(
            "vm_demo_init: this is the init of a small system and works only as process 1"
        ));
        return ExitCode::FAILURE;
    }
    if let Err(error) = work() {
        say(&format!("{error:#}"));
    }
    if let Err(e) = reboot(RebootCommand::PowerOff) {
        say(&format!("power off: {e}"));
    }
    ExitCode::FAILURE
}

/// A line with the time since the kernel's start.
fn say(text: &str) {
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds = uptime.split(' ').next().unwrap_or_default();
    vm_demo::output::say(format_args!("vm_demo_init: {seconds} s: {text}"));
}

fn work() -> Result<()> {
    system::mounts()?;
    say("init started");
    system::devices()?;
    let mounts = std::fs::read_to_string("/proc/mounts").context("read /proc/mounts")?;
    vm_demo::output::say(format_args!("{}", mounts.trim_end()));
    say("client starts");
    let child = Command::new("/proc/self/exe")
        .arg(CLIENT_STEP)
        .env_clear()
        .stdin(Stdio::null())
        .spawn()
        .context("start the client")?;
    let client = Pid::from_child(&child);
    let status = loop {
        // Others may be orphans, which only process 1 can reap.
        if let Some((ended, status)) = wait(WaitOptions::empty()).context("wait for the client")?
            && ended == client
        {
            break status;
        }
    };
    let code = status.exit_status();
    say(&format!(
        "client ended with status {}",
        code.map_or("none".into(), |code| code.to_string())
    ));
    ensure!(
        system::leftovers()?.is_empty(),
        "something is left in /mnt/vm/early"
    );
    Ok(())
}
