// SPDX-License-Identifier: Apache-2.0
//! Arbitrary requests have the effect that they have on a model of the disk.

#![allow(
    clippy::unwrap_used,
    reason = "a test may fail like this, also in what it calls"
)]

mod client;

use std::io::Write;
use std::os::unix::fs::FileExt;

use client::{
    Client, EINVAL, ENOSPC, EPERM, FUA, NO_HOLE, Part, READ, TRIM, WRITE, WRITE_ZEROES, all_parts,
    segments,
};
use proptest::prelude::*;

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
        let mut parts = all_parts();
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
                // A file ends with its part, but for one that is shared.
                let mut bytes = vec![0; part.bytes.len() + usize::from(part.start.is_none())];
                let count = file.read_at(&mut bytes, part.start.unwrap_or(0)).unwrap();
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
        let parts = all_parts();
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
                file.read_exact_at(&mut bytes, part.start.unwrap_or(0)).unwrap();
                prop_assert!(bytes == part.bytes);
            }
        }
    }
}
