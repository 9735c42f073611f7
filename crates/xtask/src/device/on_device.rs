// SPDX-License-Identifier: Apache-2.0
//! `test --device`: the tests that need a device, in the device; then a boot before `/data`.
//!
//! Kernel binder has a service manager there, `rsb_hub` of the crate `rsbinder-tools`, which is built
//! once into `target/tools`.

use super::machine::End;
use super::{Device, early_boot};
use crate::packages::Installer;
use crate::steps::{output, run as run_program, step};
use crate::tally::Tally;
use crate::workspace::{Workspace, cargo};
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::time::Duration;

/// The test programs that only a device can run in full.
pub(crate) const DEVICE: [&str; 4] = ["binder", "device", "global_service", "staged_apexes"];
/// The crate that has the service manager for kernel binder, and its version: that of the library.
const HUB_CRATE: [&str; 2] = ["rsbinder-tools", "0.12.0"];
const HUB: &str = "rsb_hub";
/// The tests that run on any host with QEMU, and in the device with crosvm.
const GUESTS: [&str; 5] = ["guests", "controls", "disks", "vsock", "apps"];
/// How long one of them may take on a slow machine.
const TIMEOUT: Duration = Duration::from_secs(1800);

/// Runs the tests whose names contain one of `filters`, of those programs that have such tests.
pub(crate) fn run(
    workspace: Workspace,
    filters: &[String],
    chosen: impl Fn(&str) -> bool,
    installer: Installer,
    tally: &mut Tally,
) -> Result<()> {
    let device = Device::prepare(workspace, installer)?;
    let hub = step("the service manager for kernel binder", || {
        hub(&device.workspace)
    })?;
    let crosvm = std::env::var_os("CROSVM").filter(|path| !path.is_empty());
    let programs = step("build the device's tests", || {
        DEVICE
            .iter()
            .chain(GUESTS.iter().filter(|_| crosvm.is_some()))
            .filter(|name| chosen(name))
            .map(|name| Ok((*name, program(name, &device.workspace)?)))
            .collect::<Result<Vec<_>>>()
    })?;
    for (name, program) in programs {
        let vmm = match &crosvm {
            Some(crosvm) if GUESTS.contains(&name) => {
                format!("VIRTMGR_VMM={} ", quote(&crosvm.to_string_lossy()))
            }
            _ => String::new(),
        };
        let filters: String = filters.iter().map(|filter| quote(filter) + " ").collect();
        let command = format!(
            "{} VIRTMGR_TEST_HUB={} {vmm}{} {filters}--test-threads=1 --nocapture",
            tally.variables_in_device(),
            quote(&hub.to_string_lossy()),
            quote(&program.to_string_lossy())
        );
        let name = format!("device: tests of {name}");
        let (end, printed) = step(&name, || device.test(&command, TIMEOUT))?;
        tally.add_of_device(&name, &printed, end == End::Exit(0));
    }
    if filters.is_empty() {
        let name = "device: boot before /data";
        let done = step(name, || early_boot::run(&device));
        tally.add_step(name, done);
    }
    Ok(())
}

/// The service manager for kernel binder.
fn hub(workspace: &Workspace) -> Result<PathBuf> {
    let root = workspace.target.join("tools");
    let program = root.join("bin").join(HUB);
    if !program.is_file() {
        let [name, version] = HUB_CRATE;
        run_program(
            cargo()
                .args([
                    "install",
                    name,
                    "--version",
                    version,
                    "--bin",
                    HUB,
                    "--locked",
                ])
                .arg("--root")
                .arg(&root),
        )?;
    }
    Ok(program)
}

/// Builds the system test `name` and returns its program.
fn program(name: &str, workspace: &Workspace) -> Result<PathBuf> {
    let mut command = cargo();
    command
        .args(["test", "--workspace", "--test", name])
        .args(["--no-run", "--message-format=json"])
        .current_dir(&workspace.root);
    let messages = output(&mut command)?;
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find_map(|message| {
            let is_it = message.pointer("/target/name")? == name;
            let program = message.get("executable")?.as_str()?;
            is_it.then(|| PathBuf::from(program))
        })
        .with_context(|| format!("Cargo names no program of the test {name}"))
}

/// `text` as one word of a shell's.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shell_takes_a_quoted_text_as_it_is() {
        for text in ["a b", "it's", "$HOME `x` \"y\" \\", ""] {
            let mut sh = std::process::Command::new("sh");
            sh.args(["-c", &format!("printf %s {}", quote(text))]);
            assert_eq!(output(&mut sh).unwrap(), text);
        }
    }
}
