// SPDX-License-Identifier: Apache-2.0
//! Fields that raw configs have since Android 16 and 17: what a guest makes of them, and how bad values
//! are refused.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test panics"
)]

use avf_aidl::service::cpu_options::CpuTopology;
use avf_aidl::service::{
    CpuOptions, CustomMemoryBackingFile, DiskImage, DisplayConfig, SharedPath, SmbiosOptions,
    UsbConfig, VirtualMachineRawConfig,
};
use rsbinder::{BinderResult, ExceptionCode, ParcelFileDescriptor};
use std::fs::{File, OpenOptions};
use system_tests::guest::{PATIENCE, config, service, start};
use system_tests::host::{self, Host};
use system_tests::refusal::{expect, no_directories};
use vmclient::{DeathReason, Manager, ManagerOptions, Stderr, VmInstance};

type Change = fn(&Host, &mut VirtualMachineRawConfig);

/// A file of this many bytes that can be written.
fn file(host: &Host, bytes: u64) -> ParcelFileDescriptor {
    let path = host.scratch().join(format!("{bytes}.img"));
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    file.set_len(bytes).unwrap();
    ParcelFileDescriptor::new(file)
}

fn null() -> ParcelFileDescriptor {
    ParcelFileDescriptor::new(File::open("/dev/null").unwrap())
}

fn backing(file: ParcelFileDescriptor, start: i64, size: i64) -> CustomMemoryBackingFile {
    CustomMemoryBackingFile {
        file: Some(file),
        rangeStart: start,
        size,
    }
}

fn smbios(change: fn(&mut SmbiosOptions)) -> Option<SmbiosOptions> {
    let mut options = SmbiosOptions::default();
    change(&mut options);
    Some(options)
}

fn usb(controller: bool, device: &str) -> Option<UsbConfig> {
    Some(UsbConfig {
        controller,
        devices: vec![device.into()],
    })
}

fn disk(image: ParcelFileDescriptor, id: &str) -> Vec<DiskImage> {
    vec![DiskImage {
        image: Some(image),
        id: Some(id.into()),
        ..Default::default()
    }]
}

#[test]
fn a_guest_finds_what_the_config_says() {
    if cfg!(not(target_arch = "x86_64")) {
        skip::skip!("only firmware would hand a guest of this processor its tables");
        return;
    }
    host::run("a_guest_finds_what_the_config_says", |host| {
        let mut config = config(host, &[]);
        config.name = "guest-7".into();
        config.cpuOptions = CpuOptions {
            cpuTopology: CpuTopology::CpuCount(3),
        };
        config.disks = disk(file(host, 1 << 20), "a disk, by its id");
        config.smbiosOptions = smbios(|o| {
            o.biosVendor = Some("Vendor, \"Inc.\"".into());
            o.productName = Some("[the product]".into());
            o.serialNumber = Some("serial=7".into());
            o.uuid = Some("12e474af-2cc1-49d1-b0e5-d03a3e03ca03".into());
            o.oemStrings = vec!["one, two".into()];
        });
        config.ramdump = false;
        // Without that, this guest would set memory aside for a dump.
        let options = ManagerOptions::new(host.dist.path("virtmgr"))
            .env("VIRTMGR_RAMDUMP_DIR", host.scratch())
            .stderr(Stderr::Keep);
        let manager = Manager::start(&options).unwrap();
        let vm = start(&manager, config);
        let demo = service(&manager, &vm);
        let read = |path: &str| {
            let text = demo
                .readFile(path)
                .unwrap_or_else(|e| panic!("{path}: {e}"));
            String::from_utf8(text).unwrap()
        };
        assert_eq!(read("/proc/sys/kernel/hostname").trim(), "guest-7");
        assert!(!read("/proc/cmdline").contains("crashkernel"));
        assert_eq!(read("/sys/devices/system/cpu/online").trim(), "0-2");
        assert_eq!(read("/sys/block/vda/serial"), "a disk, by its id");
        for (file, text) in [
            ("bios_vendor", "Vendor, \"Inc.\""),
            ("product_name", "[the product]"),
            ("product_serial", "serial=7"),
            ("product_uuid", "12e474af-2cc1-49d1-b0e5-d03a3e03ca03"),
        ] {
            assert_eq!(read(&format!("/sys/class/dmi/id/{file}")).trim(), text);
        }
        let strings = demo.readFile("/sys/firmware/dmi/tables/DMI").unwrap();
        let wanted = b"one, two\0";
        assert!(strings.windows(wanted.len()).any(|at| at == wanted));
        displays(&vm);
        assert!(vm.binder().isMemoryBalloonEnabled().unwrap());
        assert_eq!(vm.binder().getActualMemoryBalloonBytes().unwrap(), 0);
        let _ = demo.quit();
        let death = vm.wait_for_death(Some(PATIENCE)).unwrap();
        assert_eq!(death, Some(DeathReason::Shutdown), "{}", manager.log());
    });
}

/// A VM without a graphics processor has no displays, whatever its VMM.
fn displays(vm: &VmInstance) {
    let code = |result: BinderResult<()>| result.unwrap_err().exception_code();
    let mut display = DisplayConfig {
        width: 640,
        height: 480,
        horizontalDpi: 160,
        verticalDpi: 160,
        refreshRate: 60,
    };
    let vm = vm.binder();
    let unsupported = ExceptionCode::UnsupportedOperation;
    assert_eq!(code(vm.addDisplay(&display)), unsupported);
    assert_eq!(code(vm.removeDisplay(0)), unsupported);
    assert_eq!(code(vm.getDisplays().map(drop)), unsupported);
    display.width = 0;
    let illegal = ExceptionCode::IllegalArgument;
    assert_eq!(code(vm.addDisplay(&display)), illegal);
    assert_eq!(code(vm.removeDisplay(-1)), illegal);
}

#[test]
fn values_out_of_range() {
    host::run("values_out_of_range", |host| {
        let manager = host.early();
        let cases: &[(&str, Change)] = &[
            ("cpuCount 100000: ", |_, c| {
                c.cpuOptions.cpuTopology = CpuTopology::CpuCount(100_000);
            }),
            ("swiotlbMib -1: ", |_, c| c.swiotlbMib = -1),
            ("customMemoryBackingFiles[0].size 0: ", |h, c| {
                c.customMemoryBackingFiles = vec![backing(file(h, 8192), 0, 0)];
            }),
            ("customMemoryBackingFiles[0].rangeStart 5: ", |h, c| {
                c.customMemoryBackingFiles = vec![backing(file(h, 8192), 5, 4096)];
            }),
            ("overlaps customMemoryBackingFiles[0]", |h, c| {
                let part = || backing(file(h, 8192), 0, 8192);
                c.customMemoryBackingFiles = vec![part(), part()];
            }),
            ("usbConfig.devices[0] \"xyz\": ", |_, c| {
                c.usbConfig = usb(true, "xyz");
            }),
            ("usbConfig.devices: ", |_, c| {
                c.usbConfig = usb(false, "1:2");
            }),
            // The host of the tests has no USB.
            ("usbConfig.devices[0] fffe:ffff: ", |_, c| {
                c.usbConfig = usb(true, "fffe:ffff");
            }),
            ("smbiosOptions.manufacturer \"a\\n\": ", |_, c| {
                c.smbiosOptions = smbios(|o| o.manufacturer = Some("a\n".into()));
            }),
            ("smbiosOptions.uuid \"7\": ", |_, c| {
                c.smbiosOptions = smbios(|o| o.uuid = Some("7".into()));
            }),
            ("disks[0].id \"", |h, c| {
                c.disks = disk(file(h, 4096), "more than twenty bytes");
            }),
            ("pflash: there are 3", |h, c| {
                c.pflash = vec![file(h, 4096), file(h, 4096), file(h, 4096)];
            }),
            ("pflash[0]: it has 4097 bytes", |h, c| {
                c.pflash = vec![file(h, 4097)];
            }),
            ("customPvmfw: ", |_, c| c.customPvmfw = Some(null())),
            ("deviceTreeOverlay: ", |_, c| {
                c.deviceTreeOverlay = Some(null());
            }),
        ];
        for (part, change) in cases {
            let mut config = config(host, &[]);
            change(host, &mut config);
            expect(&manager, config, ExceptionCode::IllegalArgument, &[part]);
        }
        no_directories(&host.root);
    });
}

#[test]
fn fields_that_nothing_serves() {
    host::run("fields_that_nothing_serves", |host| {
        let manager = host.early();
        let cases: &[(&str, Change)] = &[
            ("sharedPaths", |_, c| {
                c.sharedPaths = vec![SharedPath::default()];
            }),
            ("hostServices", |_, c| c.hostServices = vec!["a".into()]),
            ("teeServices", |_, c| c.teeServices = vec!["a".into()]),
            ("profileName", |_, c| c.profileName = Some("a".into())),
        ];
        for (part, change) in cases {
            let mut config = config(host, &[]);
            change(host, &mut config);
            let code = ExceptionCode::UnsupportedOperation;
            expect(&manager, config, code, &[part]);
        }
        let mut config = config(host, &[]);
        config.enableHypervisorSpecificAuthMethod = true;
        let part = "enableHypervisorSpecificAuthMethod";
        expect(&manager, config, ExceptionCode::ServiceSpecific, &[part]);
        no_directories(&host.root);
    });
}
