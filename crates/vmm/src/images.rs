// SPDX-License-Identifier: Apache-2.0
//! Disk images: opened with the access that the guest gets, examined, and locked.
//!
//! One rule holds for every kind of disk under every VMM: a file that one VM may write to is used
//! by no other VM, and any number of VMs may share files that none of them may write to. The lock
//! is that of flock(2), exclusive or shared, on the open file that the VMM or the disk's server
//! gets. So it is held from the VM's creation until the last process of the VM has ended, whatever
//! the client does with its own descriptor.

use crate::Error;
use composite_disk::Image;
use rustix::fs::{FlockOperation, fstat, major, minor};
use rustix::io::Errno;
use std::error::Error as StdError;
use std::fs::{self, File};
use std::os::fd::AsRawFd;

/// The locks of all processes, as the kernel shows them.
const LOCKS: &str = "/proc/locks";

/// An image that is ready to be given to a VM.
#[derive(Debug)]
pub(crate) struct OpenImage {
    /// The file, with exactly the access that is needed.
    pub(crate) file: File,
    /// Its format.
    pub(crate) kind: Image,
    /// Bytes, as the guest sees them.
    pub(crate) size: u64,
}

/// The images of one VM.
#[derive(Debug, Default)]
pub(crate) struct Images {
    taken: Vec<Taken>,
    borrowed: Vec<File>,
}

/// A file that the VM has already.
#[derive(Debug)]
struct Taken {
    id: FileId,
    writable: bool,
    field: String,
}

/// What tells a file from all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

/// An error about a file that the client gave.
pub(crate) fn invalid<E>(field: impl Into<String>) -> impl FnOnce(E) -> Error
where
    E: StdError + Send + Sync + 'static,
{
    let field = field.into();
    move |source| Error::InvalidFile {
        field,
        source: Box::new(source),
    }
}

impl Images {
    /// Opens and locks `image` for the VM; `field` names it in errors.
    pub(crate) fn open(
        &mut self,
        image: &File,
        writable: bool,
        field: &str,
    ) -> Result<OpenImage, Error> {
        let (file, is_own) = composite_disk::open_own(image, writable).map_err(invalid(field))?;
        let kind = Image::detect(&file).map_err(invalid(field))?;
        let size = kind.size(writable).map_err(invalid(field))?;
        self.lock(&file, writable, field)?;
        if !is_own {
            let file = file.try_clone();
            self.borrowed
                .push(file.map_err(|e| Error::io(format!("{field}: cannot duplicate it"), e))?);
        }
        Ok(OpenImage { file, kind, size })
    }

    /// What must live as long as the VM does: the system may forbid opening a client's file again,
    /// and a lock on the client's own open file outlasts the VM unless it is removed.
    pub(crate) fn into_helper(self) -> Option<Box<dyn Send>> {
        let is_needed = !self.borrowed.is_empty();
        is_needed.then(|| Box::new(Unlock(self.borrowed)) as Box<dyn Send>)
    }

    fn lock(&mut self, file: &File, writable: bool, field: &str) -> Result<(), Error> {
        let stat = fstat(file).map_err(|e| Error::io(format!("{field}: cannot examine it"), e))?;
        let id = FileId {
            device: stat.st_dev,
            inode: stat.st_ino,
        };
        let other = self
            .taken
            .iter()
            .find(|taken| taken.id == id && (taken.writable || writable));
        if let Some(other) = other {
            return Err(Error::SameImage {
                field: field.to_owned(),
                file: name_of(file),
                other: other.field.clone(),
            });
        }
        let operation = if writable {
            FlockOperation::NonBlockingLockExclusive
        } else {
            FlockOperation::NonBlockingLockShared
        };
        match rustix::io::retry_on_intr(|| rustix::fs::flock(file, operation)) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(Error::ImageInUse {
                    field: field.to_owned(),
                    file: name_of(file),
                    purpose: if writable { "writing" } else { "reading" },
                    holder: holder(id),
                });
            }
            // A file system without locks, such as some network file systems.
            Err(e) => log::warn!(
                "{field}: cannot lock '{}': {}; make sure that no other VM uses it",
                name_of(file),
                std::io::Error::from(e)
            ),
        }
        self.taken.push(Taken {
            id,
            writable,
            field: field.to_owned(),
        });
        Ok(())
    }
}

/// Removes locks from open files that belong to the client as well.
struct Unlock(Vec<File>);

impl Drop for Unlock {
    fn drop(&mut self) {
        for file in &self.0 {
            // It fails only where there are no locks.
            let _ = rustix::fs::flock(file, FlockOperation::Unlock);
        }
    }
}

/// The path of an open file.
fn name_of(file: &File) -> String {
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    match fs::read_link(link) {
        Ok(path) => path.to_string_lossy().escape_debug().to_string(),
        Err(_) => "the file".into(),
    }
}

/// The process that has locked a file, in words.
fn holder(id: FileId) -> String {
    let pid = fs::read_to_string(LOCKS)
        .ok()
        .and_then(|locks| holder_in(&locks, id));
    match pid {
        None => "another process".into(),
        Some(pid) if pid == std::process::id() => "another VM of this client".into(),
        Some(pid) => match fs::read_to_string(format!("/proc/{pid}/comm")) {
            Ok(name) => format!("process {pid} ({})", name.trim_end().escape_debug()),
            Err(_) => format!("a VM of process {pid}, which has ended"),
        },
    }
}

/// The process that has locked a file, in the kernel's list of locks.
fn holder_in(locks: &str, id: FileId) -> Option<u32> {
    let file = format!(
        "{:02x}:{:02x}:{}",
        major(id.device),
        minor(id.device),
        id.inode
    );
    locks.lines().find_map(|line| {
        // Number, type, mode, access, process, file, range. Lines of waiting processes have an arrow
        // in place of the type.
        let mut words = line.split_whitespace().skip(1);
        (words.next()? == "FLOCK").then_some(())?;
        let pid = words.nth(2)?.parse().ok()?;
        (words.next()? == file).then_some(pid)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    fn image() -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(4096).unwrap();
        file
    }

    #[test]
    fn one_writer_or_many_readers() {
        let file = image();
        for (first, second, both) in [
            (false, false, true),
            (false, true, false),
            (true, false, false),
            (true, true, false),
        ] {
            let held = Images::default()
                .open(file.as_file(), first, "disks[0].image")
                .unwrap();
            let result = Images::default().open(file.as_file(), second, "disks[1].image");
            assert_eq!(result.is_ok(), both, "{first} {second}: {result:?}");
            if let Err(e) = &result {
                let purpose = if second { "writing" } else { "reading" };
                assert_eq!(
                    e.to_string(),
                    format!(
                        "disks[1].image: cannot lock '{}' for {purpose}: another VM of this client \
                         uses it; stop that VM, or give each VM a file of its own",
                        file.path().display()
                    )
                );
            }
            // The client's descriptor stays open; the locks go with ours.
            drop((held, result));
            expect_free(file.as_file());
        }
    }

    /// Another test may just be starting a program, which has a copy of each descriptor for a
    /// moment.
    fn expect_free(file: &File) {
        let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while let Err(e) = Images::default().open(file, true, "disks[0].image") {
            assert!(std::time::Instant::now() < end, "{e}");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    #[test]
    fn the_same_file_twice_in_one_vm() {
        let file = image();
        let mut images = Images::default();
        let _first = images
            .open(file.as_file(), false, "disks[0].image")
            .unwrap();
        let _second = images
            .open(file.as_file(), false, "disks[1].image")
            .unwrap();
        let error = images
            .open(file.as_file(), true, "disks[2] partition 'a'")
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "disks[2] partition 'a': '{}' is also disks[0].image, and a writable file can be used \
                 only once; give each a file of its own",
                file.path().display()
            )
        );
    }

    #[test]
    fn another_process_is_named() {
        let file = image();
        let mut child = std::process::Command::new("flock")
            .args(["--shared", "--no-fork"])
            .arg(file.path())
            .args(["sh", "-c", "echo locked; exec cat"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = [0; 7];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut line).unwrap();
        let error = Images::default()
            .open(file.as_file(), true, "disks[0].image")
            .unwrap_err();
        let text = error.to_string();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(
            text.contains(&format!("process {} (cat) uses it", child.id())),
            "{text}"
        );
    }

    #[test]
    fn a_lock_is_found_in_the_list() {
        let file = image();
        let stat = file.as_file().metadata().unwrap();
        let id = FileId {
            device: stat.dev(),
            inode: stat.ino(),
        };
        let name = format!(
            "{:02x}:{:02x}:{}",
            major(stat.dev()),
            minor(stat.dev()),
            stat.ino()
        );
        let locks = format!(
            "1: POSIX  ADVISORY  READ 7 {name} 128 128\n\
             2: -> FLOCK  ADVISORY  WRITE 8 {name} 0 EOF\n\
             3: FLOCK  ADVISORY  WRITE 9 00:00:1 0 EOF\n\
             4: FLOCK  ADVISORY  READ 10 {name} 0 EOF\n"
        );
        assert_eq!(holder_in(&locks, id), Some(10));
        assert_eq!(holder_in("", id), None);
    }
}
