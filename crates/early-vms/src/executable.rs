// SPDX-License-Identifier: Apache-2.0
//! The executable of a client, and whether it is the one that may create a VM.

use std::ffi::OsStr;
use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, fstat};
use rustix::io::Errno;

use crate::root::{Root, is_regular};
use crate::{EarlyVm, Error, Partition};

/// Device and inode: which file it is, whatever it is called.
type FileId = (u64, u64);

/// What the kernel appends to the path of a file that has been unlinked.
const DELETED: &[u8] = b" (deleted)";

/// The executable of a client.
///
/// It holds the file open, so that its inode cannot become that of another file.
#[derive(Debug)]
pub struct ClientExecutable {
    path: PathBuf,
    root: Root,
    id: FileId,
    _file: OwnedFd,
}

impl ClientExecutable {
    /// Opens the executable of the process `pid`, on a system whose files are in the directory `root`.
    ///
    /// A process id may be used again: prove with a pidfd taken earlier that the client still lives
    /// after this call.
    ///
    /// # Errors
    ///
    /// [`Error::ClientUnreadable`], and those of [`from_fd`](Self::from_fd).
    pub fn of_process(pid: i32, root: &Path) -> Result<Self, Error> {
        let link = format!("/proc/{pid}/exe");
        let file = rustix::fs::open(&link, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(
            |errno| Error::ClientUnreadable {
                path: link.into(),
                source: errno.into(),
            },
        )?;
        Self::from_fd(file, root)
    }

    /// Takes an executable that is already open, for instance with `O_PATH` from `/proc/PID/exe`.
    ///
    /// # Errors
    ///
    /// [`Error::ClientDeleted`] and [`Error::ClientHidden`] if the executable's path does not lead
    /// to it any more, seen from this process; [`Error::ClientOutsideRoot`]; [`Error::Root`];
    /// [`Error::ClientUnreadable`], also if it is not a regular file.
    pub fn from_fd(file: OwnedFd, root: &Path) -> Result<Self, Error> {
        let called = path_of(&file)?;
        let unreadable = |errno: Errno| Error::ClientUnreadable {
            path: called.clone(),
            source: errno.into(),
        };
        if !is_regular(&file).map_err(unreadable)? {
            return Err(unreadable(Errno::ACCESS));
        }
        let id = id_of(&file).map_err(unreadable)?;

        // The kernel's text is not trusted by itself: the file may have been unlinked or replaced,
        // or the client may see it in a mount namespace of its own.
        let now = fs::metadata(&called)
            .ok()
            .map(|found| (found.dev(), found.ino()));
        if now != Some(id) {
            return Err(match called.as_os_str().as_bytes().strip_suffix(DELETED) {
                Some(former) => Error::ClientDeleted {
                    path: OsStr::from_bytes(former).into(),
                },
                None => Error::ClientHidden { path: called },
            });
        }

        let root = Root::open(root)?;
        let root_path = path_of(&root)?;
        match called.strip_prefix(&root_path) {
            Ok(relative) => Ok(Self {
                path: Path::new("/").join(relative),
                root,
                id,
                _file: file,
            }),
            Err(_) => Err(Error::ClientOutsideRoot {
                path: called,
                root: root_path,
            }),
        }
    }

    /// The executable's absolute path in the root directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The partition that the executable is on.
    ///
    /// # Errors
    ///
    /// Those of [`Partition::of_executable`].
    pub fn partition(&self) -> Result<Partition, Error> {
        Partition::of(&self.path, &self.root)
    }

    pub(crate) fn check(&self, vm: &EarlyVm) -> Result<(), Error> {
        for name in names_of(&vm.path) {
            match identify(&self.root, &name) {
                Ok(id) if id == self.id => return Ok(()),
                Ok(_) | Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(errno) => {
                    return Err(Error::DeclaredUnreadable {
                        name: vm.name.clone(),
                        path: self.root.on_host(&name),
                        source: errno.into(),
                    });
                }
            }
        }
        if names_of(&self.path).contains(&vm.path) {
            return Err(Error::ClientReplaced {
                name: vm.name.clone(),
                path: self.path.clone(),
            });
        }
        Err(Error::WrongExecutable {
            name: vm.name.clone(),
            partition: vm.partition,
            declared: vm.path.clone(),
            actual: self.path.clone(),
        })
    }
}

/// The names of one file: `system_ext` and `product` may be partitions or directories of `system`.
pub(crate) fn names_of(path: &Path) -> Vec<PathBuf> {
    let moved =
        |relative: &Path| relative.starts_with("system_ext") || relative.starts_with("product");
    let mut names = vec![path.to_owned()];
    if let Some(inner) = path
        .strip_prefix("/system")
        .ok()
        .filter(|inner| moved(inner))
    {
        names.push(Path::new("/").join(inner));
    } else if let Some(inner) = path.strip_prefix("/").ok().filter(|inner| moved(inner)) {
        names.push(Path::new("/system").join(inner));
    }
    names
}

fn identify(root: &Root, path: &Path) -> Result<FileId, Errno> {
    id_of(root.open_in(path, OFlags::PATH)?)
}

fn id_of(file: impl AsFd) -> Result<FileId, Errno> {
    let stat = fstat(file)?;
    Ok((stat.st_dev, stat.st_ino))
}

/// What the kernel calls an open file.
fn path_of(file: impl AsFd) -> Result<PathBuf, Error> {
    let link = PathBuf::from(format!("/proc/self/fd/{}", file.as_fd().as_raw_fd()));
    fs::read_link(&link).map_err(|source| Error::ClientUnreadable { path: link, source })
}
