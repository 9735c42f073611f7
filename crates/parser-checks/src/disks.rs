// SPDX-License-Identifier: Apache-2.0
//! Disks: sparse images, layouts of partitions, the server of disks.

/// Android sparse images.
pub(crate) mod sparse {
    use crate::file;
    use composite_disk::{ExtentContent, Image, unfold};

    pub(crate) fn check(data: &[u8]) {
        let file = file(data);
        let image = Image::detect(&file);
        let Ok(extents) = unfold(&file) else { return };
        let Ok(Image::AndroidSparse { size }) = image else {
            panic!("unfolded, but {image:?}");
        };
        let mut total = 0u64;
        for extent in extents {
            assert!(extent.length > 0);
            total = total.checked_add(extent.length).unwrap();
            if let ExtentContent::File { start } = extent.content {
                assert!(start + extent.length <= data.len() as u64, "{extent:?}");
            }
        }
        assert_eq!(total, size);
    }

    pub(crate) fn seeds() -> Vec<Vec<u8>> {
        const BLOCK: u32 = 16;
        let chunk = |kind: u16, blocks: u32, data: &[u8]| {
            let mut bytes = kind.to_le_bytes().to_vec();
            bytes.extend([0; 2]);
            bytes.extend(blocks.to_le_bytes());
            bytes.extend(u32::try_from(12 + data.len()).unwrap().to_le_bytes());
            bytes.extend(data);
            bytes
        };
        let image = |blocks: u32, chunks: &[Vec<u8>]| {
            let mut bytes = 0xed26_ff3au32.to_le_bytes().to_vec();
            for half in [1u16, 0, 28, 12] {
                bytes.extend(half.to_le_bytes());
            }
            let count = u32::try_from(chunks.len()).unwrap();
            for word in [BLOCK, blocks, count, 0] {
                bytes.extend(word.to_le_bytes());
            }
            bytes.extend(chunks.concat());
            bytes
        };
        vec![
            image(
                7,
                &[
                    chunk(0xcac1, 2, &[7; 32]),
                    chunk(0xcac2, 3, b"abcd"),
                    chunk(0xcac3, 2, b""),
                    chunk(0xcac4, 0, &[0; 4]),
                ],
            ),
            image(0, &[]),
            image(4, &[chunk(0xcac2, 2, &[0; 4]), chunk(0xcac1, 2, &[1; 32])]),
        ]
    }
}

/// Layouts of any partitions, read back by a reader of the partition table's format.
pub(crate) mod layout {
    use composite_disk::{
        FOOTER_LEN, HEADER_LEN, Layout, PARTITION_ALIGNMENT, Partition, Source, composite, vmdk,
    };
    use uuid::Uuid;

    /// A partition in the input: 8 bytes of size, a byte of flags, a byte of the label's length,
    /// the label.
    fn partitions(mut data: &[u8]) -> Vec<Partition> {
        let mut found = Vec::new();
        while let Some((head, rest)) = data.split_first_chunk::<10>() {
            let [size @ .., flags, length] = *head;
            let length = usize::from(length).min(rest.len());
            let (label, rest) = rest.split_at(length);
            data = rest;
            found.push(Partition {
                label: String::from_utf8_lossy(label).into_owned(),
                size: u64::from_le_bytes(size),
                writable: flags & 1 != 0,
                guid: (flags & 2 != 0).then(|| Uuid::from_u128(u128::from_le_bytes([flags; 16]))),
            });
        }
        found
    }

    fn u32_at(bytes: &[u8], at: usize) -> u32 {
        u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
    }

    fn u64_at(bytes: &[u8], at: usize) -> u64 {
        u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
    }

    /// CRC-32 of the specification, bit by bit.
    fn crc32(bytes: &[u8]) -> u32 {
        let step = |crc: u32, byte: &u8| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
                (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
            })
        };
        !bytes.iter().fold(!0, step)
    }

    /// Checks one copy of the table: its header and its entries. Returns the entries.
    fn table<'a>(header: &[u8], entries: &'a [u8], own: u64, other: u64) -> &'a [u8] {
        assert_eq!(&header[..8], b"EFI PART");
        assert_eq!(u32_at(header, 8), 0x10000);
        assert_eq!(u32_at(header, 12), 92);
        let mut without = header[..92].to_vec();
        without[16..20].fill(0);
        assert_eq!(u32_at(header, 16), crc32(&without));
        assert_eq!((u64_at(header, 24), u64_at(header, 32)), (own, other));
        assert_eq!(u32_at(header, 80), 128);
        assert_eq!(u32_at(header, 84), 128);
        let entries = &entries[..128 * 128];
        assert_eq!(u32_at(header, 88), crc32(entries));
        entries
    }

    pub(crate) fn check(data: &[u8]) {
        let partitions = partitions(data);
        let Ok(layout) = Layout::new(&partitions) else {
            return;
        };
        let mut end = 0;
        let (mut header, mut footer) = (None, None);
        for component in &layout.components {
            assert_eq!(component.offset, end);
            assert!(component.length > 0);
            end += component.length;
            match &component.source {
                Source::Header(bytes) => header = Some(bytes),
                Source::Footer(bytes) => footer = Some(bytes),
                Source::Zero => assert!(component.length < PARTITION_ALIGNMENT),
                Source::Partition(index) => {
                    let partition = &partitions[*index];
                    assert_eq!(component.length, partition.size);
                    assert_eq!(component.writable, partition.writable);
                }
            }
        }
        assert_eq!(end, layout.size);
        let (header, footer) = (header.unwrap(), footer.unwrap());
        assert_eq!(header.len() as u64, HEADER_LEN);
        assert_eq!(footer.len() as u64, FOOTER_LEN);
        let last = layout.size / 512 - 1;
        let primary = table(&header[512..], &header[1024..], 1, last);
        let backup = table(&footer[footer.len() - 512..], &footer[3584..], last, 1);
        assert_eq!(primary, backup);
        for (entry, partition) in primary.chunks(128).zip(&partitions) {
            let bytes = (u64_at(entry, 40) + 1 - u64_at(entry, 32)) * 512;
            assert_eq!(bytes, partition.size.next_multiple_of(PARTITION_ALIGNMENT));
            let units: Vec<u16> = entry[56..]
                .chunks(2)
                .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
                .take_while(|unit| *unit != 0)
                .collect();
            assert_eq!(String::from_utf16(&units).unwrap(), partition.label);
        }
        let path = |number: usize| format!("/proc/self/fd/{number}");
        composite(&layout, |file| path(format!("{file:?}").len())).unwrap();
        // Partitions of both kinds are an error here.
        let _ = vmdk(&layout, |file| path(format!("{file:?}").len()));
    }

    pub(crate) fn seeds() -> Vec<Vec<u8>> {
        let partition = |label: &str, size: u64, flags: u8| {
            let mut bytes = size.to_le_bytes().to_vec();
            bytes.extend([flags, u8::try_from(label.len()).unwrap()]);
            bytes.extend(label.as_bytes());
            bytes
        };
        let forty: Vec<u8> = (0..40)
            .flat_map(|index| partition(&format!("p{index}"), 4096, index % 4))
            .collect();
        vec![
            partition("a", 5000, 0),
            [partition("ä", 8192, 1), partition("b", 1, 2)].concat(),
            partition("large", u64::MAX / 2 - 100_000, 0),
            forty,
        ]
    }
}

/// The server of disks, and its protocol.
pub(crate) mod nbd {
    use crate::file;
    use nbd_disk::{Content, NbdDisk, Segment};
    use std::fs::File;
    use std::io::{Read, Write};
    use std::net::Shutdown;
    use std::os::unix::fs::FileExt;
    use std::os::unix::net::UnixStream;

    /// More would make the client wait for a server that waits for the client.
    const MOST: usize = 32 << 10;
    const SIZE: usize = 5000;

    /// The first byte decides whether the handshake is made first; the rest is what the client says.
    pub(crate) fn check(data: &[u8]) {
        let Some((how, data)) = data.split_first() else {
            return;
        };
        let data = &data[..data.len().min(MOST)];
        let [protected, writable] = [1, 2].map(|byte| file(&[byte; SIZE]));
        let length = SIZE as u64;
        let segment = |index: u64, content| Segment {
            offset: index * length,
            length,
            content,
        };
        let of = |file: &File, writable| Content::File {
            file: file.try_clone().unwrap(),
            writable,
        };
        let segments = vec![
            segment(0, of(&protected, false)),
            segment(1, of(&writable, true)),
            segment(2, Content::Zero),
            segment(3, Content::Fill(*b"fill")),
        ];
        let (disk, socket) = NbdDisk::start("check", segments).unwrap();
        let mut client = UnixStream::from(socket);
        if how & 1 != 0 {
            client.write_all(&handshake()).unwrap();
        }
        // The server may be gone before it has taken everything.
        let _ = client.write_all(data);
        let _ = client.shutdown(Shutdown::Write);
        // It ends with what its client says, and not before all is answered.
        let _ = std::io::copy(&mut client, &mut std::io::sink());
        drop(disk);
        let mut bytes = [0; SIZE + 1];
        assert_eq!(protected.read_at(&mut bytes, 0).unwrap(), SIZE);
        assert!(bytes[..SIZE].iter().all(|byte| *byte == 1));
        assert_eq!(writable.metadata().unwrap().len(), length);
        let _ = (&client).read(&mut [0]);
    }

    /// Flags, and the export by its name.
    fn handshake() -> Vec<u8> {
        let mut bytes = 3u32.to_be_bytes().to_vec();
        bytes.extend(b"IHAVEOPT");
        bytes.extend(1u32.to_be_bytes());
        bytes.extend(4u32.to_be_bytes());
        bytes.extend(b"disk");
        bytes
    }

    fn request(command: u16, flags: u16, offset: u64, length: u32, data: &[u8]) -> Vec<u8> {
        let mut bytes = 0x2560_9513u32.to_be_bytes().to_vec();
        bytes.extend(flags.to_be_bytes());
        bytes.extend(command.to_be_bytes());
        bytes.extend(7u64.to_be_bytes());
        bytes.extend(offset.to_be_bytes());
        bytes.extend(length.to_be_bytes());
        bytes.extend(data);
        bytes
    }

    pub(crate) fn seeds() -> Vec<Vec<u8>> {
        let go = {
            let mut bytes = vec![0, 0, 0, 0, 3];
            bytes.extend(b"IHAVEOPT");
            bytes.extend(7u32.to_be_bytes());
            bytes.extend(10u32.to_be_bytes());
            bytes.extend(4u32.to_be_bytes());
            bytes.extend(b"disk");
            bytes.extend([0; 2]);
            bytes
        };
        let all = [
            vec![1],
            request(0, 0, 4000, 9000, b""),
            request(1, 1, 6000, 16, &[9; 16]),
            request(1, 0, 4990, 16, &[9; 16]),
            request(3, 0, 0, 0, b""),
            request(4, 0, 5000, 4096, b""),
            request(6, 2, 5001, 4000, b""),
            request(2, 0, 0, 0, b""),
        ]
        .concat();
        vec![[go, request(0, 0, 0, 512, b"")].concat(), all]
    }
}
