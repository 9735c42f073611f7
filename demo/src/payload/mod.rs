// SPDX-License-Identifier: Apache-2.0
//! The payload: its options, then its ways to end, or its servers.

mod echo;
mod knock;
mod options;
mod service;

use anyhow::{Context, Result};
use options::{Ending, Options};
use rsbinder::Interface;
use rustix::system::{RebootCommand, reboot};
use std::process::ExitCode;
use std::sync::mpsc::channel;
use vm_demo::{BnDemoService, PORT};
use vm_payload::{Host, serve};

pub(crate) fn main() -> ExitCode {
    match Options::parse(std::env::args().skip(1)).and_then(|options| run(&options)) {
        Ok(code) => code,
        Err(error) => {
            vm_demo::output::note(format_args!("vm_demo_payload: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<ExitCode> {
    for (path, text) in &options.writes {
        service::write_through(path, text.as_bytes()).with_context(|| format!("write {path}"))?;
    }
    if let Some(port) = options.knock {
        vm_demo::output::say(format_args!(
            "vm_demo_payload: knock on {port}: {}",
            knock::knock(port)
        ));
    }
    match options.ending {
        Ending::Exit(code) => return Ok(ExitCode::from(code)),
        Ending::Reboot => {
            rustix::fs::sync();
            reboot(RebootCommand::Restart).context("reboot")?;
        }
        Ending::Panic => {
            rustix::fs::sync();
            std::fs::write("/proc/sysrq-trigger", "c").context("make the kernel panic")?;
        }
        Ending::Quit => {}
    }
    let (quit, quitting) = channel();
    let demo = BnDemoService::new_binder(service::Demo::new(quit));
    let server = serve(demo.as_binder(), PORT)?;
    let _plain = if options.echo {
        echo::start()?
    } else {
        Vec::new()
    };
    let host = if options.hang {
        None
    } else {
        Some(Host::connect()?)
    };
    if let Some(host) = &host {
        host.notify_ready()?;
        vm_demo::output::say(format_args!(
            "vm_demo_payload: ready, CID {}, port {PORT}",
            host.cid()
        ));
    }
    if options.console {
        echo::console()?;
    }
    // The sender lives in the service, which the server keeps.
    quitting.recv().context("wait for quit")?;
    vm_demo::output::say(format_args!("vm_demo_payload: quit"));
    server.finish();
    Ok(ExitCode::SUCCESS)
}
