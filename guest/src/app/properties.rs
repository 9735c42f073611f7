// SPDX-License-Identifier: Apache-2.0
//! Properties from the host, for payloads: the directory `/run/avf` has what a device tree has in
//! `/avf`. Where the guest has no device tree, the overlay comes from the firmware configuration
//! device.

use crate::failure::{Failure, Kind};
use crate::modules;
use crate::report::Report;
use dtoolkit::fdt::Fdt;
use dtoolkit::{Node, Property};
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

/// Where payloads look.
const PLACE: &str = "/run/avf";
/// Where the kernel shows a device tree.
const DEVICE_TREE: &str = "/proc/device-tree/avf";
/// Where the kernel shows the overlay.
const OVERLAY: &str = "/sys/firmware/qemu_fw_cfg/by_name/opt/avf/device-tree-overlay/raw";
/// Where in the overlay the properties are.
const NODE: &str = "/fragment@0/__overlay__/avf";
/// How deep nodes are followed.
const MAX_DEPTH: usize = 8;

/// Makes the directory, if the host gives anything.
pub(super) fn publish(report: &mut Report) -> Result<(), Failure> {
    let failed = |e: io::Error| Failure::io(Kind::Runtime, format!("make {PLACE}"), &e);
    if Path::new(DEVICE_TREE).is_dir() {
        return symlink(DEVICE_TREE, PLACE).map_err(failed);
    }
    modules::load(&modules::list_of("qemu_fw_cfg"))?;
    let bytes = match fs::read(OVERLAY) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            report.say("the host gives no properties");
            return Ok(());
        }
        Err(e) => return Err(failed(e)),
    };
    let broken = |text: String| {
        Failure::new(
            Kind::Runtime,
            format!("the device-tree overlay of the host is broken: {text}"),
        )
    };
    let tree = Fdt::new(&bytes).map_err(|e| broken(e.to_string()))?;
    let node = tree
        .find_node(NODE)
        .ok_or_else(|| broken(format!("it has no {NODE}")))?;
    write(&node, Path::new(PLACE), MAX_DEPTH).map_err(failed)
}

fn write<N: Node>(node: &N, dir: &Path, depth: usize) -> io::Result<()> {
    fs::create_dir(dir)?;
    for property in node.properties() {
        fs::write(dir.join(plain(property.name())?), property.value())?;
    }
    if depth == 0 {
        return Ok(());
    }
    for child in node.children() {
        let name = child.name();
        write(&child, &dir.join(plain(name.as_ref())?), depth - 1)?;
    }
    Ok(())
}

/// A name that does not lead elsewhere.
fn plain(name: &str) -> io::Result<&str> {
    if name.is_empty() || name.contains(['/', '\0']) || name == "." || name == ".." {
        return Err(io::Error::other(format!(
            "{name:?} is no name of a property"
        )));
    }
    Ok(name)
}
