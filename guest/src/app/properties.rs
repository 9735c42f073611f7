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
    unpack(bytes, Path::new(PLACE)).map_err(failed)
}

/// Writes the overlay's properties to `dir`.
///
/// The parser's own check refuses names that are longer than the standard's 31 characters, which the
/// platform's are; without that check it panics where a tree is broken. So it has its own thread.
fn unpack(bytes: Vec<u8>, dir: &Path) -> io::Result<()> {
    let dir = dir.to_owned();
    let broken = |why: &str| io::Error::other(format!("the host's device-tree overlay {why}"));
    let work = move || {
        let tree = Fdt::new_unchecked(&bytes);
        let node = tree
            .find_node(NODE)
            .ok_or_else(|| broken(&format!("has no {NODE}")))?;
        write(&node, &dir, MAX_DEPTH)
    };
    std::thread::Builder::new()
        .spawn(work)?
        .join()
        .unwrap_or_else(|_| Err(broken("is broken")))
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

/// A name that stays inside its directory.
fn plain(name: &str) -> io::Result<&str> {
    if name.is_empty() || name.contains(['/', '\0']) || name == "." || name == ".." {
        return Err(io::Error::other(format!(
            "'{}' is not the name of a property",
            name.escape_debug()
        )));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};

    const LONG: &str = "a_name_of_more_than_thirty_one_characters";

    fn overlay() -> Vec<u8> {
        let property = |name: &str, value: &[u8]| DeviceTreeProperty::new_unchecked(name, value);
        let node = |name: &str| DeviceTreeNode::new_unchecked(name);
        let mut untrusted = node("untrusted");
        untrusted.add_property(property("instance-id", &[7; 64]));
        let mut avf = node("avf");
        avf.add_property(property(LONG, b"value"));
        avf.add_child(untrusted);
        let mut content = node("__overlay__");
        content.add_child(avf);
        let mut fragment = node("fragment@0");
        fragment.add_child(content);
        let mut tree = DeviceTree::new();
        tree.root.add_child(fragment);
        tree.to_dtb()
    }

    #[test]
    fn properties_become_files() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("avf");
        unpack(overlay(), &place).unwrap();
        assert_eq!(fs::read(place.join(LONG)).unwrap(), b"value");
        assert_eq!(
            fs::read(place.join("untrusted/instance-id")).unwrap(),
            [7; 64]
        );
    }

    #[test]
    fn a_broken_tree_is_an_error() {
        let bytes = overlay();
        for length in [0, 10, 40, 60, bytes.len() / 2] {
            let dir = tempfile::tempdir().unwrap();
            let place = dir.path().join("avf");
            assert!(
                unpack(bytes[..length].to_vec(), &place).is_err(),
                "{length}"
            );
        }
    }
}
