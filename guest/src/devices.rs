// SPDX-License-Identifier: Apache-2.0
//! The log device, `/dev/hvc2`, with `/dev/console` in its place where a VM has none.

use crate::failure::{Failure, Kind};
use crate::uevents::Uevents;
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// The console: the kernel points it at the serial line.
pub(crate) const CONSOLE: &str = "/dev/console";
/// The serial line for the reason of a failure.
pub(crate) const FAILURE: &str = "/dev/ttyS1";
/// The log.
const LOG: &str = "/dev/hvc2";
/// Where console input arrives.
const INPUT: &str = "/dev/hvc0";

/// How long the ports of a multiport console may take, at most.
const PORTS: Duration = Duration::from_secs(2);

/// The device number of a console in the virtio specification.
const VIRTIO_CONSOLE: &str = "0x0003";
/// The feature bit `VIRTIO_CONSOLE_F_MULTIPORT`, as an index into sysfs's string of bits.
const MULTIPORT: usize = 1;

/// Opens a terminal device for writing, never as the controlling terminal.
pub(crate) fn writer(path: &str) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .custom_flags(NOCTTY)
        .open(path)
}

/// Opens the console input, or nothing readable where there is none.
pub(crate) fn input() -> io::Result<File> {
    let open = |path| {
        OpenOptions::new()
            .read(true)
            .custom_flags(NOCTTY)
            .open(path)
    };
    open(INPUT).or_else(|_| open("/dev/null"))
}

const NOCTTY: i32 = rustix::fs::OFlags::NOCTTY.bits().cast_signed();

/// Opens the log device.
///
/// The nodes of all hvc devices appear at once, and opening one fails until its port has come. The
/// ports of a multiport device come after the driver's start, and no event tells of the moment
/// when one can be opened: ask again at growing intervals.
pub(crate) fn log(uevents: &Uevents) -> Result<File, Failure> {
    let end = Instant::now() + PORTS;
    let mut pause = Duration::from_micros(250);
    loop {
        match writer(LOG) {
            Ok(file) => return Ok(file),
            Err(e) if !absent(&e) => {
                return Err(Failure::io(Kind::Runtime, format!("open {LOG}"), &e));
            }
            Err(_) if Instant::now() < end && ports_to_come() => uevents.next(pause)?,
            Err(_) => break,
        }
        pause *= 2;
    }
    writer(CONSOLE).map_err(|e| Failure::io(Kind::Runtime, format!("open {CONSOLE}"), &e))
}

fn absent(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::NOENT | Errno::NODEV | Errno::NXIO | Errno::IO)
    )
}

/// Whether a virtio console announces its ports one by one.
fn ports_to_come() -> bool {
    let Ok(devices) = std::fs::read_dir("/sys/bus/virtio/devices") else {
        return false;
    };
    devices
        .flatten()
        .any(|device| is_multiport_console(&device.path()))
}

fn is_multiport_console(device: &Path) -> bool {
    let read = |name| std::fs::read_to_string(device.join(name)).unwrap_or_default();
    read("device").trim() == VIRTIO_CONSOLE
        && read("features").as_bytes().get(MULTIPORT) == Some(&b'1')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_multiport_console_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let device = |number: &str, features: &str| {
            std::fs::write(dir.path().join("device"), number).unwrap();
            std::fs::write(dir.path().join("features"), features).unwrap();
            is_multiport_console(dir.path())
        };
        assert!(device("0x0003\n", "1110000000000000\n"));
        assert!(!device("0x0003\n", "1010000000000000\n"));
        assert!(!device("0x0002\n", "1110000000000000\n"));
        assert!(!device("0x0003\n", ""));
    }
}
