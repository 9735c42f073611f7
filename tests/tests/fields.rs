// SPDX-License-Identifier: Apache-2.0
//! Each field of a raw config that is out of its range, and each file that is of the wrong kind:
//! the exception, and the field's name in the message. No guest is started, and nothing is left.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test panics"
)]

use avf_aidl::service::cpu_options::CpuTopology;
use avf_aidl::service::input_device::{EvDev, Keyboard, MultiTouch, SingleTouch, Trackpad};
use avf_aidl::service::{
    AssignableDeviceSelector, CpuOptions, DiskImage, DisplayConfig, GpuConfig, InputDevice,
    Partition, VirtualMachineConfig, VirtualMachineRawConfig,
};
use rsbinder::{ExceptionCode, ParcelFileDescriptor};
use rustix::fs::OFlags;
use std::fs::{self, File, OpenOptions};
use std::os::unix::net::UnixStream;
use std::path::Path;
use system_tests::guest::config;
use system_tests::host::{self, Host};
use system_tests::refusal::{expect, no_directories};

const ILLEGAL: ExceptionCode = ExceptionCode::IllegalArgument;
const UNSUPPORTED: ExceptionCode = ExceptionCode::UnsupportedOperation;

fn fd(path: &Path) -> Option<ParcelFileDescriptor> {
    Some(ParcelFileDescriptor::new(File::open(path).unwrap()))
}

fn write_only(path: &Path) -> Option<ParcelFileDescriptor> {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    Some(ParcelFileDescriptor::new(file))
}

fn socket() -> Option<ParcelFileDescriptor> {
    let (ours, _) = UnixStream::pair().unwrap();
    Some(ParcelFileDescriptor::new(ours))
}

/// Checks one config that differs from a good one in what `change` does.
fn refused(
    host: &Host,
    code: ExceptionCode,
    parts: &[&str],
    change: impl FnOnce(&mut VirtualMachineRawConfig),
) {
    thread_local! {
        static MANAGER: std::cell::RefCell<Option<vmclient::Manager>> = const { std::cell::RefCell::new(None) };
    }
    MANAGER.with_borrow_mut(|manager| {
        let manager = manager.get_or_insert_with(|| host.early());
        let mut config = config(host, &[]);
        change(&mut config);
        expect(manager, config, code, parts);
    });
}

#[test]
fn numbers_and_texts() {
    host::run("numbers_and_texts", |host| {
        let illegal = |parts: &[&str], change: &dyn Fn(&mut VirtualMachineRawConfig)| {
            refused(host, ILLEGAL, parts, change);
        };
        illegal(&["memoryMib -1"], &|c| c.memoryMib = -1);
        for count in [0, -1, i32::MIN] {
            let part = format!("cpuCount {count}: it must be 1 or more");
            refused(host, ExceptionCode::ServiceSpecific, &[&part], |c| {
                c.cpuOptions = CpuOptions {
                    cpuTopology: CpuTopology::CpuCount(count),
                };
            });
        }
        illegal(&["consoleInputDevice", "tty9"], &|c| {
            c.consoleInputDevice = Some("tty9".into());
        });
        refused(
            host,
            ExceptionCode::BadParcelable,
            &["params", "NUL"],
            |c| {
                c.params = Some("a\0b".into());
            },
        );
        illegal(&["params", "70000"], &|c| {
            c.params = Some("x".repeat(70_000));
        });
        illegal(&["kernel", "bootloader"], &|c| c.kernel = None);
        illegal(&["kernel and bootloader"], &|c| {
            c.bootloader = fd(&host.dist.path("guest/kernel"));
        });
        illegal(&["gdbPort -1"], &|c| c.gdbPort = -1);
        illegal(&["gdbPort 65536"], &|c| c.gdbPort = 65536);
        refused(
            host,
            ExceptionCode::BadParcelable,
            &["platformVersion \"one\""],
            |c| {
                c.platformVersion = "one".into();
            },
        );
        for (field, change) in [
            (
                "protectedVm",
                (|c| c.protectedVm = true) as fn(&mut VirtualMachineRawConfig),
            ),
            ("networkSupported", |c| c.networkSupported = true),
            ("devices", |c| {
                let device = AssignableDeviceSelector::ByPath("/sys/x".into());
                c.deviceAssignmentConfig.devices = vec![device];
            }),
        ] {
            refused(host, UNSUPPORTED, &[field], change);
        }
        no_directories(&host.root);
    });
}

/// Names are the client's own choice in this program only.
#[test]
fn names() {
    host::run("names", |host| {
        let manager = host.manager("virtmgr");
        for (name, part) in [
            ("", "name: it is empty"),
            (&*"n".repeat(256), "name: it has 256 bytes"),
            (
                "two\nlines",
                "name \"two\u{fffd}lines\": it has characters that control a terminal",
            ),
            ("\x1b[2J", "control a terminal"),
        ] {
            let mut config = config(host, &[]);
            config.name = name.into();
            expect(&manager, config, ILLEGAL, &[part]);
        }
        no_directories(&host.root);
    });
}

#[test]
fn consoles() {
    host::run("consoles", |host| {
        let manager = host.early();
        let scratch = host.scratch();
        let file = scratch.join("file");
        fs::write(&file, "text").unwrap();
        let open = |path: &Path, flags| {
            let flags = flags | OFlags::CLOEXEC;
            let opened = rustix::fs::open(path, flags, rustix::fs::Mode::empty());
            ParcelFileDescriptor::new(opened.unwrap())
        };
        let config = VirtualMachineConfig::RawConfig(config(host, &[]));
        let cases = [
            ("consoleOutFd", OFlags::RDONLY, "open for writing"),
            ("consoleInFd", OFlags::WRONLY, "open for reading"),
            ("osLogFd", OFlags::RDONLY, "open for writing"),
        ];
        for (number, (field, wrong, wanted)) in cases.into_iter().enumerate() {
            for (fd, part) in [
                (open(&file, wrong), wanted),
                (open(&file, OFlags::PATH), wanted),
                (open(&scratch, OFlags::RDONLY), "a file, a pipe"),
            ] {
                let mut given = [None, None, None];
                given[number] = Some(&fd);
                let [out, input, log] = given;
                let status = manager
                    .service()
                    .createVm(&config, out, input, log, None)
                    .unwrap_err();
                let message = status.message().unwrap_or_default();
                assert_eq!(status.exception_code(), ILLEGAL, "{message}");
                assert!(message.contains(field), "{field}: {message}");
                assert!(message.contains(part), "{field}: {message}");
            }
        }
        no_directories(&host.root);
    });
}

#[test]
fn disks_and_partitions() {
    host::run("disks_and_partitions", |host| {
        let kernel = host.dist.path("guest/kernel");
        let empty = host.scratch().join("empty");
        File::create(&empty).unwrap();
        let odd = host.scratch().join("odd");
        fs::write(&odd, [7; 5000]).unwrap();
        let part = |label: &str, image: &Path| Partition {
            label: label.into(),
            image: fd(image),
            ..Default::default()
        };
        let illegal = |parts: &[&str], partitions: Vec<Partition>| {
            refused(host, ILLEGAL, parts, |c| {
                c.disks = vec![DiskImage {
                    partitions,
                    ..Default::default()
                }];
            });
        };
        illegal(&["disks[0]: it has neither"], vec![]);
        illegal(
            &["disks[0].partitions[1].label \"a\""],
            vec![part("a", &kernel), part("a", &kernel)],
        );
        illegal(
            &["disks[0].partitions[0].label \"\""],
            vec![part("", &kernel)],
        );
        illegal(
            &["disks[0].partitions[0].label", "36"],
            vec![part(&"x".repeat(37), &kernel)],
        );
        illegal(
            &["disks[0].partitions[0].guid \"no\""],
            vec![Partition {
                guid: Some("no".into()),
                ..part("a", &kernel)
            }],
        );
        illegal(&["disks[0]", "'e' is empty"], vec![part("e", &empty)]);
        let writable = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&odd)
            .unwrap();
        illegal(
            &["disks[0]", "'odd'", "4096"],
            vec![Partition {
                image: Some(ParcelFileDescriptor::new(writable)),
                writable: true,
                ..part("odd", &odd)
            }],
        );
        illegal(
            &["disks[0]", "'ro'", "not open for reading and writing"],
            vec![Partition {
                writable: true,
                ..part("ro", &kernel)
            }],
        );
        refused(host, ILLEGAL, &["disks[0]: it has both"], |c| {
            c.disks = vec![DiskImage {
                image: fd(&kernel),
                partitions: vec![part("a", &kernel)],
                ..Default::default()
            }];
        });
        refused(host, ILLEGAL, &["disks[0].image"], |c| {
            c.disks = vec![DiskImage {
                image: fd(&kernel),
                writable: true,
                ..Default::default()
            }];
        });
        no_directories(&host.root);
    });
}

#[test]
fn graphics_and_input() {
    host::run("graphics_and_input", |host| {
        let display = || DisplayConfig {
            width: 640,
            height: 480,
            horizontalDpi: 160,
            verticalDpi: 160,
            refreshRate: 60,
        };
        for (field, change) in [
            (
                "displayConfig.width 0",
                (|d| d.width = 0) as fn(&mut DisplayConfig),
            ),
            ("displayConfig.height -1", |d| d.height = -1),
            ("displayConfig.horizontalDpi 0", |d| d.horizontalDpi = 0),
            ("displayConfig.verticalDpi 0", |d| d.verticalDpi = 0),
            ("displayConfig.refreshRate 0", |d| d.refreshRate = 0),
        ] {
            let mut bad = display();
            change(&mut bad);
            refused(host, ILLEGAL, &[field], |c| c.displayConfig = Some(bad));
        }
        // A comma would begin another option of the VMM.
        let hostile = || Some("2d,udmabuf=true".to_owned());
        for (field, gpu) in [
            (
                "gpuConfig.backend",
                GpuConfig {
                    backend: hostile(),
                    ..Default::default()
                },
            ),
            (
                "gpuConfig.pciAddress",
                GpuConfig {
                    pciAddress: hostile(),
                    ..Default::default()
                },
            ),
            (
                "gpuConfig.rendererFeatures",
                GpuConfig {
                    rendererFeatures: hostile(),
                    ..Default::default()
                },
            ),
            (
                "gpuConfig.contextTypes[0]",
                GpuConfig {
                    contextTypes: Some(vec![hostile()]),
                    ..Default::default()
                },
            ),
        ] {
            refused(host, ILLEGAL, &[field], |c| c.gpuConfig = Some(gpu));
        }
        let input = |code, parts: &[&str], device| {
            refused(host, code, parts, |c| c.inputDevices = vec![device]);
        };
        let touch = SingleTouch {
            pfd: socket(),
            width: 0,
            height: 1,
            name: String::new(),
        };
        input(
            ILLEGAL,
            &["inputDevices[0].width 0"],
            InputDevice::SingleTouch(touch),
        );
        let touch = MultiTouch {
            pfd: socket(),
            width: 1,
            height: -1,
            name: String::new(),
        };
        input(
            ILLEGAL,
            &["inputDevices[0].height -1"],
            InputDevice::MultiTouch(touch),
        );
        let pad = Trackpad {
            pfd: socket(),
            width: 1,
            height: 1,
            name: "a]".into(),
        };
        input(
            ILLEGAL,
            &["inputDevices[0].name \"a]\""],
            InputDevice::Trackpad(pad),
        );
        let null = || fd(Path::new("/dev/null"));
        let keys = InputDevice::Keyboard(Keyboard { pfd: null() });
        input(ILLEGAL, &["inputDevices[0].pfd", "socket"], keys);
        let events = InputDevice::EvDev(EvDev { pfd: socket() });
        input(ILLEGAL, &["inputDevices[0].pfd", "event device"], events);
        no_directories(&host.root);
    });
}

#[test]
fn files_of_the_wrong_kind() {
    host::run("files_of_the_wrong_kind", |host| {
        let scratch = host.scratch();
        let noise = scratch.join("noise");
        fs::write(&noise, b"QFI\xfb is not a kernel").unwrap();
        refused(host, ILLEGAL, &["kernel", "bzImage"], |c| {
            c.kernel = fd(&noise);
        });
        let null = Path::new("/dev/null");
        for (kind, path) in [("directory", scratch.as_path()), ("device", null)] {
            let regular = "must be a regular file";
            refused(host, ILLEGAL, &["kernel: ", regular], |c| {
                c.kernel = fd(path);
            });
            refused(host, ILLEGAL, &["initrd: ", regular], |c| {
                c.initrd = fd(path);
            });
            refused(host, ILLEGAL, &["bootloader: ", regular], |c| {
                c.kernel = None;
                c.bootloader = fd(path);
            });
            refused(host, ILLEGAL, &["disks[0].image", kind], |c| {
                c.disks = vec![DiskImage {
                    image: fd(path),
                    ..Default::default()
                }];
            });
            refused(host, ILLEGAL, &["disks[0]", "'p'", kind], |c| {
                c.disks = vec![DiskImage {
                    partitions: vec![Partition {
                        label: "p".into(),
                        image: fd(path),
                        ..Default::default()
                    }],
                    ..Default::default()
                }];
            });
        }
        refused(host, ILLEGAL, &["kernel: ", "open for reading"], |c| {
            c.kernel = write_only(&noise);
        });
        refused(host, ILLEGAL, &["disks[0].image", "qcow2"], |c| {
            c.disks = vec![DiskImage {
                image: fd(&noise),
                ..Default::default()
            }];
        });
        refused(
            host,
            ILLEGAL,
            &["disks[0].image", "not open for reading"],
            |c| {
                c.disks = vec![DiskImage {
                    image: write_only(&noise),
                    ..Default::default()
                }];
            },
        );
        no_directories(&host.root);
    });
}
