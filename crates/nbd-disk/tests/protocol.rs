// SPDX-License-Identifier: Apache-2.0
//! Requests made by hand, right and wrong ones.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may fail like this, also in what it calls"
)]

mod client;

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use client::*;
use nbd_disk::{Content, DiskError, NbdDisk, Segment, SegmentError};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

/// How long a thread may take to end on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

#[test]
fn a_read_larger_than_any_buffer() {
    let parts = vec![
        Part::file(pattern(1, (5 << 20) + 77), false),
        Part::memory(vec![0; 200_000]),
        Part::file(pattern(2, 3 << 20), true),
    ];
    let all: Vec<u8> = parts.iter().flat_map(|part| part.bytes.clone()).collect();
    let (_disk, mut client) = Client::connected(segments(&parts));
    assert!(client.read(0, all.len()).unwrap() == all);
    assert!(client.read(33, all.len() - 99).unwrap() == all[33..all.len() - 66]);
    let tail = vec![7; (3 << 20) - 1];
    let from = (all.len() - tail.len()) as u64;
    let length = u32::try_from(tail.len()).unwrap();
    assert_eq!(client.request(FUA, WRITE, from, length, &tail), 0);
    assert!(client.read(from, tail.len()).unwrap() == tail);
}

#[test]
fn ranges_outside_the_disk() {
    let (_disk, mut client) = Client::connected(segments(&parts()));
    let size = 167_936;
    for (offset, length) in [
        (size, 1),
        (size - 1, 2),
        (0, 168_000),
        (u64::MAX, 1),
        (u64::MAX, u32::MAX),
    ] {
        assert_eq!(
            client.request(0, READ, offset, length, &[]),
            EINVAL,
            "{offset} {length}"
        );
        assert_eq!(
            client.request(0, TRIM, offset, length, &[]),
            EINVAL,
            "{offset} {length}"
        );
        assert_eq!(
            client.request(0, WRITE_ZEROES, offset, length, &[]),
            ENOSPC,
            "{offset} {length}"
        );
    }
    assert_eq!(client.request(0, WRITE, u64::MAX, 5, b"hello"), ENOSPC);
    assert_eq!(client.request(0, READ, 0, u32::MAX, &[]), EINVAL);
    assert_eq!(client.request(0, FLUSH, 0, 0, &[]), 0);
    assert_eq!(client.read(0, 3).unwrap(), [1, 0, 3]);
}

#[test]
fn unknown_commands_and_flags() {
    let (_disk, mut client) = Client::connected(segments(&parts()));
    for command in [5, 7, 8, 0xffff] {
        assert_eq!(client.request(0, command, 0, 0, &[]), EINVAL, "{command}");
    }
    for command in [READ, FLUSH, TRIM, WRITE_ZEROES] {
        assert_eq!(
            client.request(0x8000, command, 65_536, 0, &[]),
            EINVAL,
            "{command}"
        );
    }
    assert_eq!(client.request(0x8000, WRITE, 65_536, 2, b"ab"), EINVAL);
    assert_eq!(client.read(65_536, 1).unwrap(), [pattern(3, 4097)[4096]]);
}

#[test]
fn nonsense_ends_the_connection() {
    let mut wrong_magic = request(0, READ, 0, 0, 1);
    wrong_magic[0] = 0;
    let overlong_write = request(0, WRITE, 0, 0, (32 << 20) + 1);
    for bytes in [wrong_magic, overlong_write] {
        let (_disk, mut client) = Client::connected(segments(&parts()));
        client.send(&bytes);
        assert!(client.is_hung_up());
    }

    let unknown_flags = 4u32.to_be_bytes().to_vec();
    let mut overlong_option = 3u32.to_be_bytes().to_vec();
    overlong_option.extend(b"IHAVEOPT\0\0\0\x07\xff\xff\xff\xff");
    let mut wrong_option = 3u32.to_be_bytes().to_vec();
    wrong_option.extend(b"IHAVEDOPT\0\0\0\0\0\0\0");
    for bytes in [unknown_flags, overlong_option, wrong_option] {
        let (_disk, mut client) = Client::greeted(segments(&parts()));
        client.send(&bytes);
        assert!(client.is_hung_up());
    }
}

#[test]
fn options_of_the_handshake() {
    let (_disk, mut client) = Client::greeted(segments(&parts()));
    client.send(&3u32.to_be_bytes());
    // LIST is refused, STARTTLS unknown, GO without its list and with a name beyond its end invalid.
    let cases: [(u32, &[u8], u32); 4] = [
        (3, b"", 0x8000_0002),
        (5, b"", 0x8000_0001),
        (GO, b"\0\0\0\x01a", 0x8000_0003),
        (GO, b"\xff\xff\xff\xffab\0\0", 0x8000_0003),
    ];
    for (number, data, expected) in cases {
        client.send(&option(number, data));
        let reply = client.receive(20);
        assert_eq!(reply[..8], 0x0003_e889_0455_65a9u64.to_be_bytes());
        assert_eq!(reply[8..12], number.to_be_bytes());
        assert_eq!(reply[12..16], expected.to_be_bytes());
        let length = u32::from_be_bytes(reply[16..].try_into().unwrap());
        client.receive(usize::try_from(length).unwrap());
    }
    client.send(&option(GO, b"\0\0\0\x04disk\0\x01\0\x03"));
    let export = client.receive(20 + 12);
    assert_eq!(export[20..30], [0, 0, 0, 0, 0, 0, 0, 2, 0x90, 0]);
    let block_size = client.receive(20 + 14);
    assert_eq!(
        block_size[20..],
        [0, 3, 0, 0, 0, 1, 0, 0, 0x10, 0, 2, 0, 0, 0]
    );
    assert_eq!(client.receive(20)[12..], [0, 0, 0, 1, 0, 0, 0, 0]);
    assert_eq!(client.read(0, 2).unwrap(), [1, 0]);

    let (_disk, mut client) = Client::greeted(segments(&parts()));
    client.send(&3u32.to_be_bytes());
    client.send(&option(2, b""));
    assert_eq!(client.receive(20)[12..], [0, 0, 0, 1, 0, 0, 0, 0]);
    assert!(client.is_hung_up());
}

/// A file that became shorter gives an I/O error, and the disk lives on.
#[test]
fn a_file_that_ends_too_early() {
    let parts = vec![
        Part::file(pattern(1, 1 << 20), false),
        Part::file(pattern(2, 4096), true),
    ];
    let (_disk, mut client) = Client::connected(segments(&parts));
    parts[0].file.as_ref().unwrap().set_len(4096).unwrap();
    assert_eq!(client.read(8192, 512), Err(EIO));
    assert_eq!(client.read(8192, 512 << 10), Err(EIO));
    assert_eq!(client.read(0, 4096).unwrap(), pattern(1, 4096));
    assert_eq!(client.read(1 << 20, 4096).unwrap(), pattern(2, 4096));
}

/// A file that takes no data gives an I/O error, and the next request is understood.
#[test]
fn a_file_that_cannot_be_written() {
    let bytes = pattern(1, 1 << 20);
    let file = File::from(memfd_create("sealed", MemfdFlags::ALLOW_SEALING).unwrap());
    file.write_all_at(&bytes, 0).unwrap();
    fcntl_add_seals(&file, SealFlags::WRITE).unwrap();
    let parts = vec![Part {
        bytes: bytes.clone(),
        file: Some(file),
        writable: true,
        start: None,
    }];
    let (_disk, mut client) = Client::connected(segments(&parts));
    for length in [512, 300_000, 1 << 20] {
        let count = u32::try_from(length).unwrap();
        assert_eq!(
            client.request(0, WRITE, 0, count, &vec![7; length]),
            EIO,
            "{length}"
        );
        assert_eq!(
            client.request(0, WRITE_ZEROES, 0, count, &[]),
            EIO,
            "{length}"
        );
        assert!(client.read(0, length).unwrap() == bytes[..length]);
    }
}

/// How the client cuts its messages does not matter.
#[test]
fn data_in_small_bits() {
    let parts = vec![
        Part::file(vec![0; 400_000], false),
        Part::file(vec![0; 400_000], true),
    ];
    let (_disk, mut client) = Client::connected(segments(&parts));
    let data = pattern(9, 200_003);
    for (offset, expected) in [(0, EPERM), (400_001, 0)] {
        let message = [request(0, WRITE, 1, offset, 200_003), data.clone()].concat();
        for bit in message.chunks(37) {
            client.send(bit);
        }
        assert_eq!(client.receive(16)[4..8], expected.to_be_bytes());
    }
    assert!(client.read(400_001, data.len()).unwrap() == data);
    assert!(client.read(0, data.len()).unwrap() == vec![0; data.len()]);
}

/// Dropping the disk ends its thread, whatever the client is in the middle of.
#[test]
fn drop_waits_for_no_client() {
    let parts = vec![Part::file(pattern(1, 8 << 20), true)];
    // Idle, within a request, within a write's data, and not taking a read's data.
    let starts = [
        Vec::new(),
        request(0, READ, 0, 0, 1)[..9].to_vec(),
        [request(0, WRITE, 0, 0, 4096), vec![0; 100]].concat(),
        request(0, READ, 0, 0, 8 << 20),
    ];
    for bytes in starts {
        let (disk, mut client) = Client::connected(segments(&parts));
        client.send(&bytes);
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            drop(disk);
            let _ = tell.send(());
        });
        told.recv_timeout(DEADLINE)
            .expect("the disk waits for its client");
        client.socket.set_read_timeout(Some(DEADLINE)).unwrap();
        client
            .socket
            .read_to_end(&mut Vec::new())
            .expect("the client's end is not closed");
    }
}

#[test]
fn segments_that_make_no_disk() {
    let zero = |offset, length| Segment {
        offset,
        length,
        content: Content::Zero,
    };
    let short = Segment {
        offset: 0,
        length: 2,
        content: Content::Bytes(vec![0]),
    };
    let cases = [
        (vec![], SegmentError::None),
        (
            vec![zero(0, 1), zero(2, 1)],
            SegmentError::Gap {
                index: 1,
                offset: 2,
                end: 1,
            },
        ),
        (
            vec![zero(0, 0)],
            SegmentError::Length {
                index: 0,
                length: 0,
            },
        ),
        (
            vec![short],
            SegmentError::Length {
                index: 0,
                length: 2,
            },
        ),
        (
            vec![zero(0, 1), zero(1, u64::MAX)],
            SegmentError::TooLarge { index: 1 },
        ),
    ];
    for (segments, expected) in cases {
        match NbdDisk::start("test", segments) {
            Err(DiskError::Segments { source, .. }) => assert_eq!(source, expected),
            other => panic!("{other:?}"),
        }
    }
}
