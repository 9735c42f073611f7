// SPDX-License-Identifier: Apache-2.0
//! The list of devices that VMs may be given: `/vendor/etc/avf/assignable_devices.xml`.
//!
//! ```xml
//! <devices>
//!     <device kind="gpu" dtbo_label="gpu" sysfs_path="/sys/bus/platform/devices/16d00000.eh"/>
//! </devices>
//! ```
//!
//! The three may be elements as well as attributes.

use super::Error;
use roxmltree::{Document, Node};
use std::collections::BTreeSet;
use std::path::Path;

/// The file.
pub(crate) const FILE: &str = "/vendor/etc/avf/assignable_devices.xml";

/// A device that VMs may be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Device {
    /// Its directory in sysfs, as the list has it.
    pub(crate) sysfs_path: String,
    /// The label of its node in the device-tree overlay.
    pub(crate) dtbo_label: String,
}

/// Reads the list below `root`. Entries that are missing from this machine, or there twice, are
/// skipped with a warning; without the file there are none.
pub(crate) fn load(root: &Path) -> Result<Vec<Device>, Error> {
    let path = root.join(FILE.trim_start_matches('/'));
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(Error::io("read", &path, source)),
    };
    let devices = parse(&text).map_err(|why| Error::List {
        path: path.clone(),
        why,
    })?;
    let (mut paths, mut labels) = (BTreeSet::new(), BTreeSet::new());
    Ok(devices
        .into_iter()
        .filter(|device| {
            let is_there = root
                .join(device.sysfs_path.trim_start_matches('/'))
                .exists();
            let is_new =
                !paths.contains(&device.sysfs_path) && !labels.contains(&device.dtbo_label);
            if !is_there {
                log::warn!("{}: no device {}", path.display(), device.sysfs_path);
            } else if is_new {
                paths.insert(device.sysfs_path.clone());
                labels.insert(device.dtbo_label.clone());
            } else {
                log::warn!(
                    "{}: {} or its label {} is there twice",
                    path.display(),
                    device.sysfs_path,
                    device.dtbo_label
                );
            }
            is_there && is_new
        })
        .collect())
}

fn parse(text: &str) -> Result<Vec<Device>, String> {
    let document = Document::parse(text).map_err(|e| e.to_string())?;
    let root = document.root_element();
    let at = |node: Node<'_, '_>| document.text_pos_at(node.range().start);
    if root.tag_name().name() != "devices" {
        return Err(format!("{}: the root element must be <devices>", at(root)));
    }
    let elements = root.children().filter(Node::is_element);
    elements
        .map(|node| {
            if node.tag_name().name() != "device" {
                return Err(format!(
                    "{}: <{}> is no <device>",
                    at(node),
                    node.tag_name().name()
                ));
            }
            let value = |key| {
                value(node, key).ok_or_else(|| format!("{}: <device> has no {key}", at(node)))
            };
            let device = Device {
                sysfs_path: value("sysfs_path")?,
                dtbo_label: value("dtbo_label")?,
            };
            if device.sysfs_path.starts_with("/sys/") && !device.sysfs_path.contains("/..") {
                Ok(device)
            } else {
                Err(format!(
                    "{}: sysfs_path {} is not below /sys",
                    at(node),
                    device.sysfs_path
                ))
            }
        })
        .collect()
}

/// The attribute or the only text of the element `key`.
fn value(node: Node<'_, '_>, key: &str) -> Option<String> {
    let element = || {
        node.children()
            .find(|child| child.has_tag_name(key))?
            .text()
    };
    let text = node.attribute(key).or_else(element)?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn read(text: &str, devices: &[&str]) -> Result<Vec<Device>, Error> {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join(FILE.trim_start_matches('/'));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
        for device in devices {
            fs::create_dir_all(root.path().join("sys").join(device)).unwrap();
        }
        load(root.path())
    }

    #[test]
    fn attributes_and_elements() {
        let list = read(
            r#"<devices>
                <device kind="gpu" dtbo_label="gpu" sysfs_path="/sys/a"/>
                <device><kind>x</kind><dtbo_label> b </dtbo_label><sysfs_path>/sys/b</sysfs_path></device>
                <device kind="x" dtbo_label="gone" sysfs_path="/sys/gone"/>
                <device kind="x" dtbo_label="other" sysfs_path="/sys/a"/>
                <device kind="x" dtbo_label="gpu" sysfs_path="/sys/c"/>
            </devices>"#,
            &["a", "b", "c"],
        );
        let list = list.unwrap();
        let found: Vec<_> = list
            .iter()
            .map(|device| (device.sysfs_path.as_str(), device.dtbo_label.as_str()))
            .collect();
        assert_eq!(found, [("/sys/a", "gpu"), ("/sys/b", "b")]);
        let root = tempfile::tempdir().unwrap();
        assert_eq!(load(root.path()).unwrap(), []);
    }

    #[test]
    fn faults_are_named_with_their_place() {
        for (text, part) in [
            ("", "assignable_devices.xml"),
            ("<device/>", "1:1: the root element"),
            ("<devices>\n<x/></devices>", "2:1: <x> is no <device>"),
            (
                r#"<devices><device sysfs_path="/sys/a"/></devices>"#,
                "no dtbo_label",
            ),
            (
                r#"<devices><device dtbo_label="a" sysfs_path=" "/></devices>"#,
                "no sysfs_path",
            ),
            (
                r#"<devices><device dtbo_label="a" sysfs_path="/etc/x"/></devices>"#,
                "not below /sys",
            ),
            (
                r#"<devices><device dtbo_label="a" sysfs_path="/sys/../etc"/></devices>"#,
                "not below /sys",
            ),
        ] {
            let error = read(text, &[]).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
