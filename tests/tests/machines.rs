// SPDX-License-Identifier: Apache-2.0
//! Guests with the parts that most do not have.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test panics"
)]

use avf_aidl::service::InputDevice;
use avf_aidl::service::cpu_options::CpuTopology;
use avf_aidl::service::{
    AudioConfig, CpuOptions, DisplayConfig, GpuConfig, UsbConfig, VirtualMachineRawConfig,
    input_device::Keyboard,
};
use rsbinder::{ExceptionCode, ParcelFileDescriptor};
use std::fs::File;
use std::os::unix::net::UnixStream;
use std::path::Path;
use system_tests::guest::{config, service, start};
use system_tests::host;
use system_tests::refusal::expect;
use vmclient::State;

/// Devices of the guest by vendor and number, as its kernel lists them.
fn pci_devices(demo: &dyn vm_demo::IDemoService) -> Vec<String> {
    let list = String::from_utf8(demo.readFile("/proc/bus/pci/devices").unwrap()).unwrap();
    list.lines()
        .filter_map(|line| line.split_whitespace().nth(1).map(str::to_owned))
        .collect()
}

#[test]
fn a_guest_with_a_display_usb_and_all_cpus() {
    if std::env::var_os("VIRTMGR_VMM").is_some_and(|v| v.to_string_lossy().contains("crosvm")) {
        skip::skip!("whether a crosvm has graphics depends on how it was built");
        return;
    }
    host::run("a_guest_with_a_display_usb_and_all_cpus", |host| {
        let manager = host.early();
        let plain = start(&manager, config(host, &[]));
        let before = pci_devices(&*service(&manager, &plain));
        drop(plain);
        let vm = start(
            &manager,
            VirtualMachineRawConfig {
                displayConfig: Some(DisplayConfig {
                    width: 640,
                    height: 480,
                    horizontalDpi: 160,
                    verticalDpi: 160,
                    refreshRate: 60,
                }),
                gpuConfig: Some(GpuConfig::default()),
                usbConfig: Some(UsbConfig {
                    controller: true,
                    ..Default::default()
                }),
                cpuOptions: CpuOptions {
                    cpuTopology: CpuTopology::MatchHost(true),
                },
                hugePages: true,
                boostUclamp: true,
                ..config(host, &[])
            },
        );
        let demo = service(&manager, &vm);
        let after = pci_devices(&*demo);
        // virtio-gpu, and an xHCI controller of QEMU's maker; what was there stays where it was.
        let (added, kept): (Vec<_>, Vec<_>) = after
            .into_iter()
            .partition(|device| ["1af41050", "1b36000d"].contains(&device.as_str()));
        assert_eq!(added, ["1af41050", "1b36000d"]);
        assert_eq!(kept, before);
        let cpus = String::from_utf8(demo.readFile("/proc/cpuinfo").unwrap()).unwrap();
        let host_cpus = std::thread::available_parallelism().unwrap().get();
        assert_eq!(cpus.matches("processor\t:").count(), host_cpus);
    });
}

/// QEMU's own firmware for PCs, where Debian has it.
const FIRMWARE: &str = "/usr/share/seabios/bios-256k.bin";

#[test]
fn a_boot_loader_of_the_clients() {
    host::run("a_boot_loader_of_the_clients", |host| {
        let Ok(firmware) = File::open(FIRMWARE) else {
            skip::skip!("no {FIRMWARE}");
            return;
        };
        let manager = host.early();
        let vm = start(
            &manager,
            VirtualMachineRawConfig {
                kernel: None,
                initrd: None,
                params: None,
                bootloader: Some(ParcelFileDescriptor::new(firmware)),
                ..config(host, &[])
            },
        );
        // It looks for something to boot, and there is nothing.
        assert_eq!(vm.state().unwrap(), State::Starting);
        vm.stop().unwrap();
    });
}

#[test]
fn what_qemu_does_not_have() {
    host::run("what_qemu_does_not_have", |host| {
        let options = vmclient::ManagerOptions::new(host.dist.path("early_virtmgr"))
            .env("VIRTMGR_VMM", Path::new("qemu-system-x86_64"))
            .stderr(vmclient::Stderr::Keep);
        let manager = vmclient::Manager::start(&options).unwrap();
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let keyboard = InputDevice::Keyboard(Keyboard {
            pfd: Some(ParcelFileDescriptor::new(ours)),
        });
        let unsupported = ExceptionCode::UnsupportedOperation;
        let with_params = VirtualMachineRawConfig {
            bootloader: config(host, &[]).kernel,
            kernel: None,
            initrd: None,
            ..config(host, &[])
        };
        expect(&manager, with_params, unsupported, &["QEMU", "params"]);
        let with_keyboard = VirtualMachineRawConfig {
            inputDevices: vec![keyboard],
            ..config(host, &[])
        };
        expect(
            &manager,
            with_keyboard,
            unsupported,
            &["QEMU", "inputDevices"],
        );
        let with_sound = VirtualMachineRawConfig {
            audioConfig: Some(AudioConfig {
                useMicrophone: false,
                useSpeaker: true,
            }),
            ..config(host, &[])
        };
        expect(&manager, with_sound, unsupported, &["QEMU", "audioConfig"]);
    });
}
