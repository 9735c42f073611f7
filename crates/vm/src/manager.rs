// SPDX-License-Identifier: Apache-2.0
//! Finding and starting managers.

use crate::cli::common::ManagerArgs;
use crate::out::tell;
use anyhow::{Result, anyhow};
use host::Host;
use std::path::{Path, PathBuf};
use vmclient::rsbinder::Status;
use vmclient::{CallError, Manager, ManagerOptions, Stderr};
use vmm::accel::Acceleration;
use vmm::find::{Finder, Settings};

/// The variable that sets the manager's log level.
pub(crate) use host::logger::LEVEL_VARIABLE as LOG_VARIABLE;

/// The manager's program.
///
/// # Errors
/// If it is nowhere, with where it was looked for.
pub(crate) fn locate(args: &ManagerArgs, early: bool) -> Result<PathBuf> {
    if let Some(path) = &args.manager {
        return Ok(path.clone());
    }
    let name = if early { "early_virtmgr" } else { "virtmgr" };
    vmclient::locate(name).ok_or_else(|| {
        anyhow!(
            "no {name} beside this program, in /apex/com.android.virt/bin or in PATH; \
             build it (cargo xtask dist) or say where it is with --manager FILE"
        )
    })
}

/// How the manager `program` is started whose log matters only if it fails.
pub(crate) fn options(program: &Path, args: &ManagerArgs) -> ManagerOptions {
    let mut options = ManagerOptions::new(program).own_process_group();
    if let Some(release) = args.wire {
        options = options.release(release);
    }
    if std::env::var_os(LOG_VARIABLE).is_none() {
        options.env(LOG_VARIABLE, "warn")
    } else {
        options
    }
}

/// Starts a manager for a few calls. Its log is seen only if it does not start.
///
/// # Errors
/// If it does not start.
pub(crate) fn start_quietly(program: &Path, args: &ManagerArgs) -> Result<Manager> {
    Ok(Manager::start(
        &options(program, args).stderr(Stderr::Keep),
    )?)
}

/// Finds the VMM as the managers do: by the host's settings, below its root directory.
pub(crate) fn vmm_finder() -> Finder {
    // A wrong root directory has ended the program before.
    Finder::new(
        Host::of_process().map_or_else(|_| Settings::linux(), |host| Settings::of_host(&host)),
    )
}

/// The manager's refusal of a call.
pub(crate) fn refused(method: &'static str, status: Status) -> anyhow::Error {
    CallError { method, status }.into()
}

/// Tells which VMM runs the guests, and why.
pub(crate) fn tell_vmm() {
    match vmm_finder().vmm() {
        Ok(found) => {
            let how = match found.accel {
                Acceleration::Kvm => "with KVM",
                Acceleration::Emulation => {
                    "by software emulation, as KVM does not work here (vm info says why)"
                }
            };
            tell(&format!(
                "vm: guests run in {} {how}",
                found.vmm.program().display()
            ));
        }
        // The manager says so when it is asked for a VM.
        Err(e) => tell(&format!("vm: {e}")),
    }
}
