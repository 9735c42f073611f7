// SPDX-License-Identifier: Apache-2.0
//! What the platform gives: where its files are.

use std::path::{Path, PathBuf};

/// The environment variable that names another root for files.
pub const ROOT_VARIABLE: &str = "VIRTMGR_ROOT";

/// The host's file system, or a directory that stands for it.
#[derive(Debug, Clone)]
pub struct Host {
    root: PathBuf,
}

impl Host {
    /// The host as this process sees it.
    ///
    /// `VIRTMGR_ROOT` is honoured only if the process runs with the privileges of its caller: a
    /// program with raised privileges must not read its configuration from where the caller says.
    #[must_use]
    pub fn of_process() -> Self {
        match std::env::var_os(ROOT_VARIABLE).filter(|root| !root.is_empty()) {
            Some(_) if has_raised_privileges() => {
                log::warn!("{ROOT_VARIABLE} is ignored: this program runs with raised privileges");
                Self::at("/")
            }
            Some(root) => match std::fs::canonicalize(&root) {
                Ok(root) => Self::at(root),
                Err(e) => {
                    log::error!("{ROOT_VARIABLE}={}: {e}", root.display());
                    Self::at(root)
                }
            },
            None => Self::at("/"),
        }
    }

    /// A host whose files are under `root`.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The directory that stands for `/`.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the absolute `path` of the platform is.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }
}

/// Whether the kernel gave this process more privileges than its caller has.
#[expect(unsafe_code, reason = "the auxiliary vector has no safe reader")]
fn has_raised_privileges() -> bool {
    // SAFETY: getauxval takes an integer, returns one, and reads only what the kernel gave.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}
