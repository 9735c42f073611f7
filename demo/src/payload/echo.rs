// SPDX-License-Identifier: Apache-2.0
//! The plain servers of `--echo`, and the copier of `--console`.

use anyhow::{Context, Result};
use avf_rpc::accept::AcceptLoop;
use std::io::{self, BufRead, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::Builder;
use vm_demo::bulk::{ECHO_PORT, SINK_PORT, SOURCE_PORT, Tally, write_pattern};
use vsock::{VMADDR_CID_ANY, VsockAddr, VsockListener, VsockStream};

/// Connections served at once on one port; a further one is closed.
const MOST: usize = 64;

type Serve = fn(&mut VsockStream) -> io::Result<()>;

/// Starts the servers. They end when dropped; connections still open end with the process.
pub(crate) fn start() -> Result<Vec<AcceptLoop>> {
    [
        ("echo", ECHO_PORT, echo as Serve),
        ("source", SOURCE_PORT, source),
        ("sink", SINK_PORT, sink),
    ]
    .into_iter()
    .map(|(name, port, serve)| listen(name, port, serve))
    .collect()
}

fn listen(name: &'static str, port: u32, serve: Serve) -> Result<AcceptLoop> {
    let listener = VsockListener::bind(&VsockAddr::new(VMADDR_CID_ANY, port))
        .with_context(|| format!("listen on vsock port {port}"))?;
    let live = Arc::new(AtomicUsize::new(0));
    let accept = AcceptLoop::start(name, name, listener, move |listener: &VsockListener| {
        let (mut stream, _) = listener.accept()?;
        if live.fetch_add(1, Ordering::Relaxed) >= MOST {
            live.fetch_sub(1, Ordering::Relaxed);
            vm_demo::output::note(format_args!(
                "vm_demo_payload: {name}: more than {MOST} connections"
            ));
            return Ok(());
        }
        let leaving = Arc::clone(&live);
        let spawned = Builder::new().name(name.to_owned()).spawn(move || {
            if let Err(e) = serve(&mut stream) {
                vm_demo::output::note(format_args!("vm_demo_payload: {name}: {e}"));
            }
            leaving.fetch_sub(1, Ordering::Relaxed);
        });
        if let Err(e) = spawned {
            live.fetch_sub(1, Ordering::Relaxed);
            vm_demo::output::note(format_args!("vm_demo_payload: {name}: no thread: {e}"));
        }
        Ok(())
    })?;
    Ok(accept)
}

fn echo(stream: &mut VsockStream) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match stream.read(&mut buffer)? {
            0 => return stream.shutdown(Shutdown::Write),
            n => stream.write_all(&buffer[..n])?,
        }
    }
}

fn source(stream: &mut VsockStream) -> io::Result<()> {
    let mut length = [0; 8];
    stream.read_exact(&mut length)?;
    write_pattern(stream, u64::from_le_bytes(length))?;
    stream.shutdown(Shutdown::Write)
}

fn sink(stream: &mut VsockStream) -> io::Result<()> {
    let tally = Tally::of(stream)?;
    stream.write_all(&tally.to_bytes())?;
    stream.shutdown(Shutdown::Write)
}

/// Copies each line of standard input, which is the console, to the log; ends with the process.
pub(crate) fn console() -> Result<()> {
    let copy = || {
        for line in io::stdin().lock().lines() {
            match line {
                Ok(line) => vm_demo::output::say(format_args!("vm_demo_payload: console: {line}")),
                Err(e) => {
                    vm_demo::output::note(format_args!("vm_demo_payload: console: {e}"));
                    return;
                }
            }
        }
    };
    Builder::new()
        .name("console".to_owned())
        .spawn(copy)
        .context("start a thread")?;
    Ok(())
}
