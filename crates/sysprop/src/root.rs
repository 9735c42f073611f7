// SPDX-License-Identifier: Apache-2.0
//! The directory that stands for `/`.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The environment variable that names the directory that stands for `/`.
pub const ROOT_VARIABLE: &str = "VIRTMGR_ROOT";

/// `VIRTMGR_ROOT` names a directory that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot use {ROOT_VARIABLE}={}: {answer}; name a directory that exists, or unset it",
    root.display()
)]
pub struct RootError {
    root: PathBuf,
    /// In the middle of the text, so it is not a source, which would repeat it.
    answer: io::Error,
}

/// The root directory of this process: `VIRTMGR_ROOT` without links, or `/`.
///
/// A program with more privileges than its caller ignores the variable: it must not read its
/// configuration from where the caller says.
///
/// # Errors
/// If the variable names something other than a directory.
pub fn root() -> Result<&'static Path, &'static RootError> {
    static ROOT: OnceLock<Result<PathBuf, RootError>> = OnceLock::new();
    ROOT.get_or_init(|| {
        let variable = std::env::var_os(ROOT_VARIABLE);
        find(variable.as_deref(), has_raised_privileges())
    })
    .as_deref()
}

fn find(variable: Option<&OsStr>, is_raised: bool) -> Result<PathBuf, RootError> {
    let Some(root) = variable.filter(|root| !root.is_empty()).map(Path::new) else {
        return Ok("/".into());
    };
    if is_raised {
        log::warn!("{ROOT_VARIABLE} is ignored: this program has more privileges than its caller");
        return Ok("/".into());
    }
    let checked = std::fs::canonicalize(root).and_then(|path| {
        if path.is_dir() {
            Ok(path)
        } else {
            Err(rustix::io::Errno::NOTDIR.into())
        }
    });
    checked.map_err(|answer| RootError {
        root: root.to_owned(),
        answer,
    })
}

/// Whether the kernel gave this process more privileges than its caller has (set-user-ID,
/// set-group-ID or file capabilities).
#[must_use]
#[expect(unsafe_code, reason = "the auxiliary vector has no safe reader")]
pub fn has_raised_privileges() -> bool {
    // SAFETY: getauxval takes an integer, returns one, and reads only what the kernel passed.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_a_directory_without_links() {
        let directory = tempfile::tempdir().unwrap();
        let real = directory.path().canonicalize().unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        assert_eq!(find(Some(link.as_os_str()), false).unwrap(), real);
        assert_eq!(find(Some(link.as_os_str()), true).unwrap(), Path::new("/"));
        assert_eq!(find(Some(OsStr::new("")), false).unwrap(), Path::new("/"));
        assert_eq!(find(None, false).unwrap(), Path::new("/"));
    }

    #[test]
    fn a_root_that_is_not_there_is_an_error() {
        let error = find(Some(OsStr::new("/no/such")), false).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot use VIRTMGR_ROOT=/no/such: No such file or directory (os error 2); \
             name a directory that exists, or unset it"
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = find(Some(file.path().as_os_str()), false).unwrap_err();
        assert!(error.to_string().contains("Not a directory"), "{error}");
    }
}
