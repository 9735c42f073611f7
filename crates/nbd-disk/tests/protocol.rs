// SPDX-License-Identifier: Apache-2.0
//! Requests made by hand from the protocol's text: right ones against a model of the disk, and
//! wrong ones.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may fail like this, also in what it calls"
)]

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::sync::Once;
use std::time::Duration;

use nbd_disk::{Content, DiskError, NbdDisk, Segment, SegmentError};
use proptest::prelude::*;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

const READ: u16 = 0;
const WRITE: u16 = 1;
const FLUSH: u16 = 3;
const TRIM: u16 = 4;
const WRITE_ZEROES: u16 = 6;

const FUA: u16 = 1;
const NO_HOLE: u16 = 2;

const EPERM: u32 = 1;
const EIO: u32 = 5;
const EINVAL: u32 = 22;
const ENOSPC: u32 = 28;

const EXPORT_NAME: u32 = 1;
const GO: u32 = 7;

fn pattern(seed: u8, length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| u8::try_from(at % 251).unwrap() ^ seed)
        .collect()
}

fn file_of(bytes: &[u8]) -> File {
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file
}

/// A part of the disk in a test: what it holds and whether it may be written.
struct Part {
    bytes: Vec<u8>,
    /// The file behind it, if there is one.
    file: Option<File>,
    writable: bool,
}

impl Part {
    fn memory(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            file: None,
            writable: false,
        }
    }

    fn file(bytes: Vec<u8>, writable: bool) -> Self {
        Self {
            file: Some(file_of(&bytes)),
            bytes,
            writable,
        }
    }
}

/// Read-only, writable and made-up bytes, with borders at odd places.
fn parts() -> Vec<Part> {
    vec![
        Part::memory(pattern(1, 20480)),
        Part::file(pattern(2, 40_003), false),
        Part::memory(vec![0; 957]),
        Part::file(pattern(3, 81_920), true),
        Part::file(pattern(4, 4096), true),
        Part::memory(pattern(5, 20480)),
    ]
}

fn segments(parts: &[Part]) -> Vec<Segment> {
    let mut offset = 0;
    parts
        .iter()
        .map(|part| {
            let length = part.bytes.len() as u64;
            let content = match &part.file {
                Some(file) => Content::File {
                    file: file.try_clone().unwrap(),
                    writable: part.writable,
                },
                None if part.bytes.iter().all(|byte| *byte == 0) => Content::Zero,
                None => Content::Bytes(part.bytes.clone()),
            };
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

/// A panic of the server's thread would otherwise pass for its end.
fn abort_if_a_server_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            usual(info);
            if std::thread::current()
                .name()
                .is_some_and(|name| name.starts_with("nbd-"))
            {
                std::process::abort();
            }
        }));
    });
}

struct Client {
    socket: UnixStream,
    cookie: u64,
}

impl Client {
    /// A served disk and a client that has only been greeted.
    fn greeted(segments: Vec<Segment>) -> (NbdDisk, Self) {
        abort_if_a_server_panics();
        let (disk, socket) = NbdDisk::start("test", segments).unwrap();
        let socket = UnixStream::from(socket);
        // Only so that a server that does not answer fails the test and does not hang it.
        socket
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let mut client = Self { socket, cookie: 0 };
        assert_eq!(client.receive(18), b"NBDMAGICIHAVEOPT\0\x03");
        (disk, client)
    }

    fn connected(segments: Vec<Segment>) -> (NbdDisk, Self) {
        let (disk, mut client) = Self::greeted(segments);
        client.send(&3u32.to_be_bytes());
        client.send(&option(EXPORT_NAME, b"any name"));
        client.receive(10);
        (disk, client)
    }

    fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    fn receive(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.socket.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Whether the server has hung up, and sent nothing before.
    fn is_hung_up(&mut self) -> bool {
        // A reset is what unread data at the server make of the end.
        match self.socket.read(&mut [0]) {
            Ok(count) => count == 0,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }

    /// Sends a request and checks that the reply belongs to it.
    fn request(&mut self, flags: u16, command: u16, offset: u64, length: u32, data: &[u8]) -> u32 {
        self.cookie += 1;
        self.send(&request(flags, command, self.cookie, offset, length));
        self.send(data);
        let reply = self.receive(16);
        assert_eq!(reply[..4], 0x6744_6698u32.to_be_bytes());
        assert_eq!(reply[8..], self.cookie.to_be_bytes());
        u32::from_be_bytes(reply[4..8].try_into().unwrap())
    }

    fn read(&mut self, offset: u64, length: usize) -> Result<Vec<u8>, u32> {
        match self.request(0, READ, offset, u32::try_from(length).unwrap(), &[]) {
            0 => Ok(self.receive(length)),
            error => Err(error),
        }
    }
}

fn request(flags: u16, command: u16, cookie: u64, offset: u64, length: u32) -> Vec<u8> {
    let mut bytes = 0x2560_9513u32.to_be_bytes().to_vec();
    bytes.extend(flags.to_be_bytes());
    bytes.extend(command.to_be_bytes());
    bytes.extend(cookie.to_be_bytes());
    bytes.extend(offset.to_be_bytes());
    bytes.extend(length.to_be_bytes());
    bytes
}

fn option(option: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"IHAVEOPT".to_vec();
    bytes.extend(option.to_be_bytes());
    bytes.extend(u32::try_from(data.len()).unwrap().to_be_bytes());
    bytes.extend(data);
    bytes
}

/// Runs one request against the server and the model; false if they differ.
fn same_as_model(
    client: &mut Client,
    parts: &mut [Part],
    (command, flags, offset, length, fill): (u16, u16, usize, usize, u8),
) -> bool {
    let size: usize = parts.iter().map(|part| part.bytes.len()).sum();
    let end = offset + length;
    let (from, count) = (offset as u64, u32::try_from(length).unwrap());
    if command == READ {
        let all: Vec<u8> = parts.iter().flat_map(|part| part.bytes.clone()).collect();
        let expected = all.get(offset..end).map(<[u8]>::to_vec).ok_or(EINVAL);
        return client.read(from, length) == expected;
    }

    let mut start = 0;
    let mut hit = Vec::new();
    for part in parts {
        let part_end = start + part.bytes.len();
        if length > 0 && offset < part_end && end > start {
            let range = offset.max(start) - start..end.min(part_end) - start;
            hit.push((part, range));
        }
        start = part_end;
    }
    let expected = if end > size {
        if command == TRIM { EINVAL } else { ENOSPC }
    } else if hit.iter().any(|(part, _)| !part.writable) {
        EPERM
    } else {
        for (part, range) in hit {
            part.bytes[range].fill(if command == WRITE { fill } else { 0 });
        }
        0
    };
    let data = if command == WRITE {
        vec![fill; length]
    } else {
        Vec::new()
    };
    client.request(flags, command, from, count, &data) == expected
}

fn any_request() -> impl Strategy<Value = (u16, u16, usize, usize, u8)> {
    let command = prop::sample::select(vec![READ, READ, WRITE, WRITE, WRITE_ZEROES]);
    let length = prop_oneof![0..5000usize, 30_000..70_000usize, Just(512usize)];
    let offset = prop_oneof![0..172_000usize, 61_000..150_000usize];
    (command, 0..2u16, offset, length, any::<u8>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_request_acts_as_on_a_model(requests in prop::collection::vec(any_request(), 1..40)) {
        let mut parts = parts();
        let (disk, mut client) = Client::connected(segments(&parts));
        for mut request in requests {
            // FUA means nothing to a read, and NO_HOLE something to zeroes.
            if request.0 == WRITE_ZEROES && request.1 == FUA {
                request.1 = FUA | NO_HOLE;
            }
            prop_assert!(same_as_model(&mut client, &mut parts, request), "{:?}", request);
        }
        drop(disk);
        for part in parts {
            if let Some(file) = part.file {
                let mut bytes = vec![0; part.bytes.len() + 1];
                let count = file.read_at(&mut bytes, 0).unwrap();
                prop_assert!(bytes[..count] == part.bytes);
            }
        }
    }

    /// Whatever bytes come, the thread ends or waits for more, and the files stay as they are.
    #[test]
    fn noise_harms_nothing(
        noise in prop::collection::vec(any::<u8>(), 0..300),
        after_handshake in any::<bool>(),
    ) {
        let parts = parts();
        let (disk, mut client) = if after_handshake {
            Client::connected(segments(&parts))
        } else {
            Client::greeted(segments(&parts))
        };
        // The server may be gone before it has taken everything.
        let _ = client.socket.write_all(&noise);
        drop(disk);
        for part in parts.iter().filter(|part| !part.writable) {
            if let Some(file) = &part.file {
                let mut bytes = vec![0; part.bytes.len()];
                file.read_exact_at(&mut bytes, 0).unwrap();
                prop_assert!(bytes == part.bytes);
            }
        }
    }
}

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
        drop(disk);
        client.socket.read_to_end(&mut Vec::new()).unwrap();
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
