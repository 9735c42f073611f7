// SPDX-License-Identifier: Apache-2.0
//! The directory that absolute paths of a device are looked up in.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use rustix::io::Errno;

use crate::Error;

/// A directory that stands for `/`: the machine's own, or a tree of partitions to be checked.
///
/// Every path is resolved inside it with openat2(2), symbolic links included, so that a link to
/// `/system/product` leads to the `system/product` of this tree. This needs Linux 5.6.
#[derive(Debug)]
pub(crate) struct Root {
    path: PathBuf,
    directory: OwnedFd,
}

/// openat2 gives EAGAIN when directories are renamed under it; nobody does that for longer than this.
const OPEN_ATTEMPTS: usize = 16;

impl Root {
    /// Opens the root directory at `path`, `/` for the machine's own.
    pub(crate) fn open(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::open(&path, flags, Mode::empty()) {
            Ok(directory) => Ok(Self { path, directory }),
            Err(errno) => Err(Error::Root {
                path,
                source: errno.into(),
            }),
        }
    }

    /// What `path`, absolute in this root, is called outside of it.
    pub(crate) fn on_host(&self, path: &Path) -> PathBuf {
        self.path.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Opens the absolute `path` in this root.
    pub(crate) fn open_in(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let mut last = Errno::AGAIN;
        for _ in 0..OPEN_ATTEMPTS {
            let flags = flags | OFlags::CLOEXEC;
            match openat2(
                &self.directory,
                path,
                flags,
                Mode::empty(),
                ResolveFlags::IN_ROOT,
            ) {
                Err(errno @ (Errno::AGAIN | Errno::INTR)) => last = errno,
                other => return other,
            }
        }
        Err(last)
    }

    /// Reads a regular file of at most `max` bytes.
    pub(crate) fn read(&self, path: &Path, max: u64) -> io::Result<Vec<u8>> {
        // Not to be held up by a FIFO, nor to get a terminal.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = File::from(self.open_in(path, flags)?);
        if !is_regular(&file)? {
            return Err(io::Error::other("it is not a regular file"));
        }
        let mut bytes = Vec::new();
        file.take(max + 1).read_to_end(&mut bytes)?;
        if u64::try_from(bytes.len()).is_ok_and(|len| len > max) {
            return Err(io::Error::other(format!("it is larger than {max} bytes")));
        }
        Ok(bytes)
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

/// Whether `file` is a regular file.
pub(crate) fn is_regular(file: impl AsFd) -> Result<bool, Errno> {
    Ok(FileType::from_raw_mode(fstat(file)?.st_mode).is_file())
}
