// SPDX-License-Identifier: Apache-2.0
//! The dump of its memory that a guest's kernel writes when it crashes: taken from its console into
//! a file that has no name, and handed on when the VM has ended.

use crate::error::Error;
use crate::settings::RAMDUMP_VARIABLE;
use crate::vm::output::drain;
use crate::vm::tombstone;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat};
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// What a dump may have beyond the guest's memory: headers, and what the crash kernel says first.
const SURPLUS: u64 = 64 << 20;

/// Where dumps go.
#[derive(Debug, Clone)]
pub struct Destination {
    /// The directory in which they are kept, if people want them kept.
    pub kept: Option<PathBuf>,
    /// The socket of the system's crash collector.
    pub collector: PathBuf,
}

impl Destination {
    /// Refuses a directory in which no dump could be kept, before there is one to lose.
    ///
    /// # Errors
    /// With the directory and the system's answer.
    pub fn check_directory(directory: &Path) -> Result<(), Error> {
        unnamed(directory)
            .map(drop)
            .map_err(|e| Error::io(format!("{RAMDUMP_VARIABLE}={}", directory.display()), e))
    }
}

/// One guest's dump, as far as it has come.
#[derive(Debug)]
pub(super) struct Ramdump {
    pipe: Option<OwnedFd>,
    to: Destination,
    /// The VM's directory: a dump that is not kept stays there until it is handed on.
    directory: PathBuf,
    file: Option<File>,
    length: u64,
    limit: u64,
}

impl Ramdump {
    /// Takes what arrives in `pipe`, which must be non-blocking, up to what a guest of `memory_mib`
    /// can have to say.
    pub(super) fn new(pipe: OwnedFd, to: Destination, directory: PathBuf, memory_mib: u32) -> Self {
        Self {
            pipe: Some(pipe),
            to,
            directory,
            file: None,
            length: 0,
            limit: (u64::from(memory_mib) << 20) + SURPLUS,
        }
    }

    /// Readable when there is more; none when it takes no more.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Takes what has arrived. A dump that cannot be stored, or is too long, ends there, and the
    /// guest finds its line closed. `false` at the end.
    pub(super) fn pump(&mut self) -> bool {
        let Some(pipe) = self.pipe.take() else {
            return false;
        };
        let mut stored = Ok(());
        let open = drain(&pipe, |bytes| {
            if stored.is_ok() {
                stored = self.store(bytes);
            }
        });
        match stored {
            Ok(()) if open => self.pipe = Some(pipe),
            Ok(()) => {}
            Err(e) => log::error!("memory dump: {e}; what the guest still writes is lost"),
        }
        self.pipe.is_some()
    }

    fn store(&mut self, bytes: &[u8]) -> io::Result<()> {
        let length = self.length + u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if length > self.limit {
            return Err(io::Error::other(format!(
                "it is longer than the guest's memory and {} MiB",
                SURPLUS >> 20
            )));
        }
        let file = match &mut self.file {
            Some(file) => file,
            // Most guests never crash, so the file is made when one does.
            None => {
                let directory = self.to.kept.as_deref().unwrap_or(&self.directory);
                self.file.insert(unnamed(directory)?)
            }
        };
        file.write_all(bytes)?;
        self.length = length;
        Ok(())
    }

    /// The VM has ended: hands the dump on, if there is one, and says where it is.
    pub(super) fn finish(mut self, name: &str, cid: u32) {
        self.pump();
        let Some(mut file) = self.file.take() else {
            return;
        };
        let bytes = self.length;
        let vm = format!("VM '{name}' (CID {cid})");
        if let Some(directory) = &self.to.kept {
            match keep(&file, directory, cid) {
                Ok(path) => {
                    log::warn!("{vm}: memory dump of {bytes} bytes in {}", path.display());
                }
                Err(e) => log::error!(
                    "{vm}: memory dump of {bytes} bytes is lost: name it in {}: {e}",
                    directory.display()
                ),
            }
        }
        let collected = file
            .seek(SeekFrom::Start(0))
            .and_then(|_| tombstone::hand_on(&self.to.collector, &mut file));
        match collected {
            Ok(true) => log::warn!(
                "{vm}: memory dump of {bytes} bytes handed to {}",
                self.to.collector.display()
            ),
            Ok(false) if self.to.kept.is_some() => {}
            Ok(false) => log::warn!(
                "{vm}: memory dump of {bytes} bytes dropped: there is no {}; set {RAMDUMP_VARIABLE} to a directory to keep dumps in",
                self.to.collector.display()
            ),
            Err(e) => log::error!(
                "{vm}: hand the memory dump to {}: {e}",
                self.to.collector.display()
            ),
        }
    }
}

/// A file that is gone with its last descriptor, whatever happens, unless it is given a name.
fn unnamed(directory: &Path) -> io::Result<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    rustix::fs::open(directory, flags, Mode::RUSR | Mode::WUSR)
        .map(File::from)
        .map_err(|e| io::Error::other(format!("make a file in {}: {e}", directory.display())))
}

/// Gives `file` a name in `directory`, the file system of which it is on.
fn keep(file: &File, directory: &Path, cid: u32) -> io::Result<PathBuf> {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let this = format!("/proc/self/fd/{}", file.as_raw_fd());
    // A guest may crash twice in a second.
    for number in 0..100 {
        let name = match number {
            0 => format!("ramdump-{cid}-{seconds}"),
            _ => format!("ramdump-{cid}-{seconds}-{number}"),
        };
        let path = directory.join(name);
        match linkat(CWD, &this, CWD, &path, AtFlags::SYMLINK_FOLLOW) {
            Ok(()) => return Ok(path),
            Err(rustix::io::Errno::EXIST) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Err(io::Error::from(io::ErrorKind::AlreadyExists))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::{PipeFlags, pipe_with};

    fn recorder(directory: &Path, kept: Option<&Path>, memory_mib: u32) -> (Ramdump, File) {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap();
        let to = Destination {
            kept: kept.map(Path::to_owned),
            collector: directory.join("no-collector"),
        };
        let dump = Ramdump::new(read, to, directory.to_owned(), memory_mib);
        (dump, File::from(write))
    }

    fn names(directory: &Path) -> Vec<PathBuf> {
        std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect()
    }

    #[test]
    fn a_dump_is_kept_and_nothing_else() {
        let (vm, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (mut dump, mut guest) = recorder(vm.path(), Some(kept.path()), 1);
        dump.pump();
        guest.write_all(b"core").unwrap();
        dump.pump();
        assert!(names(kept.path()).is_empty() && names(vm.path()).is_empty());
        guest.write_all(b" of a kernel").unwrap();
        dump.finish("vm", 77);
        let left = names(kept.path());
        assert_eq!(left.len(), 1);
        assert_eq!(std::fs::read(&left[0]).unwrap(), b"core of a kernel");
        assert!(left[0].to_string_lossy().contains("ramdump-77-"));
        // A guest that does not crash leaves nothing.
        recorder(vm.path(), Some(kept.path()), 1).0.finish("vm", 78);
        assert_eq!(names(kept.path()).len(), 1);
        assert!(names(vm.path()).is_empty());
    }

    #[test]
    fn a_dump_that_never_ends_is_cut() {
        let vm = tempfile::tempdir().unwrap();
        let (mut dump, mut guest) = recorder(vm.path(), None, 1);
        dump.limit = 10_000;
        let mut written = 0;
        while dump.fd().is_some() {
            assert!(written < 1 << 20, "it takes more and more");
            written += guest.write(&[7; 4096]).unwrap();
            dump.pump();
        }
        assert!(dump.length <= 10_000);
        // The guest finds the line closed.
        assert!(guest.write(&[7]).is_err());
    }
}
