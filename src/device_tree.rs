// SPDX-License-Identifier: Apache-2.0
//! Properties for the guest, as a device-tree overlay:
//!
//! ```text
//! /fragment@0 {
//!     target-path = "/";
//!     __overlay__ { avf {
//!         /* the host's /avf/reference, and what the host vouches for */
//!         untrusted { /* what only the client says */ };
//!     }; };
//! };
//! ```

use crate::error::Error;
use crate::fd::sealed;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use host::Host;
use std::fs::File;
use std::io;
use std::path::Path;

/// What the boot loader gives every guest of this host.
const REFERENCE: &str = "/proc/device-tree/avf/reference";
/// The largest overlay: firmware of protected VMs has no room for more.
const MAX_LEN: usize = 2000;
/// How deep the host's nodes are followed.
const MAX_DEPTH: usize = 8;

/// The overlay with these properties, as a sealed file in memory: the `instance_id`, which the guest
/// must not believe without a proof, and what the host vouches for.
///
/// # Errors
/// If the host's device tree cannot be read, or the overlay is too large.
pub fn overlay(
    host: &Host,
    instance_id: &[u8; 64],
    trusted: &[(&'static str, String)],
) -> Result<File, Error> {
    let bytes = build(&host.path(REFERENCE), instance_id, trusted)?;
    sealed("avf-device-tree-overlay", &bytes)
}

fn build(
    reference: &Path,
    instance_id: &[u8; 64],
    trusted: &[(&'static str, String)],
) -> Result<Vec<u8>, Error> {
    let mut avf = host_node(reference, "avf", MAX_DEPTH)?.unwrap_or_else(|| node("avf"));
    for (name, value) in trusted {
        avf.add_property(DeviceTreeProperty::new_unchecked(*name, value.as_str()));
    }
    // What the host has under this name is not for the guest to take for the client's.
    avf.remove_child("untrusted");
    let mut properties = node("untrusted");
    properties.add_property(DeviceTreeProperty::new_unchecked(
        "instance-id",
        &instance_id[..],
    ));
    avf.add_child(properties);
    let mut content = node("__overlay__");
    content.add_child(avf);
    let mut fragment = node("fragment@0");
    fragment.add_property(DeviceTreeProperty::new_unchecked("target-path", "/"));
    fragment.add_child(content);
    let mut tree = DeviceTree::new();
    tree.root.add_child(fragment);
    let bytes = tree.to_dtb();
    if bytes.len() > MAX_LEN {
        return Err(Error::io(
            format!(
                "cannot make the guest's device-tree overlay, with {}",
                reference.display()
            ),
            io::Error::other(format!(
                "it would have {} bytes, at most {MAX_LEN} are possible; the host's boot loader \
                 must give less",
                bytes.len()
            )),
        ));
    }
    Ok(bytes)
}

fn node(name: &str) -> DeviceTreeNode {
    DeviceTreeNode::new_unchecked(name)
}

/// The node that the kernel shows as the directory `path`; none if it is not there or empty.
fn host_node(path: &Path, name: &str, depth: usize) -> Result<Option<DeviceTreeNode>, Error> {
    let failed = |path: &Path, e: io::Error| {
        Error::io(
            format!("cannot read the host's device tree at {}", path.display()),
            e,
        )
    };
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(failed(path, e)),
    };
    let mut entries = entries
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| failed(path, e))?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    let mut found = node(name);
    let mut is_empty = true;
    for entry in entries {
        let place = entry.path();
        let Ok(name) = entry.file_name().into_string() else {
            return Err(failed(&place, io::ErrorKind::InvalidFilename.into()));
        };
        let kind = entry.file_type().map_err(|e| failed(&place, e))?;
        if kind.is_dir() {
            if depth == 0 {
                return Err(failed(&place, io::Error::other("its nodes are too deep")));
            }
            if let Some(child) = host_node(&place, &name, depth - 1)? {
                found.add_child(child);
                is_empty = false;
            }
        } else if name != "name" {
            // The kernel adds the property `name` by itself.
            let value = std::fs::read(&place).map_err(|e| failed(&place, e))?;
            // No check of the name: the platform has names that are longer than the standard's.
            found.add_property(DeviceTreeProperty::new_unchecked(name, value));
            is_empty = false;
        }
    }
    Ok((!is_empty).then_some(found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use std::process::Command;

    const ID: [u8; 64] = [0xa5; 64];

    /// What another program reads in the bytes; none if that program is missing.
    fn run(program: &str, args: &[&str]) -> Option<String> {
        match Command::new(program).args(args).output() {
            Ok(output) => {
                assert!(output.status.success(), "{output:?}");
                Some(String::from_utf8(output.stdout).unwrap())
            }
            Err(_) => {
                skip::skip!("no {program}");
                None
            }
        }
    }

    fn source(bytes: &[u8]) -> Option<String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        run(
            "dtc",
            &[
                "-q",
                "-I",
                "dtb",
                "-O",
                "dts",
                file.path().to_str().unwrap(),
            ],
        )
    }

    fn words(text: &str) -> String {
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// A reference node of a host.
    fn reference(dir: &Path) -> PathBuf {
        let reference = dir.join("reference");
        std::fs::create_dir_all(reference.join("oem/inner")).unwrap();
        std::fs::create_dir(reference.join("empty")).unwrap();
        for (name, value) in [
            ("name", &b"reference\0"[..]),
            ("flag", b""),
            ("oem/key", b"\x01\x02\x03\x04"),
            ("oem/inner/text", b"hello\0"),
        ] {
            std::fs::write(reference.join(name), value).unwrap();
        }
        reference
    }

    #[test]
    fn dtc_reads_the_overlay() {
        let dir = tempfile::tempdir().unwrap();
        let bytes = build(
            &reference(dir.path()),
            &ID,
            &[("vendor_hashtree_descriptor_root_digest", "00ff".into())],
        )
        .unwrap();
        let Some(text) = source(&bytes) else { return };
        let id = vec!["0xa5a5a5a5"; 16].join(" ");
        let wanted = format!(
            "/dts-v1/; / {{ fragment@0 {{ target-path = \"/\"; __overlay__ {{ avf {{ flag; \
             vendor_hashtree_descriptor_root_digest = \"00ff\"; oem {{ key = <0x1020304>; inner {{ \
             text = \"hello\"; }}; }}; untrusted {{ instance-id = <{id}>; \
             }}; }}; }}; }}; }};"
        );
        assert_eq!(words(&text), wanted);
    }

    #[test]
    fn fdtoverlay_applies_it() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        let bytes = build(&dir.path().join("none"), &ID, &[]).unwrap();
        std::fs::write(at("overlay"), bytes).unwrap();
        std::fs::write(at("base"), DeviceTree::new().to_dtb()).unwrap();
        if run(
            "fdtoverlay",
            &["-i", &at("base"), "-o", &at("out"), &at("overlay")],
        )
        .is_none()
        {
            return;
        }
        let Some(value) = run(
            "fdtget",
            &["-t", "bx", &at("out"), "/avf/untrusted", "instance-id"],
        ) else {
            return;
        };
        assert_eq!(words(&value), vec!["a5"; 64].join(" "));
    }

    #[test]
    fn what_the_host_calls_untrusted_is_not_the_clients() {
        let dir = tempfile::tempdir().unwrap();
        let place = reference(dir.path()).join("untrusted");
        std::fs::create_dir(&place).unwrap();
        std::fs::write(place.join("other"), "x").unwrap();
        let bytes = build(&dir.path().join("reference"), &ID, &[]).unwrap();
        assert!(!bytes.windows(6).any(|part| part == b"other\0"));
    }

    #[test]
    fn more_than_fits_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let place = reference(dir.path());
        std::fs::write(place.join("blob"), [0; 2000]).unwrap();
        let error = build(&place, &ID, &[]).unwrap_err();
        let text = host::chain(&error);
        assert!(text.contains("at most 2000"), "{text}");
    }
}
