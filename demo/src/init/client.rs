// SPDX-License-Identifier: Apache-2.0
//! The client's first step: from all privileges to its own few, as an init would do it for a
//! service.

use anyhow::{Context, Error};
use rustix::fs::{Gid, Uid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set,
    configure_capability_in_ambient_set, remove_capability_from_bounding_set, set_capabilities,
    set_keep_capabilities, set_no_new_privs, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid,
};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The user that the client runs as.
pub(super) const CLIENT_USER: u32 = 1000;
/// Its group, which may open the devices.
pub(super) const CLIENT_GROUP: u32 = 1000;
/// The client.
const CLIENT: &str = "/system/bin/vm_demo_native_early";
/// What docs/early_vm.md says that a client needs, and nothing else.
const CAPABILITIES: [CapabilitySet; 4] = [
    CapabilitySet::IPC_LOCK,
    CapabilitySet::NET_BIND_SERVICE,
    CapabilitySet::SYS_RESOURCE,
    CapabilitySet::SYS_NICE,
];

/// Drops privileges and becomes the client.
pub(super) fn become_client() -> Error {
    if let Err(error) = drop_privileges() {
        return error;
    }
    show_privileges();
    let error = Command::new(CLIENT)
        .env_clear()
        .env("PATH", "/usr/bin:/system/bin")
        .env("VIRTMGR_LOG", "info")
        .exec();
    Error::new(error).context(format!("execute {CLIENT}"))
}

fn drop_privileges() -> Result<(), Error> {
    let kept = CAPABILITIES
        .into_iter()
        .fold(CapabilitySet::empty(), CapabilitySet::union);
    for (_, other) in CapabilitySet::all().difference(kept).iter_names() {
        remove_capability_from_bounding_set(other)
            .with_context(|| format!("drop {other:?} for good"))?;
    }
    // A change of user drops them all but for this.
    set_keep_capabilities(true).context("keep capabilities")?;
    let (user, group) = (Uid::from_raw(CLIENT_USER), Gid::from_raw(CLIENT_GROUP));
    set_thread_groups(&[group]).context("set the groups")?;
    set_thread_res_gid(group, group, group).context("set the group")?;
    set_thread_res_uid(user, user, user).context("set the user")?;
    let sets = CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: kept,
    };
    set_capabilities(None, sets).context("set the capabilities")?;
    clear_ambient_capability_set().context("clear the ambient capabilities")?;
    for capability in CAPABILITIES {
        configure_capability_in_ambient_set(capability, true)
            .with_context(|| format!("hand {capability:?} on"))?;
    }
    set_no_new_privs(true).context("forbid new privileges")
}

/// Shows the client's identity.
fn show_privileges() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    for line in status.lines() {
        if [
            "Uid:",
            "Gid:",
            "Groups:",
            "CapPrm:",
            "CapBnd:",
            "CapAmb:",
            "NoNewPrivs:",
        ]
        .iter()
        .any(|name| line.starts_with(name))
        {
            vm_demo::output::say(format_args!(
                "vm_demo_init: client: {}",
                line.replace('\t', " ")
            ));
        }
    }
}
