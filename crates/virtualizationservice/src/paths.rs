// SPDX-License-Identifier: Apache-2.0
//! Where the service's files are, on Android and elsewhere.

use host::{Host, RootError};
use std::path::{Path, PathBuf};

/// The service's directory on Android; its data partition is the only place that it may write to.
const ANDROID: &str = "data/misc/virtualizationservice";
/// What is there on Android before the service is.
const ANDROID_PARENT: &str = "data/misc";
/// The directory for what is gone with the next boot, elsewhere.
const RUN: &str = "run/virtualizationservice";
/// The directory for what stays, elsewhere.
const STATE: &str = "var/lib/virtualizationservice";

/// The service's files on one host.
#[derive(Debug, Clone)]
pub struct Paths {
    host: Host,
    has_data: bool,
}

impl Paths {
    /// The files on the host as this process sees it.
    ///
    /// # Errors
    /// If `VIRTMGR_ROOT` names something other than a directory.
    pub fn of_process() -> Result<Self, &'static RootError> {
        Host::of_process().map(Self::on)
    }

    /// The files below the directory `root`.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self::on(Host::at(root))
    }

    fn on(host: Host) -> Self {
        Self {
            has_data: host.path(ANDROID_PARENT).is_dir(),
            host,
        }
    }

    /// The host.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The directory that stands for `/`.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.host.root()
    }

    /// The directory of what is gone with the next boot.
    #[must_use]
    pub fn run(&self) -> PathBuf {
        self.root().join(if self.has_data { ANDROID } else { RUN })
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
        self.root().join(directory).join("vmdb.sqlite")
    }

    /// The service's socket, which is in the same place on all machines.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.root().join(service_client::SOCKET)
    }

    /// The socket for the system's own messages.
    #[must_use]
    pub fn maintenance_socket(&self) -> PathBuf {
        self.root().join(service_client::MAINTENANCE_SOCKET)
    }
}
