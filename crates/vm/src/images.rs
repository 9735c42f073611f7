// SPDX-License-Identifier: Apache-2.0
//! `vm create-partition` and `vm create-idsig`: files that the manager fills.

use crate::cli::images::{CreateIdsigArgs, CreatePartitionArgs, PartitionKind};
use crate::manager;
use crate::size::Size;
use anyhow::{Context, Result, ensure};
use rustix::fs::OFlags;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufRead, BufReader, ErrorKind, Seek};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;
use tempfile::NamedTempFile;
use vmclient::Manager;
use vmclient::avf_aidl::service::PartitionType;
use vmclient::rsbinder::ParcelFileDescriptor;

/// Makes a partition image.
pub(crate) fn create_partition(args: &CreatePartitionArgs) -> Result<ExitCode> {
    let program = manager::locate(&args.manager, false)?;
    let manager = manager::start_quietly(&program, &args.manager)?;
    let kind = match args.kind {
        PartitionKind::Raw => PartitionType::RAW,
        PartitionKind::Instance => PartitionType::ANDROID_VM_INSTANCE,
        PartitionKind::Encryptedstore => PartitionType::ENCRYPTEDSTORE,
    };
    new_partition(&manager, &args.path, args.size, kind)?;
    Ok(ExitCode::SUCCESS)
}

/// Makes or updates an idsig file.
pub(crate) fn create_idsig(args: &CreateIdsigArgs) -> Result<ExitCode> {
    let program = manager::locate(&args.manager, false)?;
    let manager = manager::start_quietly(&program, &args.manager)?;
    update_idsig(&manager, &args.apk, &args.path)?;
    Ok(ExitCode::SUCCESS)
}

/// Makes the partition image `path`, which must not be there. It is not left half made.
///
/// # Errors
/// If the file is there or cannot be made, or the manager refuses.
pub(crate) fn new_partition(
    manager: &Manager,
    path: &Path,
    size: Size,
    kind: PartitionType,
) -> Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(path)
        .with_context(|| {
            format!(
                "cannot make {}; an existing file is not overwritten",
                path.display()
            )
        })?;
    let filled = || -> Result<()> {
        let descriptor = ParcelFileDescriptor::new(file.try_clone()?);
        manager
            .service()
            .initializeWritablePartition(&descriptor, size.as_i64(), kind)
            .map_err(|status| manager::refused("initializeWritablePartition", status))
    };
    match filled() {
        Ok(()) => Ok(file),
        Err(e) => {
            // It was made here, and is of no use.
            let _ = fs::remove_file(path);
            Err(e.context(format!("cannot make the partition {}", path.display())))
        }
    }
}

/// The partition image `path`, which is made if it is not there.
///
/// # Errors
/// As for [`new_partition`], or if it cannot be opened for writing.
pub(crate) fn partition(
    manager: &Manager,
    path: &Path,
    size: Size,
    kind: PartitionType,
) -> Result<File> {
    if path.exists() {
        writable(path)
    } else {
        new_partition(manager, path, size, kind)
    }
}

/// Makes or updates the idsig file `path` of `apk`.
///
/// The manager fills a file beside it, which then takes its name: a failure, also that of this
/// program, leaves the former file as it was.
///
/// # Errors
/// If a file cannot be opened, `path` is the APK itself or another kind of file, or the manager
/// refuses.
pub(crate) fn update_idsig(manager: &Manager, apk: &Path, path: &Path) -> Result<File> {
    let input = open(apk)?;
    let what = || {
        format!(
            "cannot make the idsig {} of {}",
            path.display(),
            apk.display()
        )
    };
    // A link's target is replaced, not the link.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let old = match opened(path, true) {
        Ok(file) => Some(file),
        Err(e) if e.kind() == ErrorKind::NotFound => None,
        Err(e) => return Err(e).with_context(what),
    };
    if let Some(old) = &old {
        ensure!(
            identity(old)? != identity(&input)?,
            "{}: it is the APK itself; name another file for the idsig",
            what()
        );
    }
    let fill = |file: &File| -> Result<()> {
        manager
            .service()
            .createOrUpdateIdsigFile(
                &ParcelFileDescriptor::new(input.try_clone()?),
                &ParcelFileDescriptor::new(file.try_clone()?),
            )
            .map_err(|status| manager::refused("createOrUpdateIdsigFile", status))
    };
    let (mut new, mut old) = match (beside(path, old.as_ref()), old) {
        (Ok(new), old) => (new, old),
        // In a directory that may not be written, the manager changes the file itself.
        (Err(_), Some(old)) => {
            fill(&old).with_context(what)?;
            return Ok(old);
        }
        (Err(e), None) => return Err(e).with_context(what),
    };
    if let Some(old) = &mut old {
        io::copy(old, new.as_file_mut()).with_context(what)?;
    }
    fill(new.as_file()).with_context(what)?;
    if let Some(old) = old
        && is_same(&old, new.as_file()).with_context(what)?
    {
        return Ok(old);
    }
    new.persist(path).map_err(|e| e.error).with_context(what)
}

/// A new file in the directory of `path`, with the mode of `old`.
fn beside(path: &Path, old: Option<&File>) -> io::Result<NamedTempFile> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let new = tempfile::Builder::new()
        .prefix(".idsig")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(directory)?;
    if let Some(old) = old {
        new.as_file()
            .set_permissions(old.metadata()?.permissions())?;
    }
    Ok(new)
}

/// Which file it is, whatever it is called.
fn identity(file: &File) -> io::Result<(u64, u64)> {
    let metadata = file.metadata()?;
    Ok((metadata.dev(), metadata.ino()))
}

fn is_same(mut a: &File, mut b: &File) -> io::Result<bool> {
    if a.metadata()?.len() != b.metadata()?.len() {
        return Ok(false);
    }
    a.rewind()?;
    b.rewind()?;
    let (mut a, mut b) = (BufReader::new(a), BufReader::new(b));
    loop {
        let (left, right) = (a.fill_buf()?, b.fill_buf()?);
        let count = left.len().min(right.len());
        if left[..count] != right[..count] {
            return Ok(false);
        }
        if count == 0 {
            return Ok(left.len() == right.len());
        }
        a.consume(count);
        b.consume(count);
    }
}

/// Opens a regular file for reading.
///
/// # Errors
/// If it cannot be opened, or is not a regular file.
pub(crate) fn open(path: &Path) -> Result<File> {
    opened(path, false).with_context(|| format!("cannot open {}", path.display()))
}

fn writable(path: &Path) -> Result<File> {
    opened(path, true).with_context(|| format!("cannot open {} for writing", path.display()))
}

/// Opens a regular file, without waiting for another end as a FIFO would.
fn opened(path: &Path, writable: bool) -> io::Result<File> {
    let nonblock = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new()
        .read(true)
        .write(writable)
        .custom_flags(nonblock)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file; name a file"));
    }
    Ok(file)
}

/// Files that were made for a VM.
#[derive(Debug, Default)]
pub(crate) struct NewFiles(Vec<(PathBuf, Option<SystemTime>)>);

impl NewFiles {
    /// Makes a file with `make`, and remembers it if it is new.
    ///
    /// # Errors
    /// Those of `make`.
    pub(crate) fn make<T>(&mut self, path: &Path, make: impl FnOnce() -> Result<T>) -> Result<T> {
        let is_new = !path.exists();
        let made = make()?;
        if is_new {
            self.0.push((path.to_owned(), modified(path)));
        }
        Ok(made)
    }

    /// Removes the files, unless one has been written since: then the VM has run, and they are its.
    pub(crate) fn remove_unused(self) {
        if self.0.iter().all(|(path, time)| modified(path) == *time) {
            for (path, _) in self.0 {
                let _ = fs::remove_file(path);
            }
        }
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path)
        .and_then(|metadata| metadata.modified())
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_files_are_refused_without_waiting() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR);
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, kind, mode, 0).unwrap();
        for path in [fifo.as_path(), directory.path(), Path::new("/dev/null")] {
            let error = format!("{:#}", open(path).unwrap_err());
            assert!(error.contains("it is not a regular file"), "{error}");
        }
    }

    #[test]
    fn files_of_a_vm_that_never_ran_are_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let write = |name: &str| fs::write(path(name), "x").map_err(anyhow::Error::from);
        write("old").unwrap();
        for is_used in [false, true] {
            let mut files = NewFiles::default();
            for name in ["old", "new", "image"] {
                files.make(&path(name), || write(name)).unwrap();
            }
            assert!(files.make(&path("failed"), || open(&path("gone"))).is_err());
            if is_used {
                let time = SystemTime::now() + std::time::Duration::from_secs(9);
                let image = File::options().write(true).open(path("image")).unwrap();
                image.set_modified(time).unwrap();
            }
            files.remove_unused();
            assert!(path("old").exists());
            assert_eq!(path("new").exists(), is_used);
            assert_eq!(path("image").exists(), is_used);
        }
    }

    #[test]
    fn a_changed_file_is_not_the_same() {
        let file = |bytes: &[u8]| {
            let mut file = tempfile::tempfile().unwrap();
            io::Write::write_all(&mut file, bytes).unwrap();
            file
        };
        let long = vec![1; 100_000];
        let mut other = long.clone();
        other[99_999] = 2;
        assert!(is_same(&file(&long), &file(&long)).unwrap());
        assert!(!is_same(&file(&long), &file(&other)).unwrap());
        assert!(!is_same(&file(&long), &file(b"")).unwrap());
        assert!(is_same(&file(b""), &file(b"")).unwrap());
    }
}
