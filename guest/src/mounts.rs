// SPDX-License-Identifier: Apache-2.0
//! The file systems that come from the kernel rather than from a disk.

use crate::failure::{Failure, Kind};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;

/// Type, directory, flags and options, in mounting order.
const PSEUDO: [(&str, &str, MountFlags, &std::ffi::CStr); 6] = [
    ("proc", "/proc", FIRM, c""),
    ("sysfs", "/sys", FIRM, c""),
    ("devtmpfs", "/dev", MountFlags::NOSUID, c"mode=0755"),
    (
        "devpts",
        "/dev/pts",
        MountFlags::NOSUID.union(MountFlags::NOEXEC),
        c"mode=0620,ptmxmode=0666",
    ),
    (
        "tmpfs",
        "/run",
        MountFlags::NOSUID.union(MountFlags::NODEV),
        c"mode=0755",
    ),
    (
        "tmpfs",
        "/tmp",
        MountFlags::NOSUID.union(MountFlags::NODEV),
        c"mode=1777",
    ),
];

const FIRM: MountFlags = MountFlags::NOSUID
    .union(MountFlags::NODEV)
    .union(MountFlags::NOEXEC);

/// Mounts `/proc`, `/sys`, `/dev`, `/dev/pts`, `/run` and `/tmp`.
pub(crate) fn pseudo_file_systems() -> Result<(), Failure> {
    for (kind, dir, flags, options) in PSEUDO {
        make_dir(dir)?;
        match mount(kind, dir, kind, flags, options) {
            // Mounted already, by the kernel or an earlier stage.
            Ok(()) | Err(Errno::BUSY) => {}
            Err(e) => {
                return Err(Failure::io(
                    Kind::Runtime,
                    format!("mount {kind} on {dir}"),
                    &e,
                ));
            }
        }
    }
    Ok(())
}

/// Makes the directory `dir` and its parents where they are missing.
pub(crate) fn make_dir(dir: &str) -> Result<(), Failure> {
    match DirBuilder::new().recursive(true).mode(0o755).create(dir) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(Failure::io(
            Kind::Runtime,
            format!("make the directory {dir}"),
            &e,
        )),
    }
}
