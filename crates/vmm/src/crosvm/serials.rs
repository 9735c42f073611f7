// SPDX-License-Identifier: Apache-2.0
//! The serial ports and consoles. There are always five, so that disks keep their PCI slots.

use crate::Error;
use crate::launch::Launch;
use crate::plan::{ConsoleInput, Consoles};
use std::os::fd::OwnedFd;

/// Adds ttyS0 and hvc0 (console), ttyS1 (failure reason), hvc1 (memory dump) and hvc2 (log).
pub(super) fn add(launch: &mut Launch, consoles: Consoles) -> Result<(), Error> {
    let second = consoles
        .console_out
        .try_clone()
        .map_err(|e| Error::io("cannot duplicate the console's descriptor", e))?;
    if consoles
        .console_in
        .as_ref()
        .is_some_and(rustix::termios::isatty)
    {
        // crosvm reads it itself, and only the foreground group may read from a terminal.
        launch.stay_in_group();
    }
    let input = consoles
        .console_in
        .map(|fd| format!(",input={}", launch.pass_path(fd)))
        .unwrap_or_default();
    let (tty, hvc) = match consoles.console_input {
        ConsoleInput::TtyS0 => (input.as_str(), ""),
        ConsoleInput::Hvc0 => ("", input.as_str()),
    };
    let tty_out = file(launch, Some(consoles.console_out));
    let failure = file(launch, Some(consoles.failure));
    let hvc_out = file(launch, Some(second));
    let ramdump = file(launch, consoles.ramdump);
    let log = file(launch, Some(consoles.log));
    for line in [
        format!("{tty_out}{tty},hardware=serial,num=1"),
        format!("{failure},hardware=serial,num=2"),
        format!("{hvc_out}{hvc},hardware=virtio-console,num=1"),
        format!("{ramdump},hardware=virtio-console,num=2"),
        format!("{log},hardware=virtio-console,num=3"),
    ] {
        launch.arg(format!("--serial={line}"));
    }
    Ok(())
}

/// Where a port's output goes: nowhere if there is no descriptor.
fn file(launch: &mut Launch, fd: Option<OwnedFd>) -> String {
    match fd {
        Some(fd) => format!("type=file,path={}", launch.pass_path(fd)),
        None => "type=sink".into(),
    }
}
