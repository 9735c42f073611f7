// SPDX-License-Identifier: Apache-2.0
//! The little that an early VM needs: the kernel's file systems, memory to write to, two devices.

use super::client::{CLIENT_GROUP, CLIENT_USER};
use anyhow::{Context, Result};
use rustix::fs::{Gid, Mode, Uid, chmod, chown};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};
use std::ffi::CStr;
use std::fs;

/// Type, place, options. The root itself cannot be written to.
const MOUNTS: [(&str, &str, &CStr); 5] = [
    ("proc", "/proc", c""),
    ("sysfs", "/sys", c""),
    ("devtmpfs", "/dev", c"mode=0755"),
    ("tmpfs", "/mnt", c"mode=0755"),
    ("tmpfs", "/run", c"mode=0755"),
];
/// Where managers keep their VMs' directories.
const VMS: &str = "/mnt/vm";
/// What the client may open.
const DEVICES: [&str; 2] = ["/dev/kvm", "/dev/vhost-vsock"];

pub(super) fn mounts() -> Result<()> {
    for (kind, place, options) in MOUNTS {
        match mount(kind, place, kind, MountFlags::NOSUID, options) {
            // The step before this one may have done it.
            Ok(()) | Err(Errno::BUSY) => {}
            Err(e) => return Err(e).with_context(|| format!("mount {kind} on {place}")),
        }
    }
    Ok(())
}

/// Gives the client's group the devices, and the client a place for its VMs.
pub(super) fn devices() -> Result<()> {
    let (user, group) = (Uid::from_raw(CLIENT_USER), Gid::from_raw(CLIENT_GROUP));
    for device in DEVICES {
        chown(device, None, Some(group)).with_context(|| format!("give away {device}"))?;
        chmod(device, Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP)
            .with_context(|| format!("let the group open {device}"))?;
    }
    fs::create_dir(VMS).with_context(|| format!("make {VMS}"))?;
    chown(VMS, Some(user), Some(group)).with_context(|| format!("give away {VMS}"))
}

/// What the manager left, which should be nothing.
pub(super) fn leftovers() -> Result<Vec<String>> {
    let place = format!("{VMS}/early");
    fs::read_dir(&place)
        .with_context(|| format!("list {place}"))?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect()
}
