// SPDX-License-Identifier: Apache-2.0
//! The device's way: drivers, the host's files, then the command.

mod kvm;
mod root;
mod run;

use crate::failure::{Failure, Kind};
use crate::{loopback, modules};
use rustix::system::{RebootCommand, reboot};
use std::fmt::Display;
use std::process::ExitCode;

/// What the initramfs says about the command, one file each.
const ORDERS: &str = "/device";

/// There if the root is an image with an init of its own: that init's path.
const IMAGE: &str = "/device/image";

/// What is to be done.
struct Orders {
    /// The shell's command line.
    command: String,
    /// Where it is run.
    directory: String,
    /// `NAME=VALUE`, separated by NUL.
    environment: Vec<u8>,
    /// The directory of the kernel's modules in the host's file system.
    modules: String,
}

impl Orders {
    fn read() -> Result<Self, Failure> {
        let bytes = |name: &str| {
            let path = format!("{ORDERS}/{name}");
            std::fs::read(&path).map_err(|e| failed(format!("read {path}"), &e))
        };
        let text = |name: &str| {
            String::from_utf8(bytes(name)?).map_err(|e| failed(format!("read {ORDERS}/{name}"), &e))
        };
        Ok(Self {
            command: text("command")?,
            directory: text("directory")?,
            environment: bytes("environment")?,
            modules: text("modules")?,
        })
    }
}

fn failed(what: impl Display, error: &impl Display) -> Failure {
    Failure::io(Kind::Runtime, what, error)
}

pub(crate) fn main() -> ExitCode {
    if std::process::id() != 1 {
        eprintln!(
            "device-init: this is the init of an emulated device and works only as process 1"
        );
        return ExitCode::FAILURE;
    }
    std::panic::set_hook(Box::new(|info| {
        eprintln!("device-init: panicked: {info}");
        power_off();
    }));
    // Without a status the host takes the device for crashed, and shows this console.
    if let Err(failure) = work() {
        eprintln!("device-init: {failure}");
    }
    power_off()
}

fn work() -> Result<(), Failure> {
    root::first_file_systems()?;
    modules::load(modules::LIST)?;
    if let Ok(init) = std::fs::read_to_string(IMAGE) {
        return root::image(&init);
    }
    let orders = Orders::read()?;
    root::switch(&orders)?;
    loopback::up()?;
    run::drivers()?;
    let _held = kvm::hold();
    run::command(&orders)
}

fn power_off() -> ExitCode {
    rustix::fs::sync();
    if let Err(e) = reboot(RebootCommand::PowerOff) {
        eprintln!("device-init: the kernel does not power off: {e}");
    }
    ExitCode::FAILURE
}
