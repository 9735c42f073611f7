// SPDX-License-Identifier: Apache-2.0
//! App configs, APKs and files of the host that cannot be used: the exception and the name of what
//! is wrong. No guest is started, and nothing is left.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test panics"
)]

use apk_builder::Entry;
use avf_aidl::service::app_config::{CustomConfig, DebugLevel, Payload};
use avf_aidl::service::{
    AssignableDeviceSelector, VirtualMachineAppConfig, VirtualMachineConfig,
    VirtualMachinePayloadConfig,
};
use rsbinder::{ExceptionCode, ParcelFileDescriptor, Status};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use system_tests::app::{Apps, PAYLOAD, fd, writable};
use system_tests::host::{self, Host};
use system_tests::refusal::{expect_of, no_directories};
use vmclient::Manager;

const ILLEGAL: ExceptionCode = ExceptionCode::IllegalArgument;
const UNSUPPORTED: ExceptionCode = ExceptionCode::UnsupportedOperation;
const FAILED: ExceptionCode = ExceptionCode::ServiceSpecific;

/// A manager and a good config, of which each refusal differs in one thing.
struct Good<'a> {
    host: &'a Host,
    apps: Apps<'a>,
    manager: Manager,
    files: [PathBuf; 3],
}

impl<'a> Good<'a> {
    fn new(host: &'a Host, program: &str, entries: &[Entry]) -> Option<Self> {
        let apps = Apps::new(host)?;
        let manager = host.manager(program);
        let apk = apps.apk("app.apk", entries);
        let idsig = apps.idsig(&manager, &apk);
        let instance = apps.instance(&manager, "instance.img");
        Some(Self {
            host,
            apps,
            manager,
            files: [apk, idsig, instance],
        })
    }

    fn config(&self) -> VirtualMachineAppConfig {
        let [apk, idsig, instance] = &self.files;
        self.apps.config([apk, idsig, instance], PAYLOAD)
    }

    fn refused(
        &self,
        code: ExceptionCode,
        parts: &[&str],
        change: impl FnOnce(&mut VirtualMachineAppConfig),
    ) {
        let mut app = self.config();
        change(&mut app);
        expect_of(
            &self.manager,
            &VirtualMachineConfig::AppConfig(app),
            code,
            parts,
        );
        no_directories(&self.host.root);
    }
}

fn custom(custom: CustomConfig) -> impl FnOnce(&mut VirtualMachineAppConfig) {
    move |app| app.customConfig = Some(custom)
}

fn config_path(path: &str) -> impl FnOnce(&mut VirtualMachineAppConfig) {
    let payload = Payload::ConfigPath(path.into());
    move |app| app.payload = payload
}

/// Each with a change of a config that is created before and after.
#[test]
fn fields_are_checked_by_name() {
    host::run("fields_are_checked_by_name", |host| {
        let entries = [Entry::file("config.json", "{}")];
        let Some(good) = Good::new(host, "early_virtmgr", &entries) else {
            return;
        };
        let create = || {
            let config = VirtualMachineConfig::AppConfig(good.config());
            drop(
                good.manager
                    .create_vm(&config, vmclient::Streams::default())
                    .unwrap(),
            );
        };
        create();
        let parts = ["debugLevel", ": 7) is neither NONE (0) nor FULL (1)"];
        good.refused(ExceptionCode::BadParcelable, &parts, |app| {
            app.debugLevel = DebugLevel(7);
        });
        good.refused(ILLEGAL, &["memoryMib -1"], |app| app.memoryMib = -1);
        good.refused(ILLEGAL, &["osName \"other\"", "microdroid"], |app| {
            app.osName = "other".into();
        });
        good.refused(ILLEGAL, &["osName \"../x\""], |app| {
            app.osName = "../x".into();
        });
        for name in ["", "a/b", ".."] {
            good.refused(
                ILLEGAL,
                &["payload.payloadConfig", &format!("{name:?}")],
                |app| {
                    app.payload = Payload::PayloadConfig(VirtualMachinePayloadConfig {
                        payloadBinaryName: name.into(),
                        ..Default::default()
                    });
                },
            );
        }
        good.refused(ILLEGAL, &["extraIdsigs: there are 1, but 0"], |app| {
            app.extraIdsigs = vec![fd(&good.files[1])];
        });
        let gdb = |port| CustomConfig {
            gdbPort: port,
            ..Default::default()
        };
        good.refused(
            ExceptionCode::Security,
            &["customConfig.gdbPort", "NONE"],
            |app| {
                app.debugLevel = DebugLevel::NONE;
                custom(gdb(1234))(app);
            },
        );
        good.refused(ILLEGAL, &["gdbPort 70000"], custom(gdb(70000)));
        type Set = fn(&mut CustomConfig, &Path);
        let fields: [(&str, Set); 4] = [
            ("customConfig.vendorImage", |custom, file| {
                custom.vendorImage = Some(fd(file));
            }),
            ("customConfig.customKernelImage", |custom, file| {
                custom.customKernelImage = Some(fd(file));
            }),
            ("networkSupported", |custom, _| {
                custom.networkSupported = true;
            }),
            ("devices", |custom, _| {
                custom.devices = vec![AssignableDeviceSelector::ByPath("/sys/x".into())];
            }),
        ];
        for (field, set) in fields {
            let mut given = CustomConfig::default();
            set(&mut given, &good.files[0]);
            good.refused(
                UNSUPPORTED,
                &["early_virtmgr doesn't support", field],
                custom(given),
            );
        }
        good.refused(FAILED, &["not declared", "other"], |app| {
            app.name = "other".into();
        });
        create();
    });
}

#[test]
fn what_an_apk_says_is_checked() {
    host::run("what_an_apk_says_is_checked", |host| {
        let entries: Vec<Entry> = [
            ("bad.json", "{\n \"task\": 7 }"),
            ("os.json", r#"{ "os": { "name": "nowhere" } }"#),
            (
                "extra.json",
                r#"{ "extra_apks": [ { "path": "/none.apk" } ] }"#,
            ),
            (
                "relative.json",
                r#"{ "extra_apks": [ { "path": "none.apk" } ] }"#,
            ),
            (
                "pipe.json",
                r#"{ "extra_apks": [ { "path": "/scratch/pipe" } ] }"#,
            ),
            ("staged.json", r#"{ "prefer_staged": true }"#),
            (
                "classpath.json",
                r#"{ "apexes": [ { "name": "{CLASSPATH}" } ] }"#,
            ),
            ("missing.json", r#"{ "apexes": [ { "name": "missing" } ] }"#),
            ("packed.json", r#"{ "apexes": [ { "name": "packed" } ] }"#),
            ("vendors.json", r#"{ "apexes": [ { "name": "vendors" } ] }"#),
            ("gone.json", r#"{ "apexes": [ { "name": "gone" } ] }"#),
        ]
        .into_iter()
        .map(|(name, text)| Entry::file(name, text))
        .chain([Entry::file("large.json", vec![b' '; (1 << 20) + 1])])
        .collect();
        let Some(good) = Good::new(host, "early_virtmgr", &entries) else {
            return;
        };
        let refused =
            |path: &str, code, parts: &[&str]| good.refused(code, parts, config_path(path));
        refused(
            "none.json",
            FAILED,
            &["payload.configPath \"none.json\"", "has no file"],
        );
        refused(
            "bad.json",
            FAILED,
            &["payload.configPath \"bad.json\"", "line 2, column"],
        );
        refused(
            "large.json",
            FAILED,
            &["large.json", "more than 1048576 bytes"],
        );
        refused(
            "os.json",
            ILLEGAL,
            &["osName \"nowhere\": this host has microdroid"],
        );
        refused("extra.json", FAILED, &["/none.apk", "No such file"]);
        refused(
            "relative.json",
            FAILED,
            &["\"none.apk\": its path must be absolute"],
        );
        // Nobody writes to it: an open that waits would wait for ever.
        let pipe = host.scratch().join("pipe");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, mode).unwrap();
        refused(
            "pipe.json",
            FAILED,
            &["/scratch/pipe", "it must be a regular file"],
        );
        refused(
            "staged.json",
            UNSUPPORTED,
            &["early_virtmgr doesn't support prefer_staged"],
        );
        refused(
            "missing.json",
            FAILED,
            &["apex-info-list.xml", "No such file"],
        );
        let list = host.root.join("apex/apex-info-list.xml");
        let entry = |name: &str, place: &str| {
            format!(
                "<apex-info moduleName=\"{name}\" modulePath=\"/data/{name}.apex\" versionCode=\"1\" \
                 preinstalledModulePath=\"{place}\" isFactory=\"false\" isActive=\"true\"/>"
            )
        };
        let all = [
            entry("packed", "/system/apex/packed.capex"),
            entry("vendors", "/vendor/apex/vendors.apex"),
            entry("gone", "/system_ext/apex/gone.apex"),
        ];
        fs::write(
            &list,
            format!("<apex-info-list>{}</apex-info-list>", all.concat()),
        )
        .unwrap();
        refused(
            "classpath.json",
            UNSUPPORTED,
            &["doesn't support {CLASSPATH}"],
        );
        refused(
            "missing.json",
            FAILED,
            &["APEX missing is not active on this host"],
        );
        refused(
            "packed.json",
            FAILED,
            &["APEX packed", "packed.capex", "uncompressed"],
        );
        refused(
            "vendors.json",
            FAILED,
            &["APEX vendors", "/vendor/apex/vendors.apex"],
        );
        refused(
            "gone.json",
            FAILED,
            &["APEX gone", "system_ext/apex/gone.apex", "No such file"],
        );
        fs::write(&list, "<apex-info-list><apex-info/>").unwrap();
        refused(
            "missing.json",
            FAILED,
            &["apex-info-list.xml", "cannot read the list of APEXes"],
        );
    });
}

#[test]
fn files_of_the_host_are_checked() {
    host::run("files_of_the_host_are_checked", |host| {
        let entries = [Entry::file("config.json", "{}")];
        let Some(good) = Good::new(host, "virtmgr", &entries) else {
            return;
        };
        let file = |name: &str, bytes: &[u8]| {
            let path = host.scratch().join(name);
            fs::write(&path, bytes).unwrap();
            path
        };
        let vendor = |path: &Path| {
            let image = fd(path);
            custom(CustomConfig {
                vendorImage: Some(image),
                ..Default::default()
            })
        };
        let image = file("plain.img", &[0; 8192]);
        good.refused(
            FAILED,
            &["customConfig.vendorImage", "no verified-boot structure"],
            vendor(&image),
        );
        let mut broken =
            include_bytes!("../../crates/vbmeta/tests/data/rsa2048-sha256.vbmeta").to_vec();
        broken[600] ^= 1;
        let image = file("broken.img", &broken);
        good.refused(
            FAILED,
            &["customConfig.vendorImage", "its hash is another"],
            vendor(&image),
        );
        // The vendor's side of the system.
        fs::create_dir_all(host.root.join("vendor/app")).unwrap();
        let apk = host.root.join("vendor/app/app.apk");
        fs::copy(&good.files[0], &apk).unwrap();
        good.refused(
            FAILED,
            &["apk: ", "/vendor/app/app.apk is on /vendor or /odm"],
            |app| {
                app.apk = Some(fd(&apk));
            },
        );
        // The system's own description.
        let base = host.root.join("apex/com.android.virt/etc");
        let initrd = base.join("microdroid_initrd_debuggable.img");
        fs::remove_file(&initrd).unwrap();
        good.refused(
            FAILED,
            &["microdroid_initrd_debuggable.img", "No such file"],
            |_| {},
        );
        fs::write(base.join("microdroid.json"), "{\n \"kernal\": \"x\" }").unwrap();
        good.refused(FAILED, &["microdroid.json", "kernal", "`kernel`"], |_| {});
        fs::remove_file(base.join("microdroid.json")).unwrap();
        good.refused(
            ILLEGAL,
            &["osName \"microdroid\": this host has none"],
            |_| {},
        );
        assert!(
            good.manager
                .service()
                .getSupportedOSList()
                .unwrap()
                .is_empty()
        );
    });
}

fn code_and_text(result: Result<(), Status>) -> (ExceptionCode, String) {
    let status = result.unwrap_err();
    (
        status.exception_code(),
        status.message().unwrap_or_default().to_owned(),
    )
}

#[test]
fn idsigs_are_made_of_signed_apks_only() {
    host::run("idsigs_are_made_of_signed_apks_only", |host| {
        let Some(apps) = Apps::new(host) else { return };
        let manager = host.early();
        let service = manager.service();
        let apk = apps.apk("app.apk", &[Entry::file("name", "text")]);
        let idsig = apps.idsig(&manager, &apk);
        let before = fs::metadata(&idsig).unwrap();
        let content = fs::read(&idsig).unwrap();
        // One that fits is not written again.
        assert_eq!(apps.idsig(&manager, &apk), idsig);
        let after = fs::metadata(&idsig).unwrap();
        assert_eq!(
            (before.mtime(), before.mtime_nsec()),
            (after.mtime(), after.mtime_nsec())
        );
        // One with a cut tree is: an older manager left such files on a full disk.
        let cut = fs::OpenOptions::new().write(true).open(&idsig).unwrap();
        cut.set_len(content.len() as u64 - 1).unwrap();
        assert_eq!(apps.idsig(&manager, &apk), idsig);
        assert_eq!(fs::read(&idsig).unwrap(), content);

        let target = || ParcelFileDescriptor::new(writable(&idsig));
        let refused = |input: ParcelFileDescriptor, target: ParcelFileDescriptor| {
            code_and_text(service.createOrUpdateIdsigFile(&input, &target))
        };
        let expect = |(code, text): (ExceptionCode, String), wanted, part: &str| {
            assert_eq!(code, wanted, "{text}");
            assert!(text.contains(part), "{text}");
        };
        let directory = ParcelFileDescriptor::new(File::open(host.scratch()).unwrap());
        expect(
            refused(directory, target()),
            ILLEGAL,
            "inputFd: it must be a regular file",
        );
        let (pipe, _) = std::io::pipe().unwrap();
        expect(
            refused(ParcelFileDescriptor::new(pipe), target()),
            ILLEGAL,
            "inputFd",
        );
        expect(
            refused(fd(&apk), fd(&idsig)),
            ILLEGAL,
            "idsigFd: its descriptor must be open for reading and writing",
        );
        let unsigned = host.scratch().join("unsigned.apk");
        expect(refused(fd(&unsigned), target()), FAILED, "not signed");
        fs::write(host.scratch().join("text"), "no archive").unwrap();
        expect(
            refused(fd(&host.scratch().join("text")), target()),
            FAILED,
            "not a valid ZIP archive",
        );
        // Neither the APK nor any other file is overwritten.
        let before = fs::read(&apk).unwrap();
        let linked = host.scratch().join("linked");
        fs::hard_link(&apk, &linked).unwrap();
        for path in [&apk, &linked] {
            let target = ParcelFileDescriptor::new(writable(path));
            expect(refused(fd(&apk), target), ILLEGAL, "are the same file");
        }
        assert_eq!(fs::read(&apk).unwrap(), before);
        let text = host.scratch().join("text");
        let target_text = ParcelFileDescriptor::new(writable(&text));
        expect(refused(fd(&apk), target_text), ILLEGAL, "has other content");
        assert_eq!(fs::read(&text).unwrap(), b"no archive");
        let empty = host.scratch().join("empty");
        fs::write(&empty, "").unwrap();
        let target_empty = ParcelFileDescriptor::new(writable(&empty));
        expect(refused(fd(&unsigned), target_empty), FAILED, "not signed");
        assert_eq!(fs::metadata(&empty).unwrap().len(), 0);
        // What was refused changed nothing.
        assert_eq!(fs::read(&idsig).unwrap(), content);
    });
}
