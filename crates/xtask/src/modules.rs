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
    /// The ELF file, neither compressed nor signed.
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

    /// The modules of `wanted`, each after those that it depends on, without those in `have`.
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
            content: without_signature(content),
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

/// What stands at the end of a signed module, after a `struct module_signature`; see the kernel's
/// `include/linux/module_signature.h`.
const SIGNED: &[u8] = b"~Module signature appended~\n";
/// The size of that structure; its last four bytes are the signature's length, big-endian.
const SIGNATURE_INFO: usize = 12;

/// Removes the signature of a module. The packer of the modules also packs the kernel that would check
/// them, so the check shows nothing, and an emulated guest spends time on it at each boot: 45 ms of
/// 1.7 s with Debian's 6.1, 190 ms of 2.2 s with 6.12. Such a kernel calls itself tainted, and one
/// that insists on signatures (`module.sig_enforce`) refuses these modules.
fn without_signature(mut content: Vec<u8>) -> Vec<u8> {
    let length = content.strip_suffix(SIGNED).and_then(|signed| {
        let (signed, info) = signed.split_at_checked(signed.len().checked_sub(SIGNATURE_INFO)?)?;
        let length = u32::from_be_bytes(*info.last_chunk()?);
        signed.len().checked_sub(usize::try_from(length).ok()?)
    });
    if let Some(length) = length {
        content.truncate(length);
    }
    content
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

    #[test]
    fn only_a_signature_is_taken_off() {
        let mut signed = b"the module".to_vec();
        signed.extend(b"signature");
        signed.extend([0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
        signed.extend(SIGNED);
        assert_eq!(without_signature(signed), b"the module");
        for odd in [
            b"the module".to_vec(),
            SIGNED.to_vec(),
            [&[255; 12], SIGNED].concat(),
        ] {
            assert_eq!(without_signature(odd.clone()), odd);
        }
    }

    /// The kernel that was fetched, against the distribution's own reader of modules.
    #[test]
    fn modinfo_agrees() {
        let kernels = crate::workspace::Workspace::find().unwrap().kernels();
        let trees = ["default/lib/modules", "default/usr/lib/modules"];
        let tree = trees
            .iter()
            .filter_map(|tree| fs::read_dir(kernels.join(tree)).ok())
            .flatten()
            .find_map(|dir| Tree::read(&dir.ok()?.path()).ok());
        let (Some(tree), Ok(_)) = (tree, Command::new("modinfo").arg("-V").output()) else {
            skip::skip!(
                "no kernel in {} (cargo xtask dist), or no modinfo",
                kernels.display()
            );
            return;
        };
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("module.ko");
        let modinfo = |field: &str| {
            crate::steps::output(Command::new("modinfo").args(["-F", field]).arg(&file)).unwrap()
        };
        let mut compared = 0;
        for name in [
            "virtio_blk",
            "vmw_vsock_virtio_transport",
            "erofs",
            "pvpanic_pci",
        ] {
            let Some(path) = tree.files.get(&Name::new(name)) else {
                continue;
            };
            let content = load(path).unwrap();
            let ours = depends(&content).unwrap();
            let ours = ours.iter().map(Name::as_str).collect::<Vec<_>>().join(",");
            fs::write(&file, &content).unwrap();
            assert_eq!(ours, modinfo("depends").trim().replace('-', "_"), "{name}");
            assert_eq!(
                content.ends_with(SIGNED),
                !modinfo("sig_id").is_empty(),
                "{name}"
            );
            fs::write(&file, without_signature(content)).unwrap();
            assert_eq!(modinfo("sig_id"), "", "{name}");
            assert_eq!(ours, modinfo("depends").trim().replace('-', "_"), "{name}");
            compared += 1;
        }
        assert!(compared > 0);
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
