// SPDX-License-Identifier: Apache-2.0
//! Programs of the distribution that a command needs: installed where that is possible, named
//! with the right command where it is not.

use crate::steps::run;
use anyhow::{Result, bail};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// A program and the Debian package that it is in.
pub(crate) type Need = (&'static str, &'static str);

/// What packing a guest needs.
pub(crate) const PACKING: [Need; 4] = [
    ("dpkg-deb", "dpkg"),
    ("xz", "xz-utils"),
    ("lz4", "lz4"),
    ("zstd", "zstd"),
];

/// What the tests need: programs that check ours.
pub(crate) const TESTING: [Need; 20] = [
    ("xmllint", "libxml2-utils"),
    ("sgdisk", "gdisk"),
    ("sfdisk", "fdisk"),
    ("qemu-img", "qemu-utils"),
    ("mkfs.ext4", "e2fsprogs"),
    ("mkfs.erofs", "erofs-utils"),
    ("mksquashfs", "squashfs-tools"),
    ("readelf", "binutils"),
    ("modinfo", "kmod"),
    ("cpio", "cpio"),
    ("strace", "strace"),
    ("img2simg", "android-sdk-libsparse-utils"),
    ("apksigner", "apksigner"),
    ("fsverity", "fsverity"),
    ("openssl", "openssl"),
    ("zip", "zip"),
    ("fdtoverlay", "device-tree-compiler"),
    ("g++", "g++"),
    ("mandoc", "mandoc"),
    ("groff", "groff-base"),
];

/// What the emulated device needs, beside QEMU.
pub(crate) const DEVICE: [Need; 4] = [
    ("depmod", "kmod"),
    ("modprobe", "kmod"),
    ("mkfs.erofs", "erofs-utils"),
    ("setpriv", "util-linux"),
];

/// Where programs are, also those that only root has in its PATH.
const MORE_PATHS: &str = "/usr/local/sbin:/usr/sbin:/sbin";

/// Sees to it that the programs of `needs` are there.
pub(crate) fn provide(needs: &[Need]) -> Result<()> {
    let missing = missing(needs);
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.iter().copied().collect::<Vec<_>>().join(" ");
    if !exists("apt-get") {
        bail!(
            "needed and not there: the programs of Debian's packages {names}; please install them"
        );
    }
    if !is_root() {
        bail!("needed and not there: {names}; please run: sudo apt-get install {names}");
    }
    let install = || {
        run(apt_get()
            .args(["install", "-y", "--no-install-recommends"])
            .args(&missing))
    };
    // Package lists may be missing or out of date, which shows in a failure.
    install().or_else(|_| update().and_then(|()| install()))
}

/// Fetches the package lists.
pub(crate) fn update() -> Result<()> {
    run(apt_get().arg("update"))
}

/// `apt-get` that asks nothing.
pub(crate) fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.arg("-q").env("DEBIAN_FRONTEND", "noninteractive");
    if is_root() {
        // Downloads go to a directory of ours, which apt's own user cannot write to.
        command.args(["-o", "APT::Sandbox::User=root"]);
    }
    command
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn missing(needs: &[Need]) -> BTreeSet<&'static str> {
    needs
        .iter()
        .filter(|(program, _)| !exists(program))
        .map(|(_, package)| *package)
        .collect()
}

fn exists(program: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':')
        .chain(MORE_PATHS.split(':'))
        .any(|dir| Path::new(dir).join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_once() {
        let needs = [
            ("sh", "dash"),
            ("no-such-program", "p"),
            ("no-such-other", "p"),
        ];
        assert_eq!(missing(&needs).into_iter().collect::<Vec<_>>(), ["p"]);
    }
}
