// SPDX-License-Identifier: Apache-2.0
//! Android sparse images that Android's own program makes, and broken ones.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may fail like this, also in what it calls"
)]

mod programs;

use composite_disk::{Extent, ExtentContent, FileError, Image, unfold};
use programs::output_of;
use proptest::prelude::*;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;

/// What a reader of the extents sees.
fn read(file: &File, extents: &[Extent]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for extent in extents {
        let mut part = vec![0; usize::try_from(extent.length).unwrap()];
        match extent.content {
            ExtentContent::File { start } => file.read_exact_at(&mut part, start).unwrap(),
            ExtentContent::Fill(pattern) => {
                part.chunks_mut(4)
                    .for_each(|word| word.copy_from_slice(&pattern));
            }
            ExtentContent::Zero => {}
        }
        bytes.extend(part);
    }
    bytes
}

/// Blocks of 4096 bytes of each kind: data, a repeated word, zeros.
fn blocks(kinds: &[u8]) -> Vec<u8> {
    kinds
        .iter()
        .enumerate()
        .flat_map(|(index, kind)| {
            (0..4096u32).map(move |at| match kind {
                0 => 0,
                1 => [1, 2, 3, 4][at as usize % 4],
                _ => u8::try_from((at / 3 + u32::try_from(index).unwrap() * 7) % 251).unwrap(),
            })
        })
        .collect()
}

/// Makes a sparse image with Android's program and compares both ways of unfolding it.
fn check(raw: &[u8]) {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("raw"), raw).unwrap();
    if output_of("img2simg", &[], &[&path("raw"), &path("sparse")]).is_none() {
        return;
    }
    output_of("simg2img", &[], &[&path("sparse"), &path("unfolded")]).unwrap();
    let file = File::open(path("sparse")).unwrap();
    let image = Image::detect(&file).unwrap();
    assert_eq!(image.size(false).unwrap(), raw.len() as u64);
    let extents = unfold(&file).unwrap();
    let ours = read(&file, &extents);
    assert!(ours == fs::read(path("unfolded")).unwrap());
    assert!(ours == raw);
}

#[test]
fn androids_own_images() {
    check(&blocks(&[2; 16]));
    check(&blocks(&[0; 16]));
    check(&blocks(&[1, 1, 1, 0, 0, 2, 2, 0, 1, 2, 1, 0, 0, 0]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn any_mixture(kinds in proptest::collection::vec(0..3u8, 1..60)) {
        check(&blocks(&kinds));
    }

    /// Whatever follows a good beginning: an error, or extents of the size that the head says.
    #[test]
    fn noise_is_an_error_or_an_image(
        blocks in 0..9u32, chunks in 0..9u32, noise in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let file = image(|head| {
            head.blocks = blocks;
            head.chunks = chunks;
        }, &noise);
        if let Ok(extents) = unfold(&file) {
            let size: u64 = extents.iter().map(|extent| extent.length).sum();
            prop_assert_eq!(size, u64::from(blocks) * 4096);
        }
    }
}

/// The fields of a file header that mean something.
struct Head {
    magic: u32,
    major: u16,
    header: u16,
    chunk_header: u16,
    block: u32,
    blocks: u32,
    chunks: u32,
}

/// An image with one changed head, followed by these bytes.
fn image(change: impl FnOnce(&mut Head), rest: &[u8]) -> File {
    let mut head = Head {
        magic: 0xed26_ff3a,
        major: 1,
        header: 28,
        chunk_header: 12,
        block: 4096,
        blocks: 1,
        chunks: 1,
    };
    change(&mut head);
    let mut bytes = Vec::new();
    bytes.extend(head.magic.to_le_bytes());
    bytes.extend(head.major.to_le_bytes());
    bytes.extend([0; 2]);
    bytes.extend(head.header.to_le_bytes());
    bytes.extend(head.chunk_header.to_le_bytes());
    bytes.extend(head.block.to_le_bytes());
    bytes.extend(head.blocks.to_le_bytes());
    bytes.extend(head.chunks.to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(rest);
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&bytes).unwrap();
    file
}

fn chunk(kind: u16, blocks: u32, total: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(kind.to_le_bytes());
    bytes.extend([0; 2]);
    bytes.extend(blocks.to_le_bytes());
    bytes.extend(total.to_le_bytes());
    bytes.extend(data);
    bytes
}

#[test]
fn each_field_is_checked() {
    let good = chunk(0xcac3, 1, 12, &[]);
    assert_eq!(unfold(&image(|_| {}, &good)).unwrap().len(), 1);
    let says = |file: &File, part: &str| {
        let error = unfold(file).unwrap_err();
        assert!(matches!(error, FileError::SparseHeader(_)), "{error}");
        assert!(
            error.to_string().contains(part),
            "{error} does not say {part:?}"
        );
    };
    let head = |change: &dyn Fn(&mut Head), part: &str| says(&image(change, &good), part);
    head(&|h| h.magic = 1, "does not begin");
    head(&|h| h.major = 2, "major version");
    head(&|h| h.header = 27, "less than 28");
    head(&|h| h.chunk_header = 11, "less than 12");
    head(&|h| h.block = 0, "multiple of 4");
    head(&|h| h.block = 4094, "multiple of 4");
    head(&|h| h.blocks = 2, "fewer blocks");
    head(&|h| h.blocks = 0, "more blocks");
    head(&|h| h.chunks = 2, "ends within");
    head(&|h| h.header = u16::MAX, "ends within");
    let chunks = |bytes: &[u8], part: &str| says(&image(|_| {}, bytes), part);
    chunks(&[], "ends within");
    chunks(&good[..11], "ends within");
    chunks(&chunk(0xcac3, 1, 11, &[]), "shorter than its header");
    chunks(&chunk(0xcac3, 1, 16, &[0; 4]), "does not fit");
    chunks(&chunk(0xcac1, 1, 12 + 4096, &[0; 4095]), "ends within");
    chunks(&chunk(0xcac1, 1, 12 + 4092, &[0; 4092]), "does not fit");
    chunks(&chunk(0xcac2, 1, 12, &[]), "does not fit");
    chunks(&chunk(0xcac5, 1, 12, &[]), "unknown type");
    chunks(&chunk(0xcac3, u32::MAX, 12, &[]), "more blocks");
    // A checksum counts for nothing, and headers may be longer than they were.
    let mut longer = chunk(0xcac4, 0, 20, &[0; 8]);
    longer.extend(chunk(0xcac2, 1, 20, &[0, 0, 0, 0, 9, 9, 9, 9]));
    let file = image(
        |h| {
            h.chunk_header = 16;
            h.chunks = 2;
        },
        &longer,
    );
    let extents = unfold(&file).unwrap();
    assert_eq!(extents[0].content, ExtentContent::Fill([9; 4]));
}
