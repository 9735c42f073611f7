// SPDX-License-Identifier: Apache-2.0
//! What this user may: limits, permissions, the rights that clients of early VMs need.

use super::Fact;
use crate::machines::root;
use host::chain;
use permissions::{Authority, Caller, Permission, Policy};
use rustix::process::{Resource, getrlimit};
use rustix::thread::CapabilitySet;

pub(super) fn limit(
    key: &'static str,
    title: &'static str,
    resource: Resource,
    unit: &str,
) -> Fact {
    let limit = getrlimit(resource);
    let show = |limit: Option<u64>| limit.map_or("unlimited".to_owned(), |n| format!("{n} {unit}"));
    Fact::value(
        key,
        title,
        format!(
            "{}, may be raised to: {}",
            show(limit.current),
            show(limit.maximum)
        ),
    )
}

/// The capabilities that clients of the early manager need.
pub(super) fn capabilities() -> Fact {
    const NEEDED: [(CapabilitySet, &str); 3] = [
        (CapabilitySet::IPC_LOCK, "CAP_IPC_LOCK"),
        (CapabilitySet::NET_BIND_SERVICE, "CAP_NET_BIND_SERVICE"),
        (CapabilitySet::SYS_RESOURCE, "CAP_SYS_RESOURCE"),
    ];
    let (key, title) = ("early_capabilities", "early VM rights");
    let effective = match rustix::thread::capabilities(None) {
        Ok(sets) => sets.effective,
        Err(e) => return Fact::lacking(key, title, format!("capget: {e}"), "run it as root"),
    };
    let names = |there: bool| -> Vec<&str> {
        NEEDED
            .iter()
            .filter(|(c, _)| effective.contains(*c) == there)
            .map(|(_, n)| *n)
            .collect()
    };
    match &names(false)[..] {
        [] => Fact::there(key, title, names(true).join(" ")),
        missing => Fact::lacking(
            key,
            title,
            format!("lacking: {}", missing.join(" ")),
            "a client of early_virtmgr needs these where vsock and locked memory are real",
        ),
    }
}

/// What this user may do with VMs, as the groups of this host say. On Android another service
/// decides, which is not asked here.
pub(super) fn permissions() -> Vec<Fact> {
    const SHOWN: [(Permission, &str, &str, &str); 4] = [
        (
            Permission::Manage,
            "may_manage",
            "may run VMs",
            "VMs of apps",
        ),
        (
            Permission::Custom,
            "may_custom",
            "may run own VMs",
            "VMs of one's own kernel or disks, and devices",
        ),
        (
            Permission::Dump,
            "may_dump",
            "may see others' VMs",
            "VMs of other users in vm list",
        ),
        (
            Permission::Internet,
            "may_internet",
            "may use network",
            "a network for guests, with the one above",
        ),
    ];
    let policy = match Policy::of_managers(&root()) {
        Ok(policy) => policy,
        Err(e) => {
            let hint = "correct the file: until then no one but root has any permission";
            return vec![Fact::lacking("permissions", "permissions", chain(&e), hint)];
        }
    };
    let me = Caller::this_process();
    SHOWN
        .into_iter()
        .map(
            |(permission, key, title, what)| match Authority::check(&policy, permission, &me) {
                Ok(()) if me.uid == 0 => Fact::there(key, title, format!("{what}: as root")),
                Ok(()) => Fact::there(key, title, format!("{what}: by a group of this user")),
                Err(denied) => Fact::lacking(key, title, what, denied.remedy),
            },
        )
        .collect()
}
