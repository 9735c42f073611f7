// SPDX-License-Identifier: Apache-2.0
//! The list of devices that may be assigned to VMs: `/vendor/etc/avf/assignable_devices.xml`.
//!
//! ```xml
//! <devices>
//!     <device kind="gpu" dtbo_label="gpu" sysfs_path="/sys/bus/platform/devices/16d00000.eh"/>
//! </devices>
//! ```
//!
//! The fields may also be child elements.

use super::Error;
use rustix::fs::{FileType, Mode, OFlags};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use xml_list::{Fault, Form, Unknown, printable};

/// The file.
pub(crate) const FILE: &str = "/vendor/etc/avf/assignable_devices.xml";

/// Bytes of the list that are read at most.
const MAX_LEN: u64 = 1 << 20;

/// `kind` is for people; only the other two are used.
const FORM: Form<'_> = Form {
    root: "devices",
    entry: "device",
    fields: &["kind", "sysfs_path", "dtbo_label"],
    required: &[],
    unknown: Unknown::RefuseEntries,
};

/// A device that may be assigned to VMs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Device {
    /// Its directory in sysfs, as the list has it.
    #[serde(alias = "@sysfs_path")]
    pub(crate) sysfs_path: String,
    /// The label of its node in the device-tree overlay.
    #[serde(alias = "@dtbo_label")]
    pub(crate) dtbo_label: String,
}

/// Reads the list below `root`. Devices that this machine does not have, and repeated ones, are
/// skipped with a warning. Without the file there are no devices.
pub(crate) fn load(root: &Path) -> Result<Vec<Device>, Error> {
    let path = root.join(FILE.trim_start_matches('/'));
    let bytes = match read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(Error::io("cannot read", &path, source)),
    };
    let devices = parse(&bytes).map_err(|fault| Error::List {
        path: path.clone(),
        why: fault.to_string(),
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
            let shown = printable(&device.sysfs_path);
            if !is_there {
                log::warn!(
                    "{}: this machine has no device {shown}; the entry is ignored",
                    path.display()
                );
            } else if is_new {
                paths.insert(device.sysfs_path.clone());
                labels.insert(device.dtbo_label.clone());
            } else {
                log::warn!(
                    "{}: device {shown} or its label {} is listed twice; the second entry is ignored",
                    path.display(),
                    printable(&device.dtbo_label)
                );
            }
            is_there && is_new
        })
        .collect())
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    // Without waiting for the other end of a FIFO.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty())?;
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode);
    if kind != FileType::RegularFile {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::from(file).take(MAX_LEN + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_LEN {
        return Err(io::Error::other(format!(
            "it is larger than {MAX_LEN} bytes"
        )));
    }
    Ok(bytes)
}

fn parse(bytes: &[u8]) -> Result<Vec<Device>, Fault> {
    let list = xml_list::read(bytes, &FORM)?;
    if let Some(fault) = list.faults.into_iter().next() {
        return Err(fault);
    }
    list.entries
        .iter()
        .map(|entry| {
            if let Some(fault) = entry.faults.first() {
                return Err(fault.clone());
            }
            let fault = |message: String| Fault {
                position: entry.position,
                message,
            };
            let device: Device = entry.read()?;
            for (name, value) in [
                ("sysfs_path", &device.sysfs_path),
                ("dtbo_label", &device.dtbo_label),
            ] {
                if value.trim().is_empty() {
                    return Err(fault(format!("<device> has no {name}; add one")));
                }
            }
            let device = Device {
                sysfs_path: device.sysfs_path.trim().to_owned(),
                dtbo_label: device.dtbo_label.trim().to_owned(),
            };
            if device.sysfs_path.starts_with("/sys/") && !device.sysfs_path.contains("/..") {
                Ok(device)
            } else {
                Err(fault(format!(
                    "sysfs_path {} is not below /sys",
                    printable(&device.sysfs_path)
                )))
            }
        })
        .collect()
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
            (
                "<devices>\n<x/></devices>",
                "2:1: unknown element <x> in <devices>; only <device> is allowed there",
            ),
            (
                "<devices xmlns='a'/>",
                "1:1: the root element is <devices> of namespace 'a'; it must be <devices> without",
            ),
            (
                "<!DOCTYPE a [<!ENTITY b 'c'>]><devices/>",
                "1:1: a DOCTYPE is refused",
            ),
            ("<devices/><devices/>", "1:11: not XML: "),
            (
                "<devices>\n<device sysfs_path='/sys/a' dtbo_label='a'>\n<dtbo_label>b</dtbo_label></device></devices>",
                "3:1: <device> has 2 of dtbo_label; it needs exactly one",
            ),
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
