// SPDX-License-Identifier: Apache-2.0
//! A client that speaks the protocol from its text, and the parts of the disks that it is given.

#![allow(dead_code, reason = "each test program uses some of it")]

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::sync::Once;
use std::time::Duration;

use nbd_disk::{Content, NbdDisk, Segment};

pub(crate) const READ: u16 = 0;
pub(crate) const WRITE: u16 = 1;
pub(crate) const FLUSH: u16 = 3;
pub(crate) const TRIM: u16 = 4;
pub(crate) const WRITE_ZEROES: u16 = 6;

pub(crate) const FUA: u16 = 1;
pub(crate) const NO_HOLE: u16 = 2;

pub(crate) const EPERM: u32 = 1;
pub(crate) const EIO: u32 = 5;
pub(crate) const EINVAL: u32 = 22;
pub(crate) const ENOSPC: u32 = 28;

pub(crate) const EXPORT_NAME: u32 = 1;
pub(crate) const GO: u32 = 7;

pub(crate) fn pattern(seed: u8, length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| u8::try_from(at % 251).unwrap() ^ seed)
        .collect()
}

pub(crate) fn file_of(bytes: &[u8]) -> File {
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file
}

/// A part of the disk in a test: what it holds and whether it may be written.
pub(crate) struct Part {
    pub(crate) bytes: Vec<u8>,
    /// The file of the disk, if there is one.
    pub(crate) file: Option<File>,
    pub(crate) writable: bool,
    /// Where it begins in that file, if the file has more than it.
    pub(crate) start: Option<u64>,
}

impl Part {
    pub(crate) fn memory(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            file: None,
            writable: false,
            start: None,
        }
    }

    pub(crate) fn file(bytes: Vec<u8>, writable: bool) -> Self {
        Self {
            file: Some(file_of(&bytes)),
            bytes,
            writable,
            start: None,
        }
    }

    /// A part of a file, from its byte `start` on.
    pub(crate) fn within(bytes: Vec<u8>, start: u16) -> Self {
        let mut whole = vec![0xee; usize::from(start)];
        whole.extend(&bytes);
        whole.push(0xee);
        Self {
            file: Some(file_of(&whole)),
            bytes,
            writable: false,
            start: Some(start.into()),
        }
    }

    /// The word that it is made of, if it is made of one.
    fn word(&self) -> Option<[u8; 4]> {
        let word: [u8; 4] = self.bytes.get(..4)?.try_into().unwrap();
        let is_it = self.bytes.chunks(4).all(|chunk| word.starts_with(chunk));
        is_it.then_some(word)
    }
}

/// Read-only, writable and made-up bytes, with borders at odd places.
pub(crate) fn parts() -> Vec<Part> {
    vec![
        Part::memory(pattern(1, 20480)),
        Part::file(pattern(2, 40_003), false),
        Part::memory(vec![0; 957]),
        Part::file(pattern(3, 81_920), true),
        Part::file(pattern(4, 4096), true),
        Part::memory(pattern(5, 20480)),
    ]
}

/// The same, and what an unfolded image is made of.
pub(crate) fn all_parts() -> Vec<Part> {
    let mut parts = parts();
    parts.insert(3, Part::within(pattern(6, 90_001), 777));
    let word = [1, 2, 3, 4].into_iter().cycle();
    parts.insert(4, Part::memory(word.take(70_003).collect()));
    parts
}

pub(crate) fn segments(parts: &[Part]) -> Vec<Segment> {
    let mut offset = 0;
    parts
        .iter()
        .map(|part| {
            let length = part.bytes.len() as u64;
            let content = match &part.file {
                Some(file) => {
                    let file = file.try_clone().unwrap();
                    let writable = part.writable;
                    match part.start {
                        Some(start) => Content::Part {
                            file: file.into(),
                            start,
                        },
                        None => Content::File { file, writable },
                    }
                }
                None if part.bytes.iter().all(|byte| *byte == 0) => Content::Zero,
                None => match part.word() {
                    Some(word) => Content::Fill(word),
                    None => Content::Bytes(part.bytes.clone()),
                },
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
pub(crate) fn abort_if_a_server_panics() {
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

pub(crate) struct Client {
    pub(crate) socket: UnixStream,
    pub(crate) cookie: u64,
}

impl Client {
    /// A served disk and a client that has only been greeted.
    pub(crate) fn greeted(segments: Vec<Segment>) -> (NbdDisk, Self) {
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

    pub(crate) fn connected(segments: Vec<Segment>) -> (NbdDisk, Self) {
        let (disk, mut client) = Self::greeted(segments);
        client.send(&3u32.to_be_bytes());
        client.send(&option(EXPORT_NAME, b"any name"));
        client.receive(10);
        (disk, client)
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    pub(crate) fn receive(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.socket.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Whether the server has hung up, and sent nothing before.
    pub(crate) fn is_hung_up(&mut self) -> bool {
        // A reset is what unread data at the server make of the end.
        match self.socket.read(&mut [0]) {
            Ok(count) => count == 0,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }

    /// Sends a request and checks that the reply belongs to it.
    pub(crate) fn request(
        &mut self,
        flags: u16,
        command: u16,
        offset: u64,
        length: u32,
        data: &[u8],
    ) -> u32 {
        self.cookie += 1;
        self.send(&request(flags, command, self.cookie, offset, length));
        self.send(data);
        let reply = self.receive(16);
        assert_eq!(reply[..4], 0x6744_6698u32.to_be_bytes());
        assert_eq!(reply[8..], self.cookie.to_be_bytes());
        u32::from_be_bytes(reply[4..8].try_into().unwrap())
    }

    pub(crate) fn read(&mut self, offset: u64, length: usize) -> Result<Vec<u8>, u32> {
        match self.request(0, READ, offset, u32::try_from(length).unwrap(), &[]) {
            0 => Ok(self.receive(length)),
            error => Err(error),
        }
    }
}

pub(crate) fn request(flags: u16, command: u16, cookie: u64, offset: u64, length: u32) -> Vec<u8> {
    let mut bytes = 0x2560_9513u32.to_be_bytes().to_vec();
    bytes.extend(flags.to_be_bytes());
    bytes.extend(command.to_be_bytes());
    bytes.extend(cookie.to_be_bytes());
    bytes.extend(offset.to_be_bytes());
    bytes.extend(length.to_be_bytes());
    bytes
}

pub(crate) fn option(option: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"IHAVEOPT".to_vec();
    bytes.extend(option.to_be_bytes());
    bytes.extend(u32::try_from(data.len()).unwrap().to_be_bytes());
    bytes.extend(data);
    bytes
}
