// SPDX-License-Identifier: Apache-2.0
//! Files and directories, with errors that name them.

use anyhow::{Context, Result};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Makes a directory and those above it.
pub(crate) fn make_dir(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))
}

/// Removes `file` so that it can be made again, also while it runs or is linked elsewhere.
pub(crate) fn remove(file: &Path) -> Result<()> {
    match fs::remove_file(file) {
        Err(e) if e.kind() != ErrorKind::NotFound => {
            Err(e).with_context(|| format!("remove {}", file.display()))
        }
        _ => Ok(()),
    }
}

/// Puts a copy of `from` in place of `to`.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    remove(to)?;
    fs::copy(from, to)
        .map(drop)
        .with_context(|| format!("copy {} to {}", from.display(), to.display()))
}

/// Writes `content` to a new file in place of `file`.
pub(crate) fn write(file: &Path, content: &[u8]) -> Result<()> {
    remove(file)?;
    fs::write(file, content).with_context(|| format!("write {}", file.display()))
}

/// As [`write()`], and everyone may run it.
pub(crate) fn write_program(file: &Path, text: &str) -> Result<()> {
    write(file, text.as_bytes())?;
    set_mode(file, 0o755)
}

/// Sets the permissions of a file or directory.
pub(crate) fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .with_context(|| format!("set the mode of {}", path.display()))
}
