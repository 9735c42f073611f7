// SPDX-License-Identifier: Apache-2.0
//! The measurements.

use anyhow::{Context, Result, ensure};
use command_fds::CommandFdExt;
use rustix::time::{ClockId, clock_gettime};
use std::env;
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use system_tests::guest;
use system_tests::host::Host;
use vmclient::{Manager, ManagerOptions, Stderr};

/// Where the VMM of [`exec`] notes when it was executed.
const NOTE_VARIABLE: &str = "BENCH_VMM_NOTE";
/// The release that is spoken to the manager; the newest without it.
const WIRE_VARIABLE: &str = "BENCH_WIRE";

/// The machine's monotonic clock, the same in all processes, in nanoseconds.
fn now() -> Result<i128> {
    let time = clock_gettime(ClockId::Monotonic);
    Ok(i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec))
}

/// Spawn of a program that writes one byte to a pipe, until the byte is there.
pub(crate) fn bare(program: &Path) -> Result<Duration> {
    let start = Instant::now();
    let (mut read, write) = std::io::pipe()?;
    let number = write.as_raw_fd().to_string();
    let mut command = Command::new(program);
    command.arg(number).stdin(Stdio::null());
    command.preserved_fds(vec![write.into()]);
    let mut child = command.spawn().context("spawn the bare program")?;
    drop(command);
    let mut byte = [0];
    read.read_exact(&mut byte)
        .context("the bare program said nothing")?;
    let taken = start.elapsed();
    child.wait()?;
    Ok(taken)
}

/// The manager that is measured, without its warnings.
fn quiet(host: &Host) -> ManagerOptions {
    options(host).env("VIRTMGR_LOG", "error")
}

/// The manager that is measured. An older one is spoken to in its own release, which the variable names.
fn options(host: &Host) -> ManagerOptions {
    let options = ManagerOptions::new(host.dist.path("early_virtmgr"));
    match env::var(WIRE_VARIABLE).map(|name| name.parse()) {
        Ok(Ok(release)) => options.release(release),
        _ => options,
    }
}

/// Fork of a manager until it says that it is ready, and until a session with it is set up.
pub(crate) fn ready(host: &Host) -> Result<(Duration, Duration)> {
    let manager = Manager::start(&quiet(host))?;
    let timing = manager.timing();
    Ok((
        timing.ready - timing.forked,
        timing.connected - timing.forked,
    ))
}

/// From the call of createVm, through start, until the VMM is executed.
pub(crate) fn exec(host: &Host) -> Result<Duration> {
    let vmm = host.scratch().join("qemu-system-bench");
    let note = host.scratch().join("note");
    if !vmm.exists() {
        fs::hard_link(env::current_exe()?, &vmm)?;
    }
    let _ = fs::remove_file(&note);
    let options = options(host)
        .env("VIRTMGR_VMM", &vmm)
        .env("VIRTMGR_LOG", "off")
        .env(NOTE_VARIABLE, &note)
        .stderr(Stderr::Keep);
    let manager = Manager::start(&options)?;
    let config = guest::config(host, &[]);
    let start = now()?;
    let vm = guest::create(&manager, config)?;
    ensure!(
        vm.start().is_err(),
        "the VMM of this measurement starts no guest"
    );
    let executed: i128 = fs::read_to_string(&note)
        .context("the VMM noted nothing")?
        .trim()
        .parse()?;
    Ok(Duration::from_nanos(u64::try_from(executed - start)?))
}

/// The VMM of [`exec`].
pub(crate) fn be_the_vmm() -> Result<()> {
    let executed = now()?;
    let note = env::var_os(NOTE_VARIABLE).context("no place to note")?;
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(note)?
        .write_all(executed.to_string().as_bytes())?;
    std::process::exit(1);
}

/// A binder call there and back, and one byte there and back over a socket to a thread.
pub(crate) fn round_trips(host: &Host, count: u32) -> Result<(Duration, Duration)> {
    let manager = Manager::start(&quiet(host))?;
    let service = manager.service();
    let start = Instant::now();
    for _ in 0..count {
        service.isFeatureEnabled("none")?;
    }
    let binder = start.elapsed() / count;
    let (mut ours, mut theirs) = std::os::unix::net::UnixStream::pair()?;
    let echo = std::thread::spawn(move || {
        let mut byte = [0];
        while theirs.read_exact(&mut byte).is_ok() && theirs.write_all(&byte).is_ok() {}
    });
    let start = Instant::now();
    let mut byte = [0];
    for _ in 0..count {
        ours.write_all(&byte)?;
        ours.read_exact(&mut byte)?;
    }
    let socket = start.elapsed() / count;
    drop(ours);
    let _ = echo.join();
    Ok((binder, socket))
}

/// The proportional set size of an idle manager, in KiB.
pub(crate) fn idle_pss(host: &Host) -> Result<u64> {
    let manager = Manager::start(&quiet(host))?;
    Ok(system_tests::memory::proportional_kib(manager.process_id()))
}
