// SPDX-License-Identifier: Apache-2.0
//! `virtmgr`: CIDs and directories are handed out in this process, with locks that hold between
//! processes, so that two managers never take the same.

use crate::app_config::Apexes;
use crate::client::Client;
use crate::host::Host;
use crate::profile::Capabilities;
use crate::service::status::failure;
use crate::vm::directory::{Error as DirectoryError, sweep};
use crate::vm::{self, Context, VmDirectory, Vms, vhost};
use avf_aidl::service::VirtualMachineDebugInfo;
use microdroid::PayloadConfig;
use microdroid::apex::{ApexInfoList, CLASSPATH, Source};
use rsbinder::BinderResult;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

/// The program's name.
pub const NAME: &str = "virtmgr";
/// What it is for, in half a line.
pub const ABOUT: &str = "manages the VMs of one client";
/// Network and devices come from the global service.
pub const CAPABILITIES: Capabilities = Capabilities {
    network: false,
    device_assignment: false,
    vendor_modules: true,
    multi_tenant: true,
};

/// The CIDs that are handed out.
const CIDS: std::ops::RangeInclusive<u32> = 2048..=65535;
/// The platform's tool that knows the class path.
const DERIVE_CLASSPATH: &str = "/apex/com.android.sdkext/bin/derive_classpath";
/// Where the VMs' directories of the superuser are.
const DIRECTORIES: &str = "/run/virtmgr";

/// The global service would lift it; there is none to ask.
pub fn lift_memory_lock_limit() {}

/// The answer of a method that needs the global service.
#[must_use]
pub fn no_global_service(method: &str) -> String {
    format!("{NAME} doesn't support {method} without the global virtualization service")
}

pub use super::vendor_image::vendor_digest;

/// APEXes as they are active.
#[derive(Debug)]
pub struct Selection {
    derive_classpath: PathBuf,
}

impl Selection {
    /// The selection on a host.
    #[must_use]
    pub fn new(host: &Host) -> Self {
        Self {
            derive_classpath: host.path(DERIVE_CLASSPATH),
        }
    }
}

impl Apexes for Selection {
    fn complete(&self, list: &mut ApexInfoList, config: &PayloadConfig) -> Result<(), vm::Error> {
        if config.apexes.iter().any(|apex| apex.name == CLASSPATH) {
            list.mark_classpath(&class_path(&self.derive_classpath)?);
        }
        if config.prefer_staged {
            log::warn!(
                "prefer_staged: this manager cannot ask for staged APEXes; the active ones are taken"
            );
        }
        Ok(())
    }

    fn source(&self) -> Source {
        Source::Active
    }
}

/// What the platform's tool prints of the class path.
fn class_path(program: &Path) -> Result<String, vm::Error> {
    let failed =
        |e: io::Error| vm::Error::io(format!("run {} for {CLASSPATH}", program.display()), e);
    let output = Command::new(program)
        .arg("/proc/self/fd/1")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(failed)?;
    if !output.status.success() {
        return Err(failed(io::Error::other(output.status.to_string())));
    }
    String::from_utf8(output.stdout).map_err(|e| failed(io::Error::other(e)))
}

/// A VM that its client may create.
#[derive(Debug)]
pub struct Request {
    name: String,
}

impl Request {
    /// Whether the client is on a partition of the vendor's; not known here.
    #[must_use]
    pub fn is_vendor(&self) -> bool {
        false
    }
}

/// Gives every client what it asks for, with a free CID.
#[derive(Debug)]
pub struct Provider {
    host: Host,
    client: Client,
    next: AtomicU32,
    swept: Once,
}

impl Provider {
    /// The provider for `client`.
    #[must_use]
    pub fn new(host: Host, client: Client) -> Self {
        // Managers that run at once begin apart, so that they rarely try the same.
        let spread = (CIDS.end() - CIDS.start() + 1) / 64;
        let start = CIDS.start() + std::process::id() % 64 * spread;
        Self {
            host,
            client,
            next: AtomicU32::new(start),
            swept: Once::new(),
        }
    }

    /// Every VM may be had.
    ///
    /// # Errors
    /// If it has no name.
    pub fn authorize(&self, name: &str, _instance_id: &[u8; 64]) -> Result<Request, vm::Error> {
        Ok(Request {
            name: name.to_owned(),
        })
    }

    /// The directory that holds those of the VMs: `/run/virtmgr` for the superuser, else one in the
    /// user's runtime directory.
    fn base(&self) -> Result<PathBuf, vm::Error> {
        if rustix::process::geteuid().is_root() {
            return Ok(self.host.path(DIRECTORIES));
        }
        std::env::var_os("XDG_RUNTIME_DIR")
            .filter(|dir| !dir.is_empty())
            .map(|dir| PathBuf::from(dir).join(NAME))
            .ok_or_else(|| {
                let hint =
                    "XDG_RUNTIME_DIR is not set: set it to a directory of your own in a tmpfs";
                vm::Error::io(
                    "find a place for the VM's directory",
                    io::Error::other(hint),
                )
            })
    }

    /// Takes a free CID and its directory.
    ///
    /// # Errors
    /// [`vm::Error::NoCid`] if all are taken.
    pub fn context(&self, request: Request) -> Result<Context, vm::Error> {
        let base = self.base()?;
        self.swept.call_once(|| sweep(&base));
        for _ in CIDS {
            let cid = self
                .next
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |cid| {
                    Some(if cid >= *CIDS.end() {
                        *CIDS.start()
                    } else {
                        cid + 1
                    })
                });
            let cid = cid.unwrap_or(*CIDS.start());
            let directory = match VmDirectory::claim(&base, cid, &request.name, self.client.pid()) {
                Ok(directory) => directory,
                Err(DirectoryError::Running { .. } | DirectoryError::Foreign { .. }) => continue,
                Err(e) => return Err(e.into()),
            };
            match vhost::reserve(cid) {
                Ok(vhost) => {
                    return Ok(Context {
                        name: request.name,
                        cid,
                        vhost,
                        directory,
                    });
                }
                // Another program's VM has it.
                Err(vm::Error::CidTaken { .. }) => {}
                Err(e) => return Err(e),
            }
        }
        Err(vm::Error::NoCid)
    }

    /// 64 random bytes.
    ///
    /// # Errors
    /// If the kernel gives none.
    pub fn allocate_instance_id(&self) -> BinderResult<[u8; 64]> {
        let mut id = [0; 64];
        let mut filled = 0;
        while filled < id.len() {
            filled +=
                rustix::rand::getrandom(&mut id[filled..], rustix::rand::GetRandomFlags::empty())
                    .map_err(|e| failure(&io::Error::from(e)))?;
        }
        Ok(id)
    }

    /// Names of consoles are kept and listed.
    ///
    /// # Errors
    /// None.
    pub fn check_host_console_names() -> BinderResult<()> {
        Ok(())
    }

    /// The VMs of this client.
    ///
    /// # Errors
    /// None.
    pub fn debug_list_vms(&self, vms: &Vms) -> BinderResult<Vec<VirtualMachineDebugInfo>> {
        Ok(vms
            .all()
            .iter()
            .map(|vm| VirtualMachineDebugInfo {
                cid: vm.cid().cast_signed(),
                temporaryDirectory: vm.directory_path().to_string_lossy().into_owned(),
                requesterUid: self.client.uid().cast_signed(),
                requesterPid: self.client.pid(),
                hostConsoleName: vm.host_console_name(),
            })
            .collect())
    }

    /// There is no one to ask.
    ///
    /// # Errors
    /// None.
    pub fn is_remote_attestation_supported(&self) -> BinderResult<bool> {
        Ok(false)
    }
}
