// SPDX-License-Identifier: Apache-2.0
//! The system's own description of a Microdroid, and its initial RAM disk.

use super::{invalid, unusable};
use crate::error::Error;
use avf_aidl::service::VirtualMachineRawConfig;
use host::Host;
use rsbinder::ParcelFileDescriptor;
use std::fs::File;
use vm_config::VmConfig;

/// The operating system of a client that names none.
pub(super) const DEFAULT_OS: &str = "microdroid";
/// Where the virtualization APEX has them.
const DIRECTORY: &str = "/apex/com.android.virt/etc";

/// The operating systems that this host has, sorted.
#[must_use]
pub(crate) fn supported(host: &Host) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(host.path(DIRECTORY))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let stem = name.strip_suffix(".json")?;
            stem.starts_with(DEFAULT_OS).then(|| stem.to_owned())
        })
        .collect();
    names.sort();
    names
}

/// The raw config of the operating system `os`, with files opened.
pub(super) fn load(host: &Host, os: &str, debug: bool) -> Result<VirtualMachineRawConfig, Error> {
    let path = host.path(&format!("{DIRECTORY}/{os}.json"));
    if os.is_empty() || os.starts_with('.') || os.contains(['/', '\0']) || !path.is_file() {
        let known = supported(host);
        let known = if known.is_empty() {
            format!(
                "none, as {} holds no description of one",
                host.path(DIRECTORY).display()
            )
        } else {
            known.join(", ")
        };
        return Err(invalid(format!("osName {os:?}: this host has {known}")));
    }
    let wrong = |e: vm_config::Error| unusable(format!("the description of {os}"), e);
    let mut config = VmConfig::load(&path).map_err(wrong)?;
    config.reroot(host.root());
    let mut raw = config.to_parcelable().map_err(wrong)?;
    let level = if debug { "debuggable" } else { "normal" };
    let initrd = host.path(&format!("{DIRECTORY}/{os}_initrd_{level}.img"));
    let file = File::open(&initrd)
        .map_err(|e| unusable(format!("open the initial RAM disk {}", initrd.display()), e))?;
    raw.initrd = Some(ParcelFileDescriptor::new(file));
    Ok(raw)
}
