// SPDX-License-Identifier: Apache-2.0
//! The initial RAM disk: a `newc` archive with the init, its modules and the demo's payload. It is
//! not compressed, as unpacking costs an emulated guest more than reading.

use crate::modules::{Module, Tree};
use crate::steps::say;
use anyhow::{Context, Result};
use cpio::{NewcBuilder, write_cpio};
use std::fs;
use std::io::Cursor;
use std::path::Path;

/// What every guest loads at boot, in this order but for dependencies. The random number generator
/// comes early: programs wait for it.
const BOOT: [&str; 7] = [
    "virtio_pci",
    "virtio_rng",
    "virtio_console",
    "vmw_vsock_virtio_transport",
    "virtio_blk",
    "virtio_balloon",
    "pvpanic_pci",
];
/// Modules that are loaded only when they are needed: file systems, and the device with the host's
/// properties. A kernel may lack some.
const ON_DEMAND: [(&str, bool); 4] = [
    ("ext4", true),
    ("erofs", true),
    ("squashfs", false),
    ("qemu_fw_cfg", false),
];

/// Where the init looks for lists of modules; see `guest/src/modules.rs`.
const LISTS: &str = "lib/modules/avf-modules";

const DIR: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const FILE: u32 = 0o100_644;
const CHARACTER_DEVICE: u32 = 0o020_600;

/// Directories, parents first.
const DIRS: [&str; 9] = [
    "dev",
    "lib",
    "lib/modules",
    "payload",
    "proc",
    "run",
    "sys",
    "tmp",
    "mnt",
];
/// What must be there before the init has mounted anything: name, major, minor.
const DEVICES: [(&str, u32, u32); 2] = [("dev/console", 5, 1), ("dev/null", 1, 3)];

/// The content of one archive, in memory: a few MB.
#[derive(Default)]
pub(crate) struct Archive {
    entries: Vec<(NewcBuilder, Cursor<Vec<u8>>)>,
}

impl Archive {
    fn add(&mut self, name: &str, mode: u32, content: Vec<u8>) {
        self.entries
            .push((NewcBuilder::new(name).mode(mode), Cursor::new(content)));
    }

    /// Adds a directory; its parents come before it.
    pub(crate) fn dir(&mut self, name: &str) {
        self.add(name, DIR, Vec::new());
    }

    /// Adds a file.
    pub(crate) fn file(&mut self, name: &str, content: Vec<u8>) {
        self.add(name, FILE, content);
    }

    /// Adds a program.
    pub(crate) fn program(&mut self, name: &str, path: &Path) -> Result<()> {
        let content = fs::read(path).with_context(|| format!("read {}", path.display()))?;
        self.add(name, PROGRAM, content);
        Ok(())
    }

    /// Adds the devices that must be there before an init has mounted anything.
    pub(crate) fn devices(&mut self) {
        for (name, major, minor) in DEVICES {
            let node = NewcBuilder::new(name)
                .mode(CHARACTER_DEVICE)
                .rdev_major(major)
                .rdev_minor(minor);
            self.entries.push((node, Cursor::default()));
        }
    }

    /// Adds the modules `wanted` of `tree` and the list by which an init loads them at its start.
    pub(crate) fn boot_modules(&mut self, tree: &Tree, wanted: &[&str]) -> Result<()> {
        let modules = tree.resolve(wanted, &[])?;
        self.add_modules(&format!("{LISTS}.list"), &modules);
        Ok(())
    }

    /// The whole archive.
    pub(crate) fn pack(self) -> Result<Vec<u8>> {
        write_cpio(self.entries.into_iter(), Vec::new()).context("write the archive")
    }

    fn add_modules(&mut self, list: &str, modules: &[Module]) {
        let mut paths = String::new();
        for module in modules {
            let name = format!("lib/modules/{}.ko", module.name.as_str());
            paths.push_str(&format!("/{name}\n"));
            self.add(&name, FILE, module.content.clone());
        }
        self.add(list, FILE, paths.into_bytes());
    }
}

/// The modules of a guest.
pub(crate) struct Drivers {
    boot: Vec<Module>,
    on_demand: Vec<(&'static str, Vec<Module>)>,
}

impl Drivers {
    /// Finds them in `dir`, the `lib/modules/VERSION` of the guest's kernel.
    pub(crate) fn read(dir: &Path) -> Result<Self> {
        let tree = Tree::read(dir)?;
        let boot = tree.resolve(&BOOT, &[])?;
        let mut on_demand = Vec::new();
        for (name, required) in ON_DEMAND {
            match tree.resolve(&[name], &boot) {
                Ok(modules) if modules.is_empty() => {}
                Ok(modules) => on_demand.push((name, modules)),
                Err(_) if !required => say!("this kernel has no {name}: its guests do without"),
                Err(error) => return Err(error),
            }
        }
        Ok(Self { boot, on_demand })
    }
}

/// Makes the archive. Without `drivers` the kernel has everything built in.
pub(crate) fn pack(init: &Path, payload: &Path, drivers: Option<&Drivers>) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for dir in DIRS {
        archive.dir(dir);
    }
    archive.devices();
    archive.program("init", init)?;
    archive.program("payload/vm_demo_payload", payload)?;
    if let Some(drivers) = drivers {
        archive.add_modules(&format!("{LISTS}.list"), &drivers.boot);
        for (name, modules) in &drivers.on_demand {
            archive.add_modules(&format!("{LISTS}-{name}.list"), modules);
        }
    }
    archive.pack()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    /// The archive, as another program sees it.
    #[test]
    fn cpio_lists_what_was_packed() {
        let dir = tempfile::tempdir().unwrap();
        let (init, payload, file) = (
            dir.path().join("i"),
            dir.path().join("p"),
            dir.path().join("a"),
        );
        fs::write(&init, "the init").unwrap();
        fs::write(&payload, "the payload").unwrap();
        fs::write(&file, pack(&init, &payload, None).unwrap()).unwrap();
        let Ok(output) = Command::new("cpio")
            .args(["-itv", "--quiet", "--numeric-uid-gid"])
            .stdin(Stdio::from(fs::File::open(&file).unwrap()))
            .output()
        else {
            skip::skip!("no cpio");
            return;
        };
        assert!(output.status.success(), "{output:?}");
        let list = String::from_utf8(output.stdout).unwrap();
        let line = |name: &str| {
            list.lines()
                .find(|line| line.ends_with(&format!(" {name}")))
                .unwrap_or_else(|| panic!("{name} in\n{list}"))
        };
        assert!(
            line("init").starts_with("-rwxr-xr-x   1 0        0               8 "),
            "{list}"
        );
        assert!(line("payload/vm_demo_payload").starts_with("-rwxr-xr-x"));
        assert!(line("proc").starts_with("drwxr-xr-x"));
        assert!(
            line("dev/console").starts_with("crw-------") && line("dev/console").contains("5,   1"),
            "{list}"
        );
    }
}
