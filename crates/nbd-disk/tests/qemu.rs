// SPDX-License-Identifier: Apache-2.0
//! QEMU's NBD client reads and writes a disk of several files.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may fail like this, also in what it calls"
)]

use std::fs::{self, File, OpenOptions};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::thread;

use nbd_disk::{Content, NbdDisk, Segment};

const HEADER: usize = 20480;
/// No multiple of a sector, and larger than what a small read takes.
const READ_ONLY: usize = 100_001;
const ZEROS: usize = 102_400 - READ_ONLY;
const WRITABLE: usize = 3 << 20;

const READ_ONLY_AT: usize = HEADER;
const WRITABLE_AT: usize = READ_ONLY_AT + READ_ONLY + ZEROS;
const FOOTER_AT: usize = WRITABLE_AT + WRITABLE;

fn pattern(seed: usize, length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| u8::try_from((at / 5 + seed) % 251).unwrap())
        .collect()
}

/// Files in a directory that lives as long as this.
struct Disk {
    directory: tempfile::TempDir,
}

impl Disk {
    fn new() -> Self {
        let disk = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        fs::write(disk.path("read-only"), pattern(1, READ_ONLY)).unwrap();
        fs::write(disk.path("writable"), pattern(2, WRITABLE)).unwrap();
        disk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn open(&self, name: &str) -> File {
        // The server must protect the read-only file although the descriptor would let it write.
        OpenOptions::new()
            .read(true)
            .write(true)
            .open(self.path(name))
            .unwrap()
    }

    fn segments(&self, writable: bool) -> Vec<Segment> {
        let contents = [
            (HEADER, Content::Bytes(pattern(3, HEADER))),
            (
                READ_ONLY,
                Content::File {
                    file: self.open("read-only"),
                    writable: false,
                },
            ),
            (ZEROS, Content::Zero),
            (
                WRITABLE,
                Content::File {
                    file: self.open("writable"),
                    writable,
                },
            ),
            (HEADER, Content::Bytes(pattern(4, HEADER))),
        ];
        let mut offset = 0;
        contents
            .into_iter()
            .map(|(length, content)| {
                let length = u64::try_from(length).unwrap();
                let segment = Segment {
                    offset,
                    length,
                    content,
                };
                offset += length;
                segment
            })
            .collect()
    }

    /// The whole disk as it must be read.
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = pattern(3, HEADER);
        bytes.extend(fs::read(self.path("read-only")).unwrap());
        bytes.extend([0; ZEROS]);
        bytes.extend(fs::read(self.path("writable")).unwrap());
        bytes.extend(pattern(4, HEADER));
        bytes
    }

    /// Runs a client on one connection. `None` if there is no such program.
    fn client(
        &self,
        writable: bool,
        program: &str,
        arguments: &[&str],
    ) -> Option<(Output, String)> {
        if Command::new(program).arg("--version").output().is_err() {
            skip::skip!("no {program} here");
            return None;
        }
        let socket = self.path("socket");
        let listener = UnixListener::bind(&socket).unwrap();
        let url = format!("nbd+unix:///disk?socket={}", socket.display());
        let segments = self.segments(writable);
        let server = thread::spawn(move || {
            NbdDisk::serve("test", segments, listener.accept().unwrap().0).unwrap()
        });
        let arguments = arguments
            .iter()
            .map(|argument| argument.replace("URL", &url));
        let output = Command::new(program).args(arguments).output().unwrap();
        drop(server.join().unwrap());
        fs::remove_file(socket).unwrap();
        let text =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        let text = text.into_owned();
        Some((output, text))
    }

    /// Runs commands of `qemu-io`; the status is that of the last one.
    fn qemu_io(&self, commands: &[String]) -> Option<(bool, String)> {
        let mut arguments = vec!["-f", "raw"];
        for command in commands {
            arguments.extend(["-c", command]);
        }
        arguments.push("URL");
        let (output, text) = self.client(true, "qemu-io", &arguments)?;
        Some((output.status.success(), text))
    }
}

#[test]
fn qemu_img_reads_every_byte() {
    let disk = Disk::new();
    let copy = disk.path("copy");
    let arguments = [
        "convert",
        "-f",
        "raw",
        "-O",
        "raw",
        "URL",
        copy.to_str().unwrap(),
    ];
    let Some((output, text)) = disk.client(false, "qemu-img", &arguments) else {
        return;
    };
    assert!(output.status.success(), "{text}");
    assert!(fs::read(copy).unwrap() == disk.bytes());
}

#[test]
fn writes_reach_only_the_writable_file() {
    let disk = Disk::new();
    let before = fs::read(disk.path("writable")).unwrap();
    let commands = [
        format!("write -P 0xab {} 1M", WRITABLE_AT + 512),
        format!("write -f -P 0xcd {} 512", WRITABLE_AT),
        "flush".to_owned(),
        format!("read -P 0xcd {} 512", WRITABLE_AT),
        format!("read -P 0xab {} 1M", WRITABLE_AT + 512),
    ];
    let Some((success, text)) = disk.qemu_io(&commands) else {
        return;
    };
    assert!(success && !text.contains("failed"), "{text}");
    let after = fs::read(disk.path("writable")).unwrap();
    assert!(after[..512] == [0xcd; 512]);
    assert!(after[512..512 + (1 << 20)].iter().all(|byte| *byte == 0xab));
    assert!(after[512 + (1 << 20)..] == before[512 + (1 << 20)..]);
    assert!(fs::read(disk.path("read-only")).unwrap() == pattern(1, READ_ONLY));
}

#[test]
fn writes_elsewhere_fail_and_change_nothing() {
    let places = [
        (0, 4096),
        (READ_ONLY_AT, 4096),
        (READ_ONLY_AT + READ_ONLY - 4096, 4096),
        (FOOTER_AT, 512),
        // Partly in the writable file.
        (WRITABLE_AT - 512, 1024),
        (FOOTER_AT - 65536, 66048),
    ];
    for command in ["write -P 0xee", "write -z", "write -zu", "discard"] {
        for (offset, length) in places {
            let disk = Disk::new();
            let before = disk.bytes();
            let command = format!("{command} {offset} {length}");
            let Some((_, text)) = disk.qemu_io(std::slice::from_ref(&command)) else {
                return;
            };
            assert!(
                text.contains("failed: Operation not permitted"),
                "{command}: {text}"
            );
            assert!(disk.bytes() == before, "{command}");
        }
    }
}

#[test]
fn zeroes_and_discards() {
    for command in ["write -z", "write -zu", "discard"] {
        let disk = Disk::new();
        let mut expected = disk.bytes();
        let commands = [
            format!("{command} {} 192k", WRITABLE_AT + 65536),
            format!("read -P 0 {} 192k", WRITABLE_AT + 65536),
        ];
        let Some((success, text)) = disk.qemu_io(&commands) else {
            return;
        };
        assert!(success && !text.contains("failed"), "{command}: {text}");
        expected[WRITABLE_AT + 65536..WRITABLE_AT + (256 << 10)].fill(0);
        assert!(disk.bytes() == expected, "{command}");
    }
}

/// Zeroes that start and end within blocks, where file systems punch no holes.
#[test]
fn unaligned_zeroes() {
    for command in ["write -z", "write -zu"] {
        let disk = Disk::new();
        let mut expected = disk.bytes();
        let command = format!("{command} {} 10000", WRITABLE_AT + 513);
        let Some((success, text)) = disk.qemu_io(std::slice::from_ref(&command)) else {
            return;
        };
        assert!(success && !text.contains("failed"), "{command}: {text}");
        expected[WRITABLE_AT + 513..WRITABLE_AT + 10513].fill(0);
        assert!(disk.bytes() == expected, "{command}");
    }
}

#[test]
fn a_disk_without_writable_files_cannot_be_opened_for_writing() {
    let disk = Disk::new();
    let read = ["-f", "raw", "-r", "-c", "read 0 512", "URL"];
    let Some((output, text)) = disk.client(false, "qemu-io", &read) else {
        return;
    };
    assert!(
        output.status.success() && !text.contains("failed"),
        "{text}"
    );
    let write = ["-f", "raw", "-c", "write 0 512", "URL"];
    let (output, text) = disk.client(false, "qemu-io", &write).unwrap();
    assert!(
        !output.status.success() && text.contains("Permission denied"),
        "{text}"
    );
}

#[test]
fn the_export_is_not_listed() {
    let disk = Disk::new();
    let socket = disk.path("socket");
    let arguments = ["--list", "-k", socket.to_str().unwrap()];
    let Some((output, text)) = disk.client(false, "qemu-nbd", &arguments) else {
        return;
    };
    assert!(!output.status.success(), "{text}");
}
