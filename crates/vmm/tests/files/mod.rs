// SPDX-License-Identifier: Apache-2.0
//! The files of a plan, and how a command line names them.

pub(crate) mod crosvm;

use std::collections::HashMap;
use std::fs::{self, File};
use std::num::NonZeroU32;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use vmm::crosvm::{Crosvm, Dialect};
use vmm::plan::*;

/// The files of one configuration.
pub(crate) struct Files {
    directory: TempDir,
    roles: HashMap<(u64, u64), String>,
}

impl Files {
    pub(crate) fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            roles: HashMap::new(),
        }
    }

    /// The VM's directory.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A file that is shown as `{role}`.
    pub(crate) fn file(&mut self, role: &str) -> File {
        let file = tempfile::tempfile().unwrap();
        // Enough for a kernel's magic, and for a partition.
        file.set_len(4096).unwrap();
        let meta = file.metadata().unwrap();
        self.roles.insert((meta.dev(), meta.ino()), role.to_owned());
        file
    }

    pub(crate) fn fd(&mut self, role: &str) -> OwnedFd {
        self.file(role).into()
    }

    /// An x86 kernel, by its magic.
    pub(crate) fn kernel(&mut self) -> File {
        use std::os::unix::fs::FileExt;
        let file = self.file("kernel");
        file.write_all_at(b"HdrS", 0x202).unwrap();
        file.write_all_at(b"ARM\x64", 56).unwrap();
        file
    }

    /// The least that a VM can have.
    pub(crate) fn plan(&mut self) -> Plan {
        Plan {
            name: "golden".into(),
            directory: self.directory.path().to_owned(),
            machine: Machine {
                boot: Boot::Kernel {
                    kernel: self.kernel(),
                    initrd: None,
                    params: String::new(),
                },
                memory_mib: NonZeroU32::new(256).unwrap(),
                cpus: Cpus::Count(NonZeroU32::MIN),
                disks: Vec::new(),
                balloon: Balloon::PageReporting,
                protection: None,
                gdb_port: None,
                huge_pages: false,
                boost_uclamp: false,
                device_tree_overlay: None,
                overlays: Vec::new(),
                device_tree_dump: None,
                pvmfw: None,
                vgic_its: None,
                memory_files: Vec::new(),
                pflash: Vec::new(),
                smbios: None,
                gpu: None,
                wayland: None,
                display: None,
                inputs: Vec::new(),
                audio: None,
                usb: false,
                usb_devices: Vec::new(),
            },
            consoles: Consoles {
                console_out: self.fd("console"),
                console_in: None,
                console_input: ConsoleInput::Hvc0,
                failure: self.fd("failure"),
                ramdump: None,
                log: self.fd("log"),
            },
            vsock: Vsock::Kernel {
                vhost: self.fd("vhost-vsock"),
                cid: 2048,
            },
            tap: None,
            assigned: None,
        }
    }

    /// A disk that is one image.
    pub(crate) fn disk(&mut self, role: &str, writable: bool) -> Disk {
        let image = self.file(role);
        DiskContent::Image { image, writable }.into()
    }

    /// A crosvm whose help has `words`.
    pub(crate) fn crosvm(&self, dialect: Dialect, words: &str) -> Crosvm {
        let program = self.directory.path().join("crosvm");
        fs::write(&program, format!("#!/bin/sh\necho '{words}'\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Crosvm::new(program, dialect)
    }

    /// The descriptor by its role.
    pub(crate) fn name(&self, number: &str) -> String {
        let link = PathBuf::from(format!("/proc/self/fd/{number}"));
        let meta = fs::metadata(&link).unwrap_or_else(|e| panic!("{}: {e}", link.display()));
        if let Some(role) = self.roles.get(&(meta.dev(), meta.ino())) {
            return format!("{{{role}}}");
        }
        let target = fs::read_link(&link).unwrap();
        match target.strip_prefix(self.directory.path()) {
            Ok(file) => format!("{{{}}}", file.display()),
            // The one socket that crosvm listens on.
            Err(_) if target.to_string_lossy().starts_with("socket:") => "{control}".into(),
            Err(_) => panic!("what is {}?", target.display()),
        }
    }

    /// `text` with its descriptors by their roles.
    pub(crate) fn named(&self, text: &str) -> String {
        let mut shown = String::new();
        let mut rest = text;
        while let Some((at, mark)) = ["/proc/self/fd/", "tap-fd="]
            .iter()
            .filter_map(|mark| rest.find(mark).map(|at| (at, *mark)))
            .min()
        {
            shown.push_str(&rest[..at]);
            if mark == "tap-fd=" {
                shown.push_str(mark);
            }
            rest = &rest[at + mark.len()..];
            let end = rest
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(rest.len());
            shown.push_str(&self.name(&rest[..end]));
            rest = &rest[end..];
        }
        shown + rest
    }
}
