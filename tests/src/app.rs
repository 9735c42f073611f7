// SPDX-License-Identifier: Apache-2.0
//! App configs: APKs that are signed here, and their other files.

use crate::host::{Host, VM};
use apk_builder::{Entry, PROGRAMS, Signer};
use avf_aidl::service::app_config::{DebugLevel, Payload};
use avf_aidl::service::{
    PartitionType, VirtualMachineAppConfig, VirtualMachineConfig, VirtualMachinePayloadConfig,
};
use rsbinder::ParcelFileDescriptor;
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use vmclient::{Manager, Streams, VmInstance};

/// The demo's payload in an APK.
pub const PAYLOAD: &str = "vm_demo_payload";
/// The description of the guest.
const BASE: &str = r#"{
    "kernel": "/apex/com.android.virt/etc/fs/kernel",
    "params": "console=ttyS0 loglevel=4 cryptomgr.notests noreplace-smp panic=-1 8250.nr_uarts=4 avf.app",
    "memory_mib": 256,
    "platform_version": "~1.0"
}"#;
/// Where the guest's description is.
const DIRECTORY: &str = "apex/com.android.virt/etc";

/// A host with a Microdroid, and what APKs are made with.
#[derive(Debug)]
pub struct Apps<'a> {
    host: &'a Host,
    signer: Signer,
}

impl<'a> Apps<'a> {
    /// Puts the distribution's guest into the root directory as the operating system `microdroid`.
    /// None where a program is missing that signs APKs.
    ///
    /// # Panics
    /// If that fails.
    #[must_use]
    pub fn new(host: &'a Host) -> Option<Self> {
        for (program, _) in PROGRAMS {
            if std::process::Command::new(program)
                .arg("version")
                .output()
                .is_err()
            {
                skip::skip!("no {program}");
                return None;
            }
        }
        let directory = host.root.join(DIRECTORY);
        fs::create_dir_all(directory.join("fs")).unwrap();
        fs::write(directory.join("microdroid.json"), BASE).unwrap();
        link(
            &host.dist.path("guest/kernel"),
            &directory.join("fs/kernel"),
        );
        for level in ["normal", "debuggable"] {
            let to = directory.join(format!("microdroid_initrd_{level}.img"));
            link(&host.dist.path("guest/initrd.img"), &to);
        }
        Some(Self {
            host,
            signer: Signer::in_directory(host.scratch()).unwrap(),
        })
    }

    /// The initial RAM disk of debuggable guests.
    #[must_use]
    pub fn initrd(&self) -> PathBuf {
        self.host
            .root
            .join(DIRECTORY)
            .join("microdroid_initrd_debuggable.img")
    }

    /// The demo's payload, as an APK has it.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn payload(&self) -> Entry {
        let program = self.host.dist.path("guest/vm_demo_payload");
        Entry::library(PAYLOAD, fs::read(program).unwrap())
    }

    /// A signed APK with `entries`.
    ///
    /// # Panics
    /// If it cannot be signed.
    #[must_use]
    pub fn apk(&self, name: &str, entries: &[Entry]) -> PathBuf {
        let path = self.host.scratch().join(name);
        self.signer.build(entries, &path).unwrap();
        path
    }

    /// The idsig that the manager makes for an APK.
    ///
    /// # Panics
    /// If it refuses.
    #[must_use]
    pub fn idsig(&self, manager: &Manager, apk: &Path) -> PathBuf {
        let path = apk.with_extension("idsig");
        manager
            .service()
            .createOrUpdateIdsigFile(&fd(apk), &ParcelFileDescriptor::new(writable(&path)))
            .unwrap();
        path
    }

    /// A new instance image.
    ///
    /// # Panics
    /// If the manager refuses.
    #[must_use]
    pub fn instance(&self, manager: &Manager, name: &str) -> PathBuf {
        let path = self.host.scratch().join(name);
        let file = ParcelFileDescriptor::new(writable(&path));
        manager
            .service()
            .initializeWritablePartition(&file, 10 << 20, PartitionType::ANDROID_VM_INSTANCE)
            .unwrap();
        path
    }

    /// The config that runs the program `binary` of an APK, with full debugging.
    #[must_use]
    pub fn config(
        &self,
        [apk, idsig, instance]: [&Path; 3],
        binary: &str,
    ) -> VirtualMachineAppConfig {
        VirtualMachineAppConfig {
            name: VM.into(),
            apk: Some(fd(apk)),
            idsig: Some(fd(idsig)),
            instanceImage: Some(ParcelFileDescriptor::new(writable(instance))),
            payload: Payload::PayloadConfig(VirtualMachinePayloadConfig {
                payloadBinaryName: binary.into(),
                ..Default::default()
            }),
            osName: "microdroid".into(),
            debugLevel: DebugLevel::FULL,
            ..Default::default()
        }
    }
}

/// Creates and starts an app's VM.
///
/// # Panics
/// If that fails.
#[must_use]
pub fn start(manager: &Manager, app: VirtualMachineAppConfig, streams: Streams) -> VmInstance {
    let vm = manager
        .create_vm(&VirtualMachineConfig::AppConfig(app), streams)
        .unwrap();
    vm.start()
        .unwrap_or_else(|e| panic!("start: {e:?}\n{}", manager.log()));
    vm
}

/// A file for reading.
///
/// # Panics
/// If it cannot be opened.
#[must_use]
pub fn fd(path: &Path) -> ParcelFileDescriptor {
    ParcelFileDescriptor::new(File::open(path).unwrap())
}

/// A file for reading and writing, which is made if it is not there.
///
/// # Panics
/// If it cannot be opened.
#[must_use]
pub fn writable(path: &Path) -> File {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .unwrap()
}

fn link(from: &Path, to: &Path) {
    fs::hard_link(from, to)
        .or_else(|_| fs::copy(from, to).map(drop))
        .unwrap();
}
