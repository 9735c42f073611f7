// SPDX-License-Identifier: Apache-2.0
//! Which kernel modules a guest needs, and in which order they must be loaded.

use crate::steps::output_bytes;
use anyhow::{Context, Result, bail};
use object::{Object, ObjectSection};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A module's name as the kernel has it: with `_` for each `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name(String);

impl Name {
    fn new(text: &str) -> Self {
        Self(text.replace('-', "_"))
    }

    /// That of the module file called `file`.
    fn of_file(file: &str) -> Option<Self> {
        let (name, extension) = file.split_once(".ko")?;
        ["", ".xz", ".zst", ".gz"]
            .contains(&extension)
            .then(|| Self::new(name))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The modules of one kernel.
#[derive(Debug)]
pub(crate) struct Tree {
    files: BTreeMap<Name, PathBuf>,
    built_in: BTreeSet<Name>,
}

/// A module ready to be packed.
#[derive(Debug)]
pub(crate) struct Module {
    pub(crate) name: Name,
    /// The ELF file, not compressed.
    pub(crate) content: Vec<u8>,
}

impl Tree {
    /// Reads `dir`, the `lib/modules/VERSION` of a kernel.
    pub(crate) fn read(dir: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        collect(&dir.join("kernel"), &mut files)?;
        let built_in = fs::read_to_string(dir.join("modules.builtin"))
            .with_context(|| format!("read {}/modules.builtin", dir.display()))?
            .lines()
            .filter_map(|path| path.rsplit('/').next().and_then(Name::of_file))
            .collect();
        Ok(Self { files, built_in })
    }

    /// The modules behind `wanted`, each after those that it depends on, without those in `have`.
    pub(crate) fn resolve(&self, wanted: &[&str], have: &[Module]) -> Result<Vec<Module>> {
        let mut seen = have.iter().map(|module| module.name.clone()).collect();
        let mut ordered = Vec::new();
        for name in wanted {
            self.visit(&Name::new(name), &mut seen, &mut ordered)
                .with_context(|| format!("the guest needs the kernel module {name}"))?;
        }
        Ok(ordered)
    }

    fn visit(
        &self,
        name: &Name,
        seen: &mut BTreeSet<Name>,
        ordered: &mut Vec<Module>,
    ) -> Result<()> {
        // Marked before its dependencies are visited, so that no circle is endless.
        if self.built_in.contains(name) || !seen.insert(name.clone()) {
            return Ok(());
        }
        let Some(path) = self.files.get(name) else {
            bail!("this kernel has no module {}", name.as_str());
        };
        let content = load(path)?;
        for dependency in depends(&content).with_context(|| format!("read {}", path.display()))? {
            self.visit(&dependency, seen, ordered)
                .with_context(|| format!("{} depends on it", name.as_str()))?;
        }
        ordered.push(Module {
            name: name.clone(),
            content,
        });
        Ok(())
    }
}

fn collect(dir: &Path, files: &mut BTreeMap<Name, PathBuf>) -> Result<()> {
    let list = || format!("list {}", dir.display());
    for entry in fs::read_dir(dir).with_context(list)? {
        let entry = entry.with_context(list)?;
        if entry.file_type().with_context(list)?.is_dir() {
            collect(&entry.path(), files)?;
        } else if let Some(name) = entry.file_name().to_str().and_then(Name::of_file) {
            files.insert(name, entry.path());
        }
    }
    Ok(())
}

/// The content of a module file, unpacked.
fn load(path: &Path) -> Result<Vec<u8>> {
    let unpack = |program: &str| output_bytes(Command::new(program).arg("-dc").arg(path));
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => unpack("xz"),
        Some("zst") => unpack("zstd"),
        Some("gz") => unpack("gzip"),
        _ => fs::read(path).with_context(|| format!("read {}", path.display())),
    }
}

/// What a module names as its dependencies: the entry `depends=A,B` of its section `.modinfo`.
fn depends(content: &[u8]) -> Result<Vec<Name>> {
    let elf = object::File::parse(content).context("not a kernel module")?;
    let section = elf
        .section_by_name(".modinfo")
        .context("not a kernel module: no .modinfo")?;
    let data = section.data().context("read .modinfo")?;
    let names = data
        .split(|byte| *byte == 0)
        .find_map(|entry| entry.strip_prefix(b"depends="))
        .unwrap_or_default();
    let names = std::str::from_utf8(names).context("read .modinfo")?;
    Ok(names
        .split(',')
        .filter(|name| !name.is_empty())
        .map(Name::new)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_become_names() {
        for (file, name) in [
            ("virtio_blk.ko", "virtio_blk"),
            ("virtio-rng.ko.xz", "virtio_rng"),
            ("pvpanic-pci.ko.zst", "pvpanic_pci"),
        ] {
            assert_eq!(Name::of_file(file).unwrap().as_str(), name);
        }
        assert_eq!(Name::of_file("modules.order"), None);
        assert_eq!(Name::of_file("a.ko.sig"), None);
    }

    /// The kernels that were fetched, against the distribution's own reader of modules.
    #[test]
    fn dependencies_are_those_that_modinfo_prints() {
        let target = crate::place::Place::find().unwrap().kernels();
        let trees = ["default/lib/modules", "default/usr/lib/modules"].map(|sub| target.join(sub));
        let dirs: Vec<_> = trees
            .iter()
            .filter_map(|dir| fs::read_dir(dir).ok())
            .flatten()
            .flatten()
            .collect();
        if dirs.is_empty() || Command::new("modinfo").arg("-V").output().is_err() {
            println!(
                "skipped: no kernel in {} (cargo xtask dist), or no modinfo",
                target.display()
            );
            return;
        }
        for dir in dirs {
            let tree = Tree::read(&dir.path()).unwrap();
            let names = [
                "virtio_blk",
                "virtio_pci",
                "vmw_vsock_virtio_transport",
                "erofs",
                "nf_tables",
            ];
            for path in names
                .iter()
                .filter_map(|name| tree.files.get(&Name::new(name)))
            {
                let printed =
                    crate::steps::output(Command::new("modinfo").args(["-F", "depends"]).arg(path))
                        .unwrap();
                let ours = depends(&load(path).unwrap()).unwrap();
                let ours = ours.iter().map(Name::as_str).collect::<Vec<_>>().join(",");
                assert_eq!(ours, printed.trim().replace('-', "_"), "{}", path.display());
            }
        }
    }

    #[test]
    fn what_a_kernel_lacks_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("kernel")).unwrap();
        fs::write(
            dir.path().join("modules.builtin"),
            "kernel/fs/ext4/ext4.ko\n",
        )
        .unwrap();
        let tree = Tree::read(dir.path()).unwrap();
        assert!(tree.resolve(&["ext4"], &[]).unwrap().is_empty());
        let error = format!("{:#}", tree.resolve(&["virtio-blk"], &[]).unwrap_err());
        assert!(
            error.contains("virtio-blk") && error.contains("no module virtio_blk"),
            "{error}"
        );
        fs::write(dir.path().join("kernel/virtio_blk.ko"), "noise").unwrap();
        let error = format!(
            "{:#}",
            Tree::read(dir.path())
                .unwrap()
                .resolve(&["virtio-blk"], &[])
                .unwrap_err()
        );
        assert!(error.contains("not a kernel module"), "{error}");
    }
}
