// SPDX-License-Identifier: Apache-2.0
//! Opening a VM's directory and what is in it. It may be another user's, who could have put anything
//! there.

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

/// An opened VM's directory.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    fd: OwnedFd,
}

impl Directory {
    /// Opens the directory at the absolute `path`, which must not lead through any link.
    ///
    /// # Errors
    /// If it cannot be opened; `FilesystemLoop` if a part of the path is a link.
    pub fn open(path: &Path) -> io::Result<Self> {
        let fd = match openat2(
            CWD,
            path,
            DIRECTORY,
            Mode::empty(),
            ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
        ) {
            // An old kernel, or a container whose filter does not know the call.
            Err(Errno::NOSYS | Errno::PERM) => step_by_step(path)?,
            other => other?,
        };
        Ok(Self {
            path: path.to_owned(),
            fd,
        })
    }

    /// The directory that is opened as `fd`, by a descriptor of its own.
    ///
    /// # Errors
    /// If no descriptor is left.
    pub fn again(fd: BorrowedFd<'_>, path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            fd: fd.try_clone_to_owned()?,
        })
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The user that owns it.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn owner(&self) -> io::Result<u32> {
        Ok(rustix::fs::fstat(&self.fd)?.st_uid)
    }

    /// Opens the file `name` in it for reading. Only a regular file is opened: no link is followed, and
    /// a pipe does not block.
    ///
    /// # Errors
    /// If it cannot be opened; `InvalidInput` if it is not a regular file.
    pub fn file(&self, name: &str) -> io::Result<File> {
        file_at(self.fd.as_fd(), name, OFlags::RDONLY)
    }

    /// A path to the socket `name` in it that is short enough for any length of the directory's.
    ///
    /// # Errors
    /// See [`crate::socket::address`].
    pub fn socket(&self, name: &str) -> io::Result<PathBuf> {
        crate::socket::address(self.fd.as_fd(), &self.path, name)
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Directory {
    fn as_raw_fd(&self) -> i32 {
        self.fd.as_raw_fd()
    }
}

impl From<Directory> for OwnedFd {
    fn from(directory: Directory) -> Self {
        directory.fd
    }
}

/// Opens the regular file `name` in `directory`.
pub(crate) fn file_at(directory: BorrowedFd<'_>, name: &str, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(openat(directory, name, flags, Mode::RUSR | Mode::WUSR)?);
    // A second name (hard link) could lead a write by root elsewhere.
    let meta = file.metadata()?;
    if meta.is_file() && meta.nlink() <= 1 {
        Ok(file)
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is not a regular file with one name",
        ))
    }
}

/// Opens a directory as `openat2` without links does, one part of its path after the other.
fn step_by_step(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = DIRECTORY | OFlags::NOFOLLOW;
    let mut fd = openat(CWD, "/", flags, Mode::empty())?;
    for part in path.components() {
        match part {
            Component::Normal(name) => {
                fd = openat(&fd, name, flags, Mode::empty()).map_err(|e| match e {
                    // So says the kernel of a link where a directory is wanted.
                    Errno::NOTDIR if is_link(&fd, name) => Errno::LOOP,
                    e => e,
                })?;
            }
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => return Err(Errno::INVAL),
        }
    }
    Ok(fd)
}

fn is_link(directory: &OwnedFd, name: &std::ffi::OsStr) -> bool {
    rustix::fs::statat(directory, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| {
        rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Symlink
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn no_link_is_followed_anywhere() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path().canonicalize().unwrap();
        fs::create_dir_all(base.join("real/100")).unwrap();
        symlink(base.join("real"), base.join("link")).unwrap();
        symlink(base.join("real/100"), base.join("real/101")).unwrap();
        Directory::open(&base.join("real/100")).unwrap();
        step_by_step(&base.join("real/100")).unwrap();
        for path in ["link/100", "real/101"] {
            let error = Directory::open(&base.join(path)).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(Errno::LOOP.raw_os_error()));
            assert_eq!(step_by_step(&base.join(path)).unwrap_err(), Errno::LOOP);
        }
    }

    #[test]
    fn only_a_regular_file_is_opened() {
        let base = tempfile::tempdir().unwrap();
        let path = |name| base.path().join(name);
        fs::write(path("file"), "x").unwrap();
        symlink(path("file"), path("link")).unwrap();
        fs::write(path("outside"), "x").unwrap();
        fs::hard_link(path("outside"), path("second")).unwrap();
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(CWD, path("pipe"), kind, 0o600.into(), 0).unwrap();
        let directory = Directory::open(&base.path().canonicalize().unwrap()).unwrap();
        directory.file("file").unwrap();
        for name in ["link", "pipe", ".", "second"] {
            assert!(directory.file(name).is_err(), "{name}");
        }
        let error = directory.file("absent").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
