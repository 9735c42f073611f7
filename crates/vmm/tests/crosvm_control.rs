// SPDX-License-Identifier: Apache-2.0
//! What crosvm's front ends are asked, and what is made of their answers. The front ends are a script
//! here, which answers as crosvm's sources do; tests of whole guests run the real ones where there is
//! a crosvm.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test panics"
)]

#[allow(dead_code, reason = "other tests use the rest")]
mod files;

use files::Files;
use files::crosvm::linux_x86;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs;
use std::num::NonZeroU32;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use vmm::crosvm::Crosvm;
use vmm::plan::*;
use vmm::{Control, Error, Event, Vmm};

/// A VM whose front ends are a script.
struct Vm {
    files: Files,
    control: Box<dyn Control>,
}

impl Vm {
    /// `answers` is the body of a shell's `case` on the front end's command.
    fn new(answers: &str, change: impl FnOnce(&mut Files, &mut Plan)) -> Self {
        let mut files = Files::new();
        let mut plan = files.plan();
        change(&mut files, &mut plan);
        let program = files.directory().join("crosvm");
        let log = files.directory().join("asked");
        let script = format!(
            "#!/bin/sh\ncase \"$*\" in *--help) echo --gpu; exit;; esac\nshift 3\necho \"$*\" >> {}\ncase \"$*\" in\n{answers}\nesac\n",
            log.display()
        );
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let crosvm = Crosvm::new(program, linux_x86());
        let control = crosvm.prepare(plan).unwrap().control;
        Self { files, control }
    }

    /// What the front ends were asked, without descriptors.
    fn asked(&self) -> Vec<String> {
        let log: PathBuf = self.files.directory().join("asked");
        let text = fs::read_to_string(log).unwrap();
        text.lines()
            .map(|line| {
                let words = line.split(' ').map(|word| {
                    let is_path = word.starts_with("/proc/self/fd/");
                    match word.rsplit_once('/') {
                        Some((_, "crosvm.sock")) => "SOCKET",
                        _ if is_path => "FILE",
                        _ => word,
                    }
                });
                words.collect::<Vec<_>>().join(" ")
            })
            .collect()
    }

    /// The events until the guest counts as running, or will not.
    fn start(&self) -> Result<Vec<Event>, Error> {
        self.control.spawned()?;
        let mut events = Vec::new();
        while let Some(fd) = self.control.event_fd() {
            let minute = Timespec {
                tv_sec: 60,
                tv_nsec: 0,
            };
            let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
            assert_eq!(poll(&mut fds, Some(&minute)).unwrap(), 1, "it hangs");
            events.extend(self.control.events()?);
        }
        Ok(events)
    }
}

fn two_devices(files: &mut Files, plan: &mut Plan) {
    plan.machine.usb = true;
    plan.machine.usb_devices = ["a", "b"]
        .map(|role| UsbDevice {
            vendor: 0x18d1,
            product: 0x4ee7,
            node: files.fd(role),
        })
        .into();
}

#[test]
fn devices_are_plugged_in_before_the_guest_counts_as_running() {
    let vm = Vm::new("usb*) echo ok 1;;", two_devices);
    assert_eq!(vm.start().unwrap(), [Event::Ready]);
    let attach = "usb attach 0:0:0:0 FILE SOCKET";
    assert_eq!(vm.asked(), ["resume SOCKET", attach, attach]);
}

#[test]
fn a_device_that_is_refused_ends_the_vm() {
    let vm = Vm::new("usb*) echo no_available_port;;", two_devices);
    let error = vm.start().unwrap_err().to_string();
    assert_eq!(
        error,
        "the VMM refused usb attach: 18d1:4ee7: no_available_port"
    );
    assert_eq!(vm.asked().len(), 2, "it goes on");
    assert!(vm.control.event_fd().is_none());
}

#[test]
fn a_crosvm_that_has_ended_is_no_refusal() {
    let answers = "usb*) echo 'failed to connect to socket'; exit 1;;";
    let vm = Vm::new(answers, two_devices);
    assert_eq!(vm.start().unwrap(), [Event::Closed]);
}

fn display() -> Display {
    let number = |n| NonZeroU32::new(n).unwrap();
    Display {
        width: number(640),
        height: number(480),
        horizontal_dpi: number(160),
        vertical_dpi: number(161),
        refresh_rate: number(30),
    }
}

#[test]
fn displays_come_and_go() {
    let list = r#"{ "displays": { "2": { "mode": { "windowed": [640, 480] }, "hidden": false, "refresh-rate": 30, "dpi": [160, 161] } } }"#;
    let answers = format!(
        "*add-displays*) echo displays updated;;\n*list-displays*) echo '{list}';;\n*=3*) echo no_such_display 3;;\n*) echo displays updated;;"
    );
    let vm = Vm::new(&answers, |_, plan| {
        plan.machine.gpu = Some(Gpu::default());
    });
    let control = &vm.control;
    control.add_display(&display()).unwrap();
    assert_eq!(control.displays().unwrap(), [(2, display())]);
    control.remove_display(2).unwrap();
    let error = control.remove_display(3).unwrap_err().to_string();
    assert_eq!(
        error,
        "the VMM refused gpu remove-displays: no_such_display 3"
    );
    assert_eq!(
        vm.asked(),
        [
            "gpu add-displays --gpu-display=mode=windowed[640,480],dpi=[160,161],refresh-rate=30 SOCKET",
            "gpu list-displays SOCKET",
            "gpu remove-displays --display-id=2 SOCKET",
            "gpu remove-displays --display-id=3 SOCKET",
        ]
    );
}

#[test]
fn a_vm_without_graphics_has_no_displays() {
    let vm = Vm::new("*) echo;;", |_, _| {});
    let error = vm.control.displays().unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    assert!(error.to_string().contains("getDisplays"), "{error}");
}

#[test]
fn the_balloon_is_known() {
    let answer = r#"balloon_stats*) echo '{"BalloonStats":{"stats":{},"balloon_actual":4096}}';;"#;
    let vm = Vm::new(answer, |_, _| {});
    assert_eq!(vm.control.balloon().unwrap(), 4096);
    let vm = Vm::new(answer, |_, plan| plan.machine.balloon = Balloon::Absent);
    assert!(matches!(vm.control.balloon(), Err(Error::NoBalloon)));
}
