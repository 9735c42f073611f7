// SPDX-License-Identifier: Apache-2.0
//! The file of the user's that gets the guest's device tree.

use anyhow::{Context, Result};
use host::with_remedy;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file for a device tree. One that was made here, and that no VMM has written to, is removed again.
#[derive(Debug)]
pub(super) struct DeviceTree {
    path: PathBuf,
    file: File,
    is_new: bool,
}

impl DeviceTree {
    /// Makes the file, or opens the one that is there. Its content stays until there is a VM.
    ///
    /// # Errors
    /// If it can be neither made nor opened for writing.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let (file, is_new) = open(path)
            .map_err(|e| {
                with_remedy(
                    e,
                    "name a file that may be written, or one in a directory that may be",
                )
            })
            .with_context(|| format!("cannot write --dump-device-tree {}", path.display()))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            is_new,
        })
    }

    /// The descriptor that the manager gets.
    ///
    /// # Errors
    /// If no more descriptors can be opened.
    pub(super) fn descriptor(&self) -> Result<OwnedFd> {
        let file = self.file.try_clone();
        Ok(file.context("cannot use --dump-device-tree")?.into())
    }

    /// Removes what the file has had before.
    ///
    /// # Errors
    /// If it cannot be shortened.
    pub(super) fn clear(&self) -> Result<()> {
        if self.is_new || !self.file.metadata().is_ok_and(|meta| meta.is_file()) {
            return Ok(());
        }
        self.file
            .set_len(0)
            .with_context(|| format!("cannot empty --dump-device-tree {}", self.path.display()))
    }

    /// Whether it is a file to which nothing has been written.
    pub(super) fn is_empty(&self) -> bool {
        let meta = self.file.metadata();
        meta.is_ok_and(|meta| meta.is_file() && meta.len() == 0)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the path still leads to the file.
    fn is_named(&self) -> bool {
        match (self.file.metadata(), fs::symlink_metadata(&self.path)) {
            (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
            _ => false,
        }
    }
}

impl Drop for DeviceTree {
    fn drop(&mut self) {
        if self.is_new && self.is_empty() && self.is_named() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The file, and whether it is new.
fn open(path: &Path) -> io::Result<(File, bool)> {
    let mut options = OpenOptions::new();
    let options = options.write(true);
    match options.clone().create_new(true).open(path) {
        Ok(file) => Ok((file, true)),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok((options.open(path)?, false)),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn only_a_new_file_without_a_tree_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tree.dtb");
        drop(DeviceTree::open(&path).unwrap());
        assert!(!path.exists());

        // The VMM writes to a descriptor of its own.
        let tree = DeviceTree::open(&path).unwrap();
        assert!(tree.is_empty());
        File::from(tree.descriptor().unwrap())
            .write_all(b"long tree")
            .unwrap();
        assert!(!tree.is_empty());
        drop(tree);
        assert_eq!(fs::read(&path).unwrap(), b"long tree");

        // What was there stays until there is a VM, and is then gone as a whole.
        drop(DeviceTree::open(&path).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"long tree");
        let tree = DeviceTree::open(&path).unwrap();
        tree.clear().unwrap();
        File::from(tree.descriptor().unwrap())
            .write_all(b"tree")
            .unwrap();
        drop(tree);
        assert_eq!(fs::read(&path).unwrap(), b"tree");

        // An empty file of the user's is not removed, nor what has taken the place of a new one.
        fs::write(&path, "").unwrap();
        drop(DeviceTree::open(&path).unwrap());
        assert!(path.exists());
        fs::remove_file(&path).unwrap();
        let tree = DeviceTree::open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "").unwrap();
        let other = directory.path().join("other");
        fs::rename(&path, &other).unwrap();
        fs::write(&path, "").unwrap();
        drop(tree);
        assert!(path.exists() && other.exists());
    }

    #[test]
    fn what_is_not_a_file_is_left_alone() {
        let tree = DeviceTree::open(Path::new("/dev/null")).unwrap();
        tree.clear().unwrap();
        assert!(!tree.is_empty());
        drop(tree);
        assert!(Path::new("/dev/null").exists());
        for path in ["/", "/nonexistent/tree", "/dev/null/tree", ""] {
            let error = format!("{:#}", DeviceTree::open(Path::new(path)).unwrap_err());
            assert!(
                error.starts_with(&format!("cannot write --dump-device-tree {path}: ")),
                "{error}"
            );
            assert!(
                error.contains("; name a file that may be written"),
                "{error}"
            );
        }
    }
}
