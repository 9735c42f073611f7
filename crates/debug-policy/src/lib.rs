// SPDX-License-Identifier: Apache-2.0
//! The host's debug policy: what guests may expose for debugging.
//!
//! The boot loader puts the policy into the device tree, below `/avf/guest`. A system property may
//! name a device-tree overlay that is used instead. A property of the policy is a big-endian 32-bit
//! number, 1 for yes and 0 for no; a missing one means no.
#![forbid(unsafe_code)]

use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::model::DeviceTree;
use dtoolkit::model::overlay::OverlayApplier;
use dtoolkit::{Node, Property};
use host::Host;
use std::io;
use std::path::{Path, PathBuf};

/// The system property that names the overlay.
const PROPERTY: &str = "hypervisor.virtualizationmanager.debug_policy.path";
/// Where the kernel exposes the device tree.
const DEVICE_TREE: &str = "/proc/device-tree";
/// Whether guests show their kernel log.
const LOG: (&str, &str) = ("/avf/guest/common", "log");
/// Whether guests write a dump of their memory when their kernel crashes.
const RAMDUMP: (&str, &str) = ("/avf/guest/common", "ramdump");
/// Whether Microdroid guests can be reached by a debugger.
const ADB: (&str, &str) = ("/avf/guest/microdroid", "adb");
/// The largest overlay that is read.
const MAX_LEN: u64 = 1 << 20;
/// The deepest nesting of its nodes: applying it takes a stack frame for each level.
const MAX_DEPTH: usize = 32;

/// The policy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DebugPolicy {
    /// Guests show their kernel log, whatever their debug level.
    pub log: bool,
    /// Guests write a dump of their memory when their kernel crashes.
    pub ramdump: bool,
    /// Microdroid guests have the debugger's APEX, whatever their debug level.
    pub adb: bool,
}

/// The policy cannot be understood.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A part of it cannot be read.
    #[error("cannot read the debug policy {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system error.
        source: io::Error,
    },
    /// The file is not a device-tree overlay.
    #[error("the debug policy {} is not a device-tree overlay: {why}; replace it", path.display())]
    Overlay {
        /// The overlay's file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A property is neither 0 nor 1.
    #[error("the debug policy {} has the bytes {}; it must be the number 0 or 1 in 4 bytes", path.display(), hex(value))]
    Value {
        /// The property's file, or its path in the overlay.
        path: PathBuf,
        /// Its bytes.
        value: Vec<u8>,
    },
}

impl DebugPolicy {
    /// The policy of `host`.
    ///
    /// # Errors
    /// If it cannot be read, or a property is neither 0 nor 1.
    pub fn of(host: &Host) -> Result<Self, Error> {
        match host.property(PROPERTY) {
            Some(path) => Self::of_overlay(&host.path(&path)),
            None => Self::read(|(node, name)| {
                let path = host.path(&format!("{DEVICE_TREE}{node}/{name}"));
                match std::fs::read(&path) {
                    Ok(value) => Ok(Some((path, value))),
                    Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
                    Err(source) => Err(Error::Read { path, source }),
                }
            }),
        }
    }

    fn of_overlay(path: &Path) -> Result<Self, Error> {
        let bytes = read_overlay(path).map_err(|source| Error::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::from_overlay(path, &bytes)
    }

    /// The policy in an overlay of `bytes`; `path` is its name in errors.
    ///
    /// # Errors
    /// If it is not an overlay, or a property is neither 0 nor 1.
    pub fn from_overlay(path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let broken = |why: String| Error::Overlay {
            path: path.to_owned(),
            why,
        };
        let overlay = Fdt::new(bytes).map_err(|e| broken(e.to_string()))?;
        if is_deeper(&overlay.root(), MAX_DEPTH) {
            return Err(broken(format!(
                "its nodes are nested over {MAX_DEPTH} deep"
            )));
        }
        let mut tree = DeviceTree::new();
        OverlayApplier::new(&mut tree)
            .apply_overlay(&overlay)
            .map_err(|e| broken(e.to_string()))?;
        Self::read(|(node, name)| {
            let value = tree.find_node(node).and_then(|node| {
                let property = node.property(name)?;
                Some(property.value().to_vec())
            });
            let place = PathBuf::from(format!("{}:{node}/{name}", path.display()));
            Ok(value.map(|value| (place, value)))
        })
    }

    fn read(
        get: impl Fn((&str, &str)) -> Result<Option<(PathBuf, Vec<u8>)>, Error>,
    ) -> Result<Self, Error> {
        let flag = |name| match get(name)? {
            None => Ok(false),
            Some((path, value)) => match value[..] {
                [0, 0, 0, 0] => Ok(false),
                [0, 0, 0, 1] => Ok(true),
                _ => Err(Error::Value { path, value }),
            },
        };
        Ok(Self {
            log: flag(LOG)?,
            ramdump: flag(RAMDUMP)?,
            adb: flag(ADB)?,
        })
    }
}

/// Whether there are nodes below `node` in more than `most` generations.
fn is_deeper(node: &FdtNode<'_>, most: usize) -> bool {
    match most.checked_sub(1) {
        None => node.children().next().is_some(),
        Some(less) => node.children().any(|child| is_deeper(&child, less)),
    }
}

fn hex(bytes: &[u8]) -> String {
    let bytes: Vec<_> = bytes
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    bytes.join(" ")
}

fn read_overlay(path: &Path) -> io::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(MAX_LEN)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_property_is_yes_no_or_an_error() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::at(root.path());
        assert_eq!(DebugPolicy::of(&host).unwrap(), DebugPolicy::default());
        let file = host.path("/proc/device-tree/avf/guest/common/ramdump");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        for (bytes, answer) in [(&[0, 0, 0, 1][..], true), (&[0, 0, 0, 0], false)] {
            std::fs::write(&file, bytes).unwrap();
            assert_eq!(DebugPolicy::of(&host).unwrap().ramdump, answer);
        }
        for bad in [&[0, 0, 0, 2][..], &[1, 0, 0, 0], &[1], &[]] {
            std::fs::write(&file, bad).unwrap();
            let error = DebugPolicy::of(&host).unwrap_err().to_string();
            assert!(
                error.contains("common/ramdump") && error.contains("0 or 1"),
                "{error}"
            );
        }
    }

    /// The overlay that `dtc` makes of this source; none if there is no `dtc`.
    fn compile(source: &str) -> Option<tempfile::NamedTempFile> {
        let (text, binary) = (
            tempfile::NamedTempFile::new().unwrap(),
            tempfile::NamedTempFile::new().unwrap(),
        );
        std::fs::write(text.path(), source).unwrap();
        let result = Command::new("dtc")
            .args(["-q", "-@", "-I", "dts", "-O", "dtb", "-o"])
            .args([binary.path(), text.path()])
            .status();
        let Ok(status) = result else {
            skip::skip!("no dtc");
            return None;
        };
        assert!(status.success());
        Some(binary)
    }

    #[test]
    fn an_overlay_takes_the_place_of_the_device_tree() {
        let source = "/dts-v1/; /plugin/; / { fragment@avf { target-path = \"/\"; __overlay__ { \
                      avf { guest { common { log = <1>; ramdump = <0>; }; microdroid { adb = <1>; \
                      }; }; }; }; }; };";
        let Some(file) = compile(source) else { return };
        let policy = DebugPolicy::of_overlay(file.path()).unwrap();
        let wanted = DebugPolicy {
            log: true,
            ramdump: false,
            adb: true,
        };
        assert_eq!(policy, wanted);
        let Some(file) = compile(&source.replace("log = <1>", "log = <2>")) else {
            return;
        };
        let error = DebugPolicy::of_overlay(file.path()).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("/avf/guest/common/log has the bytes 00 00 00 02;")
        );
        let nested = |depth| {
            let (open, close) = ("a { ".repeat(depth), "}; ".repeat(depth));
            let inner = format!("avf {{ {open}{close} guest {{");
            compile(&source.replace("avf { guest {", &inner))
        };
        let (Some(few), Some(many)) = (nested(20), nested(40)) else {
            return;
        };
        assert!(DebugPolicy::of_overlay(few.path()).unwrap().log);
        let error = DebugPolicy::of_overlay(many.path()).unwrap_err();
        assert!(error.to_string().contains("nested over 32 deep"), "{error}");
        std::fs::write(file.path(), "no tree").unwrap();
        let error = DebugPolicy::of_overlay(file.path()).unwrap_err();
        assert!(
            error.to_string().contains("is not a device-tree overlay"),
            "{error}"
        );
        let error = DebugPolicy::of_overlay("/none".as_ref()).unwrap_err();
        assert!(matches!(error, Error::Read { .. }));
    }
}
