// SPDX-License-Identifier: Apache-2.0
//! USB devices of the host, by the numbers of their vendor and product.

use crate::Error;
use crate::plan::UsbDevice;
use rustix::fs::{Mode, OFlags};
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The field of a client's config that names devices.
const FIELD: &str = "usbConfig.devices";
/// The devices as the kernel lists them, below the host's root.
const LIST: &str = "sys/bus/usb/devices";
/// Their nodes, below the host's root.
const NODES: &str = "dev/bus/usb";

/// A device that is plugged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Plugged {
    bus: u16,
    number: u16,
    vendor: u16,
    product: u16,
}

/// Opens the devices of these vendors and products on the host whose files are below `root`. Where a
/// pair is named twice, these are two devices.
///
/// # Errors
/// If one of them is not plugged in, or cannot be opened.
pub fn open(root: &Path, wanted: &[(u16, u16)]) -> Result<Vec<UsbDevice>, Error> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let plugged = list(&root.join(LIST));
    let mut taken = HashSet::new();
    let mut devices = Vec::with_capacity(wanted.len());
    for (index, &(vendor, product)) in wanted.iter().enumerate() {
        let what = || format!("{FIELD}[{index}] {vendor:04x}:{product:04x}");
        let fits = |device: &&Plugged| (device.vendor, device.product) == (vendor, product);
        let mut fitting = plugged.iter().filter(fits);
        let device = fitting
            .find(|device| taken.insert((device.bus, device.number)))
            .ok_or_else(|| Error::Invalid {
                what: format!(
                    "{}: the host has no such device that is free; plug it in, or see `lsusb`",
                    what()
                ),
            })?;
        let node = root
            .join(NODES)
            .join(format!("{:03}/{:03}", device.bus, device.number));
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        let node = rustix::fs::open(&node, flags, Mode::empty())
            .map_err(|e| Error::io(format!("{}: cannot open {}", what(), node.display()), e))?;
        devices.push(UsbDevice {
            vendor,
            product,
            node,
        });
    }
    Ok(devices)
}

/// The devices that are plugged in, in the order of their numbers. A host without USB has none.
fn list(directory: &Path) -> Vec<Plugged> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut devices: Vec<Plugged> = entries.filter_map(|entry| read(&entry.path())).collect();
    devices.sort_unstable();
    devices
}

/// The device of a directory; none if it is an interface of one, or is gone.
fn read(directory: &Path) -> Option<Plugged> {
    let text = |name: &str| fs::read_to_string(PathBuf::from(directory).join(name)).ok();
    let hexadecimal = |name| u16::from_str_radix(text(name)?.trim(), 16).ok();
    let decimal = |name| text(name)?.trim().parse().ok();
    Some(Plugged {
        bus: decimal("busnum")?,
        number: decimal("devnum")?,
        vendor: hexadecimal("idVendor")?,
        product: hexadecimal("idProduct")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    /// A host with devices: name, bus, number, vendor, product.
    fn host(devices: &[(&str, u16, u16, &str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, bus, number, vendor, product) in devices {
            let directory = root.path().join(LIST).join(name);
            fs::create_dir_all(&directory).unwrap();
            for (file, text) in [
                ("busnum", bus.to_string()),
                ("devnum", number.to_string()),
                ("idVendor", (*vendor).to_owned()),
                ("idProduct", (*product).to_owned()),
            ] {
                fs::write(directory.join(file), text + "\n").unwrap();
            }
            let nodes = root.path().join(NODES).join(format!("{bus:03}"));
            fs::create_dir_all(&nodes).unwrap();
            fs::write(nodes.join(format!("{number:03}")), "").unwrap();
        }
        root
    }

    #[test]
    fn devices_are_found_by_their_numbers() {
        let root = host(&[
            ("1-2", 1, 12, "18d1", "4ee7"),
            ("2-1.3", 2, 3, "18d1", "4ee7"),
            ("usb1", 1, 1, "1d6b", "0002"),
        ]);
        // An interface of a device.
        fs::create_dir_all(root.path().join(LIST).join("1-2:1.0")).unwrap();
        let device = (0x18d1, 0x4ee7);
        let devices = open(root.path(), &[device, (0x1d6b, 2), device]).unwrap();
        let node = |path: &str| {
            let path = root.path().join(NODES).join(path);
            fs::metadata(path).unwrap().ino()
        };
        let opened: Vec<u64> = devices
            .iter()
            .map(|device| rustix::fs::fstat(&device.node).unwrap().st_ino)
            .collect();
        assert_eq!(opened, [node("001/012"), node("001/001"), node("002/003")]);
        let error = open(root.path(), &[device, device, device]).unwrap_err();
        assert!(error.is_invalid_input(), "{error}");
        let text = error.to_string();
        assert!(
            text.starts_with("usbConfig.devices[2] 18d1:4ee7: "),
            "{text}"
        );
    }

    #[test]
    fn a_host_without_usb() {
        let root = tempfile::tempdir().unwrap();
        assert!(open(root.path(), &[]).unwrap().is_empty());
        open(root.path(), &[(1, 2)]).unwrap_err();
    }
}
