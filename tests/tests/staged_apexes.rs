// SPDX-License-Identifier: Apache-2.0
//! Staged APEXes, which `virtmgr` asks the platform's package service for over kernel binder. That
//! service is the test's own here; who carries the calls is the kernel.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test panics"
)]

use avf_aidl::r15_qpr1::package_manager::{
    BnPackageManagerNative, IPackageManagerNative, StagedApexInfo,
};
use avf_aidl::service::app_config::Payload;
use avf_aidl::service::{VirtualMachineAppConfig, VirtualMachineConfig};
use rsbinder::{BinderResult, Interface};
use service_client::Kernel;
use std::fs;
use std::path::Path;
use std::process::Command;
use system_tests::app::Apps;
use system_tests::global::{Daemon, Way};
use system_tests::host;
use vmclient::{Manager, Streams};

const NAME: &str = "com.android.staged";
const ACTIVE: &str = "/system/apex/com.android.staged.apex";
const STAGED: &str = "/data/app-staging/session_1/com.android.staged.apex";

/// The package service of a system on which an update of one APEX waits for the next boot.
struct Packages;

impl Interface for Packages {}

impl IPackageManagerNative for Packages {
    fn getStagedApexModuleNames(&self) -> BinderResult<Vec<String>> {
        Ok(vec![NAME.into()])
    }

    fn getStagedApexInfo(&self, name: &str) -> BinderResult<Option<StagedApexInfo>> {
        Ok((name == NAME).then(|| StagedApexInfo {
            moduleName: NAME.into(),
            diskImagePath: STAGED.into(),
            versionCode: 2,
            versionName: "2".into(),
            hasClassPathJars: false,
        }))
    }
}

/// Whether the manager has the file `path` open, as it has those of a VM that is not started.
fn has_open(manager: &Manager, path: &Path) -> bool {
    fs::read_dir(format!("/proc/{}/fd", manager.process_id()))
        .unwrap()
        .flatten()
        .any(|fd| fs::read_link(fd.path()).is_ok_and(|link| link == path))
}

#[test]
fn a_staged_apex_takes_the_place_of_the_active_one() {
    let ways = Way::all();
    host::run("a_staged_apex_takes_the_place_of_the_active_one", |host| {
        if !ways.contains(&Way::Binder) {
            return;
        }
        let Some(apps) = Apps::new(host) else { return };
        let daemon = Daemon::start(host, Way::Binder);
        let kernel = Kernel::open(&host.root).unwrap();
        kernel
            .register(
                "package_native",
                BnPackageManagerNative::new_binder(Packages).as_binder(),
            )
            .unwrap();
        let place = |path: &str| host.root.join(path.trim_start_matches('/'));
        for path in [ACTIVE, STAGED] {
            fs::create_dir_all(place(path).parent().unwrap()).unwrap();
            fs::write(place(path), vec![1; 4096]).unwrap();
        }
        fs::write(
            place("/apex/apex-info-list.xml"),
            format!(
                r#"<apex-info-list><apex-info moduleName="{NAME}" versionCode="1" modulePath="{ACTIVE}"
                preinstalledModulePath="{ACTIVE}" isFactory="true" isActive="true"/></apex-info-list>"#
            ),
        )
        .unwrap();
        let manager = host.manager("virtmgr");
        for (prefer_staged, expected, other) in [(false, ACTIVE, STAGED), (true, STAGED, ACTIVE)] {
            let json = format!(
                r#"{{ "task": {{ "command": "x" }}, "apexes": [{{ "name": "{NAME}" }}],
                "prefer_staged": {prefer_staged} }}"#
            );
            // Not signed: the VM is not started, and signing takes a JVM, which has crashed in the device.
            fs::write(host.scratch().join("config.json"), json).unwrap();
            let [apk, idsig] = ["app.apk", "app.idsig"].map(|name| host.scratch().join(name));
            let zip = Command::new("zip")
                .args(["-q", "app.apk", "config.json"])
                .current_dir(host.scratch())
                .status();
            assert!(zip.unwrap().success());
            fs::write(&idsig, vec![0; 4096]).unwrap();
            let instance = apps.instance(&manager, "instance.img");
            let app = VirtualMachineAppConfig {
                payload: Payload::ConfigPath("config.json".into()),
                ..apps.config([&apk, &idsig, &instance], "")
            };
            let config = VirtualMachineConfig::AppConfig(app);
            let vm = manager
                .create_vm(&config, Streams::default())
                .unwrap_or_else(|e| panic!("{e:?}\n{}", manager.log()));
            assert!(has_open(&manager, &place(expected)), "{prefer_staged}");
            assert!(!has_open(&manager, &place(other)), "{prefer_staged}");
            drop(vm);
        }
        drop(manager);
        assert!(daemon.stop().success());
    });
}
