// SPDX-License-Identifier: Apache-2.0
//! Where the files of the machine are, on Android and elsewhere.

use std::path::{Path, PathBuf};

/// The environment variable that names another root for files.
pub const ROOT_VARIABLE: &str = "VIRTMGR_ROOT";

/// The service's directory on Android; its data partition is the only place that it may write to.
const ANDROID: &str = "data/misc/virtualizationservice";
/// What is there on Android before the service is.
const ANDROID_PARENT: &str = "data/misc";
/// The directory for what is gone with the next boot, elsewhere.
const RUN: &str = "run/virtualizationservice";
/// The directory for what stays, elsewhere.
const STATE: &str = "var/lib/virtualizationservice";
/// Where Android keeps its properties.
const PROPERTIES: &str = "dev/__properties__";

/// The machine's file system, or a directory that stands for it.
#[derive(Debug, Clone)]
pub struct Place {
    root: PathBuf,
    has_data: bool,
}

impl Place {
    /// The machine as this process sees it: `VIRTMGR_ROOT`, or `/`.
    #[must_use]
    pub fn of_process() -> Self {
        let root = std::env::var_os(ROOT_VARIABLE).filter(|root| !root.is_empty());
        // A program with raised privileges must not read its configuration from where its caller says.
        if root.is_some() && rustix::process::geteuid() != rustix::process::getuid() {
            log::warn!("{ROOT_VARIABLE} is ignored: this program runs with raised privileges");
            return Self::at("/");
        }
        Self::at(root.unwrap_or_else(|| "/".into()))
    }

    /// The machine whose files are below `root`.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        let root = std::fs::canonicalize(&root).unwrap_or(root);
        Self {
            has_data: root.join(ANDROID_PARENT).is_dir(),
            root,
        }
    }

    /// The directory that stands for `/`.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the absolute `path` is.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// The directory of what is gone with the next boot.
    #[must_use]
    pub fn run(&self) -> PathBuf {
        self.root.join(if self.has_data { ANDROID } else { RUN })
    }

    /// The directory of VMs' directories.
    #[must_use]
    pub fn vms(&self) -> PathBuf {
        let run = self.run();
        if self.has_data { run } else { run.join("vms") }
    }

    /// The directory of notes about VMs.
    #[must_use]
    pub fn notes(&self) -> PathBuf {
        self.run().join("contexts")
    }

    /// The file with the last CID that was handed out.
    #[must_use]
    pub fn last_cid(&self) -> PathBuf {
        self.run().join("state")
    }

    /// The file that the one service has locked.
    #[must_use]
    pub fn instance_lock(&self) -> PathBuf {
        self.run().join("lock")
    }

    /// The database of instance ids.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        let directory = if self.has_data { ANDROID } else { STATE };
        self.root.join(directory).join("vmdb.sqlite")
    }

    /// The service's socket, which is in the same place on all machines.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.root.join(service_client::SOCKET)
    }

    /// The socket for the system's own messages.
    #[must_use]
    pub fn maintenance_socket(&self) -> PathBuf {
        self.root.join(service_client::MAINTENANCE_SOCKET)
    }

    /// Whether this machine has Android's system properties.
    #[must_use]
    pub fn has_properties(&self) -> bool {
        self.root.join(PROPERTIES).is_dir()
    }

    /// A system property that is set to more than nothing.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<String> {
        if !self.has_properties() {
            return None;
        }
        let directory = self.root.join(PROPERTIES);
        // Refused if it was done before, with the same directory.
        let _ =
            rsproperties::try_init(rsproperties::PropertyConfig::with_properties_dir(directory));
        let properties = rsproperties::try_system_properties().ok()?;
        let value = properties.get_with_result(name).ok()?;
        Some(value).filter(|value| !value.is_empty())
    }
}
