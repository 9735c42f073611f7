// SPDX-License-Identifier: Apache-2.0
//! QEMU itself takes what the command line says: it is started, and asked what the machine has.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test panics"
)]

#[allow(dead_code, reason = "the lists of command lines use the rest")]
mod files;

use files::Files;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::num::NonZeroU32;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};
use vmm::accel::Acceleration;
use vmm::child::Child;
use vmm::plan::*;
use vmm::qemu::Qemu;
use vmm::{Arch, Control, Event, Vmm};

/// The BIOS that comes with QEMU: it fills a flash memory of 256 KiB.
const BIOS: &str = "/usr/share/seabios/bios-256k.bin";
const QEMU: &str = "/usr/bin/qemu-system-x86_64";
/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(120);

/// A running QEMU, and a second channel to it.
struct Machine {
    child: Child,
    control: Box<dyn Control>,
    answers: BufReader<UnixStream>,
    files: Files,
}

impl Machine {
    fn start(change: impl FnOnce(&mut Files, &mut Plan)) -> Self {
        let mut files = Files::new();
        let mut plan = files.plan();
        // The device behind it is not what is asked about, so that the script leaves it out.
        plan.vsock = Vsock::User {
            socket: files.fd("vsock-device"),
        };
        change(&mut files, &mut plan);
        let socket = files.directory().join("second-qmp");
        let program = files.directory().join("qemu");
        let script = format!(
            r#"#!/bin/sh
left=$#
while [ $left -gt 0 ]; do
  case "$1 $2" in
    "-chardev socket,id=vsock,"*|"-device vhost-user-vsock"*) shift; left=$((left - 1));;
    *) set -- "$@" "$1";;
  esac
  shift; left=$((left - 1))
done
exec {QEMU} "$@" -qmp unix:{},server=on,wait=off
"#,
            socket.display()
        );
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let qemu = Qemu::new(program, Arch::X86_64, Acceleration::Emulation);
        let prepared = qemu.prepare(plan).unwrap();
        let child = prepared.launch.spawn().unwrap();
        let control = prepared.control;
        control.spawned().unwrap();
        let stream = connect(&child, &socket);
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let mut machine = Self {
            child,
            control,
            answers: BufReader::new(stream),
            files,
        };
        machine.ask(&json!({"execute": "qmp_capabilities"}));
        machine
    }

    /// The answer to a command.
    fn ask(&mut self, command: &Value) -> Value {
        let text = format!("{command}\n");
        self.answers.get_mut().write_all(text.as_bytes()).unwrap();
        loop {
            let mut line = String::new();
            assert_ne!(self.answers.read_line(&mut line).unwrap(), 0, "QEMU ended");
            let mut answer: Value = serde_json::from_str(&line).unwrap();
            if answer.get("error").is_some() {
                panic!("{command}: {answer}");
            }
            if let Some(value) = answer.get_mut("return") {
                return value.take();
            }
        }
    }

    /// The block device of this node.
    fn block(&mut self, node: &str) -> Value {
        let list = self.ask(&json!({"execute": "query-block"}));
        let devices = list.as_array().unwrap().clone();
        let mut found = devices
            .into_iter()
            .filter(|device| device["inserted"]["node-name"] == node);
        found.next().unwrap_or_else(|| panic!("{node}: {list}"))
    }

    /// The guest's first 64 MiB.
    fn memory(&mut self) -> Vec<u8> {
        let file = self.files.directory().join("memory");
        self.ask(&json!({"execute": "pmemsave", "arguments": {
            "val": 0, "size": 64 << 20, "filename": file.to_str().unwrap()
        }}));
        fs::read(file).unwrap()
    }
}

fn connect(child: &Child, socket: &Path) -> UnixStream {
    let end = Instant::now() + LIMIT;
    loop {
        if let Ok(stream) = UnixStream::connect(socket) {
            return stream;
        }
        if child.try_wait().unwrap().is_some() || end < Instant::now() {
            let mut said = [0; 4096];
            let count = rustix::io::read(child.stderr(), &mut said).unwrap_or(0);
            panic!("QEMU: {}", String::from_utf8_lossy(&said[..count]));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn is_missing() -> bool {
    for file in [QEMU, BIOS] {
        if !Path::new(file).exists() {
            skip::skip!("there is no {file}");
            return true;
        }
    }
    false
}

fn contains(memory: &[u8], text: &str) -> bool {
    memory.windows(text.len()).any(|at| at == text.as_bytes())
}

#[test]
fn qemu_has_what_the_plan_says() {
    if is_missing() {
        return;
    }
    let mut machine = Machine::start(|files, plan| {
        plan.machine.memory_mib = NonZeroU32::new(64).unwrap();
        plan.machine.cpus = Cpus::Count(NonZeroU32::new(3).unwrap());
        plan.machine.boot = Boot::Bootloader {
            image: File::open(BIOS).unwrap(),
            initrd: None,
            params: String::new(),
        };
        let variables = files.file("variables");
        variables.set_len(128 << 10).unwrap();
        plan.machine.pflash = vec![Pflash {
            image: variables,
            writable: true,
        }];
        plan.machine.disks = vec![Disk {
            id: Some("twenty bytes, no mor".into()),
            ..files.disk("system", true)
        }];
        let text = |text: &str| Some(text.to_owned());
        plan.machine.smbios = Some(Smbios {
            bios_vendor: text("the vendor, \"Inc.\""),
            bios_version: text("version=7"),
            manufacturer: text("the manufacturer"),
            product_name: text("the product"),
            serial_number: text("the serial"),
            uuid: "12e474af-2cc1-49d1-b0e5-d03a3e03ca03".parse().ok(),
            oem_strings: vec!["first string".into(), "second, string".into()],
        });
        plan.machine.usb = true;
        plan.machine.usb_devices = vec![UsbDevice {
            vendor: 0x18d1,
            product: 0x4ee7,
            node: files.fd("usb"),
        }];
    });
    let cpus = machine.ask(&json!({"execute": "query-cpus-fast"}));
    assert_eq!(cpus.as_array().unwrap().len(), 3);
    for (node, qdev, read_only, size) in [
        ("pflash0", "/machine/system.flash0", true, 256 << 10),
        ("pflash1", "/machine/system.flash1", false, 128 << 10),
    ] {
        let flash = machine.block(node);
        assert_eq!(flash["qdev"], qdev, "{flash}");
        assert_eq!(flash["inserted"]["ro"], read_only, "{flash}");
        assert_eq!(flash["inserted"]["image"]["virtual-size"], size, "{flash}");
    }
    let disk = machine.block("disk0");
    let path = disk["qdev"].as_str().unwrap().to_owned();
    let serial = machine.ask(&json!({"execute": "qom-get", "arguments": {
        "path": path, "property": "serial"
    }}));
    assert_eq!(serial, "twenty bytes, no mor");
    let devices = machine.ask(&json!({"execute": "qom-list", "arguments": {
        "path": "/machine/peripheral-anon"
    }}));
    let usb = devices.as_array().unwrap().iter();
    assert_eq!(usb.filter(|d| d["type"] == "child<usb-host>").count(), 1);
    // The BIOS runs from the flash memory, and puts the tables where a guest finds them.
    let end = Instant::now() + LIMIT;
    let memory = loop {
        let memory = machine.memory();
        if contains(&memory[0xe_0000..0x10_0000], "second, string") {
            break memory;
        }
        assert!(Instant::now() < end, "the BIOS makes no tables");
        std::thread::sleep(Duration::from_millis(200));
    };
    for text in [
        "the vendor, \"Inc.\"",
        "version=7",
        "the manufacturer",
        "the product",
        "the serial",
        "first string",
    ] {
        assert!(contains(&memory, text), "{text}");
    }
    // Little-endian, as tables have it since version 2.6.
    let uuid = [
        0xaf, 0x74, 0xe4, 0x12, 0xc1, 0x2c, 0xd1, 0x49, 0xb0, 0xe5, 0xd0, 0x3a, 0x3e, 0x03, 0xca,
        0x03,
    ];
    assert!(memory.windows(16).any(|at| at == uuid), "no UUID");
    while !machine.control.events().unwrap().contains(&Event::Ready) {
        assert!(Instant::now() < end, "QEMU does not answer");
        std::thread::sleep(Duration::from_millis(20));
    }
    machine.child.kill();
    machine.child.wait().unwrap();
}
