// SPDX-License-Identifier: Apache-2.0
//! Detection of formats and access modes on real files.

#![allow(
    clippy::unwrap_used,
    reason = "a test may fail like this, also in what it calls"
)]

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::process::Command;

use composite_disk::{FileError, Image, reopen};
use rustix::fs::{OFlags, fcntl_getfl};

fn file_of(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

#[test]
fn raw_files_have_their_length() {
    for size in [0u16, 1, 27, 28, 4096, 5001] {
        let image = Image::detect(&file_of(&vec![0xff; usize::from(size)])).unwrap();
        assert_eq!(
            image,
            Image::Raw {
                size: u64::from(size)
            }
        );
        assert_eq!(image.size(true).unwrap(), u64::from(size));
    }
}

#[test]
fn qcow2_of_qemu_img_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("q");
    let made = Command::new("qemu-img")
        .args(["create", "-f", "qcow2"])
        .arg(&path)
        .arg("1M")
        .output();
    match made {
        Ok(output) => assert!(output.status.success()),
        Err(_) => return skip::skip!("no qemu-img here"),
    }
    let error = Image::detect(&File::open(path).unwrap()).unwrap_err();
    assert!(
        matches!(error, FileError::Format("qcow2 disk image")),
        "{error}"
    );
}

#[test]
fn a_nested_composite_disk_is_refused() {
    let error = Image::detect(&file_of(b"composite_disk\x1d\x08\x02")).unwrap_err();
    assert!(matches!(error, FileError::Format(_)), "{error}");
}

#[test]
fn sparse_images_have_their_unfolded_size_but_cannot_be_written_to() {
    let mut header = vec![0x3a, 0xff, 0x26, 0xed, 1, 0, 0, 0, 28, 0, 12, 0];
    header.extend(4096u32.to_le_bytes());
    header.extend(2_000_000u32.to_le_bytes());
    header.extend([0; 8]);
    let image = Image::detect(&file_of(&header)).unwrap();
    assert_eq!(
        image,
        Image::AndroidSparse {
            size: 8_192_000_000
        }
    );
    assert!(image.is_sparse());
    assert_eq!(image.size(false).unwrap(), 8_192_000_000);
    assert!(matches!(image.size(true), Err(FileError::WritableSparse)));

    assert!(matches!(
        Image::detect(&file_of(&header[..20])),
        Err(FileError::SparseHeader(_))
    ));
    header[4] = 2;
    assert!(matches!(
        Image::detect(&file_of(&header)),
        Err(FileError::SparseHeader(_))
    ));
}

#[test]
fn what_is_no_file_is_refused() {
    let directory = File::open("/").unwrap();
    assert!(matches!(
        Image::detect(&directory),
        Err(FileError::Kind("directory"))
    ));
    let null = File::open("/dev/null").unwrap();
    assert!(matches!(
        Image::detect(&null),
        Err(FileError::Kind("character device"))
    ));
    let (pipe, _writer) = std::io::pipe().unwrap();
    let pipe = File::from(std::os::fd::OwnedFd::from(pipe));
    assert!(matches!(Image::detect(&pipe), Err(FileError::Kind("pipe"))));
}

fn mode(file: impl AsFd) -> OFlags {
    fcntl_getfl(file).unwrap() & (OFlags::RWMODE | OFlags::APPEND)
}

#[test]
fn reopened_descriptors_have_the_mode_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("partition");
    std::fs::write(&path, b"0123456789").unwrap();
    let mut options = OpenOptions::new();
    let read_only = File::open(&path).unwrap();
    let both = options.read(true).write(true).open(&path).unwrap();
    let append = options.append(true).open(&path).unwrap();
    let write_only = OpenOptions::new().write(true).open(&path).unwrap();

    assert_eq!(mode(reopen(&read_only, false).unwrap()), OFlags::RDONLY);
    assert_eq!(mode(reopen(&both, false).unwrap()), OFlags::RDONLY);
    assert_eq!(mode(reopen(&both, true).unwrap()), OFlags::RDWR);
    assert!(matches!(
        reopen(&read_only, true),
        Err(FileError::NotWritable)
    ));
    assert!(matches!(
        reopen(&write_only, true),
        Err(FileError::NotReadable)
    ));
    assert!(matches!(
        reopen(&write_only, false),
        Err(FileError::NotReadable)
    ));

    // Positioned writes to an appending descriptor go to the end of the file.
    let reopened = reopen(&append, true).unwrap();
    assert_eq!(mode(&reopened), OFlags::RDWR);
    reopened.write_all_at(b"x", 3).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"012x456789");
}
