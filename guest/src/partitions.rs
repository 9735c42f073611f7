// SPDX-License-Identifier: Apache-2.0
//! Partitions by their GPT names, and what file system is on them.

use crate::cmdline::Mount;
use crate::failure::{Failure, Kind};
use crate::modules;
use crate::mounts::make_dir;
use crate::report::Report;
use crate::uevents::{TIMEOUT, Uevents};
use rustix::mount::{MountFlags, UnmountFlags};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Where the kernel lists disks and partitions.
const BLOCK: &str = "/sys/class/block";

/// A file system that can be mounted here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FileSystem {
    Ext4,
    Erofs,
    Squashfs,
}

/// Name, where its magic number stands, and the magic number.
const KNOWN: [(FileSystem, &str, u64, &[u8]); 3] = [
    (FileSystem::Ext4, "ext4", 1024 + 56, &[0x53, 0xef]),
    (FileSystem::Erofs, "erofs", 1024, &[0xe2, 0xe1, 0xf5, 0xe0]),
    (FileSystem::Squashfs, "squashfs", 0, b"hsqs"),
];

impl FileSystem {
    fn of(device: &File) -> io::Result<Option<Self>> {
        for (kind, _, offset, magic) in KNOWN {
            let mut found = vec![0; magic.len()];
            match device.read_exact_at(&mut found, offset) {
                Ok(()) if found == magic => return Ok(Some(kind)),
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {}
                Err(e) => return Err(e),
            }
        }
        Ok(None)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Erofs => "erofs",
            Self::Squashfs => "squashfs",
        }
    }

    fn writable(self) -> bool {
        self == Self::Ext4
    }
}

/// Mounts the partition that `mount` names, waiting for its disk if need be. Returns the directory.
pub(crate) fn mount(mount: &Mount, uevents: &Uevents) -> Result<String, Failure> {
    let Mount {
        label,
        dir,
        writable,
    } = mount;
    let path = wait_for(label, uevents)?;
    let failed = |what: &str, e: &dyn std::fmt::Display| {
        Failure::io(
            Kind::Config,
            format!("{what} partition '{}' ({path})", label.escape_debug()),
            &e,
        )
    };
    let kind = File::open(&path)
        .and_then(|device| FileSystem::of(&device))
        .map_err(|e| failed("read", &e))?
        .ok_or_else(|| {
            failed(
                "mount",
                &"it has no ext4, erofs or squashfs; make one of these on it",
            )
        })?;
    if *writable && !kind.writable() {
        return Err(failed(
            "mount",
            &format_args!("{} cannot be written to; mount it with :ro", kind.name()),
        ));
    }
    modules::load(&modules::list_of(kind.name()))?;
    make_dir(dir)?;
    let mut flags = MountFlags::NOSUID | MountFlags::NODEV;
    if !writable {
        flags |= MountFlags::RDONLY;
    }
    rustix::mount::mount(&path, dir, kind.name(), flags, None)
        .map_err(|e| failed(&format!("mount on {dir}, as {},", kind.name()), &e))?;
    Ok(dir.clone())
}

/// The path of the device of the partition called `label`, waiting for its disk if need be.
pub(crate) fn wait_for(label: &str, uevents: &Uevents) -> Result<String, Failure> {
    let found = uevents.wait_for(TIMEOUT, || find(Path::new(BLOCK), label))?;
    if let Some(device) = found {
        return Ok(format!("/dev/{device}"));
    }
    let have = labels(Path::new(BLOCK))?;
    let have = have
        .iter()
        .map(|(label, _)| label.as_str())
        .collect::<Vec<_>>()
        .join(", ");
    Err(Failure::new(
        Kind::Config,
        format!(
            "there is no partition '{}'; the disks have: {have}",
            label.escape_debug()
        ),
    ))
}

/// Unmounts in reverse order, so that file systems are clean at power off.
pub(crate) fn unmount(dirs: Vec<String>, report: &mut Report) {
    for dir in dirs.into_iter().rev() {
        if let Err(e) = rustix::mount::unmount(&dir, UnmountFlags::empty()) {
            report.say(&format!("cannot unmount {dir}: {e}"));
        }
    }
}

/// The device name of the partition called `label`, if there is exactly one.
fn find(block: &Path, label: &str) -> Result<Option<String>, Failure> {
    let mut devices: Vec<_> = labels(block)?
        .into_iter()
        .filter(|(name, _)| name == label)
        .map(|(_, d)| d)
        .collect();
    match devices.len() {
        0 | 1 => Ok(devices.pop()),
        _ => Err(Failure::new(
            Kind::Config,
            format!(
                "several partitions are called '{}': {}; give each its own name",
                label.escape_debug(),
                devices.join(", ")
            ),
        )),
    }
}

/// Names and devices of all partitions, sorted.
fn labels(block: &Path) -> Result<Vec<(String, String)>, Failure> {
    let failed = |e| Failure::io(Kind::Runtime, format!("list {}", block.display()), &e);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(block).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // A device may go while it is looked at.
        let uevent = std::fs::read_to_string(entry.path().join("uevent")).unwrap_or_default();
        let value = |key: &str| uevent.lines().find_map(|line| line.strip_prefix(key));
        if let (Some(label), Some(device)) = (value("PARTNAME="), value("DEVNAME=")) {
            found.push((label.to_owned(), device.to_owned()));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn partitions_are_found_by_name() {
        let dir = tempfile::tempdir().unwrap();
        for (device, uevent) in [
            ("vda", "MAJOR=254\nMINOR=0\nDEVNAME=vda\nDEVTYPE=disk\n"),
            (
                "vda1",
                "DEVNAME=vda1\nDEVTYPE=partition\nPARTN=1\nPARTNAME=code\n",
            ),
            (
                "vda2",
                "DEVNAME=vda2\nDEVTYPE=partition\nPARTN=2\nPARTNAME=my data\n",
            ),
            (
                "vdb1",
                "DEVNAME=vdb1\nDEVTYPE=partition\nPARTN=1\nPARTNAME=twin\n",
            ),
            (
                "vdc1",
                "DEVNAME=vdc1\nDEVTYPE=partition\nPARTN=1\nPARTNAME=twin\n",
            ),
        ] {
            std::fs::create_dir(dir.path().join(device)).unwrap();
            std::fs::write(dir.path().join(device).join("uevent"), uevent).unwrap();
        }
        assert_eq!(find(dir.path(), "code").unwrap().as_deref(), Some("vda1"));
        assert_eq!(
            find(dir.path(), "my data").unwrap().as_deref(),
            Some("vda2")
        );
        assert_eq!(find(dir.path(), "cod").unwrap(), None);
        let twins = find(dir.path(), "twin").unwrap_err().to_string();
        assert!(twins.contains("vdb1, vdc1"), "{twins}");
    }

    /// Images made by each file system's own program.
    #[test]
    fn file_systems_are_recognised() {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("image");
        let content = dir.path().join("content");
        std::fs::create_dir(&content).unwrap();
        std::fs::write(content.join("file"), "text").unwrap();
        let cases: [(FileSystem, &[&str]); 3] = [
            (FileSystem::Ext4, &["mkfs.ext4", "-q", "IMAGE", "4M"]),
            (FileSystem::Erofs, &["mkfs.erofs", "IMAGE", "CONTENT"]),
            (
                FileSystem::Squashfs,
                &["mksquashfs", "CONTENT", "IMAGE", "-quiet"],
            ),
        ];
        for (kind, command) in cases {
            let _ = std::fs::remove_file(&image);
            let args = command.iter().skip(1).map(|arg| match *arg {
                "IMAGE" => image.as_os_str(),
                "CONTENT" => content.as_os_str(),
                other => other.as_ref(),
            });
            match Command::new(command[0]).args(args).output() {
                Ok(output) => assert!(output.status.success(), "{output:?}"),
                Err(_) => {
                    skip::skip!("no {}", command[0]);
                    continue;
                }
            }
            let found = FileSystem::of(&File::open(&image).unwrap()).unwrap();
            assert_eq!(found, Some(kind));
        }
        std::fs::write(&image, "short").unwrap();
        assert_eq!(FileSystem::of(&File::open(&image).unwrap()).unwrap(), None);
    }
}
