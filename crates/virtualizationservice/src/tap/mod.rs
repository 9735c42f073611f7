// SPDX-License-Identifier: Apache-2.0
//! TAP network interfaces. An interface lives as long as a descriptor of it is open.

mod request;

use request::{IFF_NO_PI, IFF_TAP, IFF_TUN_EXCL, IFF_UP, IFF_VNET_HDR, Request};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What the names of all of them begin with.
const PREFIX: &str = "avf_tap_";
/// The longest name the kernel takes, without the end of the text.
const LONGEST: usize = 15;
/// The device, on Android and elsewhere, below the root directory.
const DEVICES: [&str; 2] = ["dev/tun", "dev/net/tun"];
/// Its number on all Linux systems (`Documentation/admin-guide/devices.txt`).
const TUN: (u32, u32) = (10, 200);

/// Why there is no interface.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The name's end cannot be one.
    #[error("'{suffix}' cannot be the end of an interface's name: it must have 1 to {} letters, digits, _ or -",
        LONGEST - PREFIX.len())]
    Name {
        /// The end.
        suffix: String,
    },
    /// The descriptor is something else.
    #[error("the descriptor is not an interface that this service made: {0}")]
    NotOurs(&'static str),
    /// There is no device.
    #[error("cannot open {}, which makes network interfaces", path.display())]
    Device {
        /// The device.
        path: PathBuf,
        /// The system error.
        source: io::Error,
    },
    /// The interface exists already.
    #[error("network interface {name} is in use: end the VM that has it")]
    InUse {
        /// Its name.
        name: String,
    },
    /// The kernel refused.
    #[error("cannot {what} network interface {name}")]
    Kernel {
        /// What was being done.
        what: &'static str,
        /// The interface.
        name: String,
        /// The system error.
        source: io::Error,
    },
}

/// Makes the interface `avf_tap_{suffix}` and brings it up.
pub(crate) fn create(root: &Path, suffix: &str) -> Result<OwnedFd, Error> {
    let name = name(suffix)?;
    let device = open(root)?;
    let kernel = |what, source: Errno| Error::Kernel {
        what,
        name: name.clone(),
        source: source.into(),
    };
    // Exclusively: one that persists is someone else's.
    let flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_TUN_EXCL;
    request::attach(&device, &Request::new(&name, flags)).map_err(|e| match e {
        Errno::BUSY => Error::InUse { name: name.clone() },
        e => kernel("make", e),
    })?;
    set_up(&name, true).map_err(|e| kernel("bring up", e))?;
    Ok(device)
}

/// Takes the interface of `tap` down. It is gone when all its descriptors are closed.
pub(crate) fn delete(tap: impl AsFd) -> Result<(), Error> {
    // Before any request: the same number means something else to another device.
    let stat = rustix::fs::fstat(&tap).map_err(|_| Error::NotOurs("it cannot be looked at"))?;
    let is_device =
        rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::CharacterDevice;
    let number = (
        rustix::fs::major(stat.st_rdev),
        rustix::fs::minor(stat.st_rdev),
    );
    if !is_device || number != TUN {
        return Err(Error::NotOurs("it is not /dev/tun"));
    }
    let found = request::attached(&tap).map_err(|_| Error::NotOurs("it has no interface"))?;
    if found.flags() & IFF_TAP == 0 {
        return Err(Error::NotOurs("it is not a TAP"));
    }
    let name = found.name();
    if !name.starts_with(PREFIX) {
        return Err(Error::NotOurs("its name is another"));
    }
    set_up(&name, false).map_err(|e| Error::Kernel {
        what: "take down",
        name: name.clone(),
        source: e.into(),
    })
}

fn name(suffix: &str) -> Result<String, Error> {
    let name = format!("{PREFIX}{suffix}");
    let is_fit = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if suffix.is_empty() || name.len() > LONGEST || !suffix.chars().all(is_fit) {
        return Err(Error::Name {
            suffix: suffix.escape_debug().take(64).collect(),
        });
    }
    Ok(name)
}

fn open(root: &Path) -> Result<OwnedFd, Error> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK);
    let paths = DEVICES.map(|device| root.join(device));
    let path = paths.iter().find(|path| path.exists());
    let [first, _] = &paths;
    let path = path.unwrap_or(first);
    match options.open(path) {
        Ok(device) => Ok(device.into()),
        Err(source) => Err(Error::Device {
            path: path.clone(),
            source: match source.kind() {
                io::ErrorKind::NotFound => host::with_remedy(source, "load the kernel module tun"),
                _ => source,
            },
        }),
    }
}

/// Brings the interface up or down, its other flags as they are.
fn set_up(name: &str, is_up: bool) -> Result<(), Errno> {
    let socket = socket_with(
        AddressFamily::INET,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    let found = request::flags(&socket, name)?;
    let flags = if is_up {
        found.flags() | IFF_UP
    } else {
        found.flags() & !IFF_UP
    };
    request::set_flags(&socket, &Request::new(name, flags))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(name("fixed").unwrap(), "avf_tap_fixed");
        assert_eq!(name("1234567").unwrap().len(), LONGEST);
        // Managers send the VM's CID.
        assert_eq!(name("65535").unwrap(), "avf_tap_65535");
        for suffix in ["", "12345678", "a/b", "a b", "\u{e9}", "a\0", "%d", "."] {
            assert!(
                matches!(name(suffix), Err(Error::Name { .. })),
                "{suffix:?}"
            );
        }
    }

    /// A real interface, if this machine lets one be made.
    #[test]
    fn a_real_interface() {
        // Its own name, so that tests on one machine do not meet.
        let suffix = format!("t{}", std::process::id() % 1_000_000);
        let tap = match create(Path::new("/"), &suffix) {
            Ok(tap) => tap,
            Err(e @ (Error::Device { .. } | Error::Kernel { .. })) => {
                skip::skip!("{}", host::chain(&e));
                return;
            }
            Err(e) => panic!("{e}"),
        };
        let sysfs = PathBuf::from(format!("/sys/class/net/{PREFIX}{suffix}"));
        let flags = || {
            let text = std::fs::read_to_string(sysfs.join("flags")).unwrap();
            u32::from_str_radix(text.trim().trim_start_matches("0x"), 16).unwrap()
        };
        assert_eq!(flags() & 1, 1, "not up");
        let kind = std::fs::read_to_string(sysfs.join("tun_flags")).unwrap();
        let kind = u32::from_str_radix(kind.trim().trim_start_matches("0x"), 16).unwrap();
        assert_eq!(
            kind & 0x5002,
            0x5002,
            "not a TAP without header, with vnet header: {kind:x}"
        );
        assert!(matches!(
            create(Path::new("/"), &suffix),
            Err(Error::InUse { .. })
        ));
        delete(&tap).unwrap();
        assert_eq!(flags() & 1, 0, "still up");
        drop(tap);
        assert!(!sysfs.exists());
    }

    #[test]
    fn what_is_no_interface_is_refused() {
        let null = std::fs::File::open("/dev/null").unwrap();
        assert!(matches!(delete(&null), Err(Error::NotOurs(_))));
        let (pipe, _) = io::pipe().unwrap();
        assert!(matches!(delete(&pipe), Err(Error::NotOurs(_))));
        let Ok(unattached) = open(Path::new("/")) else {
            skip::skip!("no /dev/tun here");
            return;
        };
        let error = delete(&unattached).unwrap_err();
        assert!(error.to_string().contains("has no interface"), "{error}");
        let name = format!("other{}", std::process::id() % 1_000_000);
        let other = Request::new(&name, IFF_TAP | IFF_NO_PI);
        if let Err(e) = request::attach(&unattached, &other) {
            skip::skip!("{e}");
            return;
        }
        let error = delete(&unattached).unwrap_err();
        assert!(error.to_string().contains("name is another"), "{error}");
    }
}
