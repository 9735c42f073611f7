// SPDX-License-Identifier: Apache-2.0
//! Devices of the host for VMs: taken from their drivers and given to `vfio-platform`, and back.
//!
//! The way is that of `Documentation/ABI/testing/sysfs-bus-platform`: the device's `driver_override`
//! names the only driver that may have it, its driver is told to release it (`driver/unbind`), and the bus
//! to look for a driver again (`drivers_probe`).

mod list;

pub(crate) use list::{Device, load};

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The driver that gives devices to VMs.
const DRIVER: &str = "vfio-platform";
/// What is there if the kernel has it.
const NEEDED: [&str; 2] = ["dev/vfio/vfio", "sys/bus/platform/drivers/vfio-platform"];
/// Where a driver is looked for.
const PROBE: &str = "sys/bus/platform/drivers_probe";

/// Why a device cannot be given to a VM.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The list is wrong.
    #[error("{}: {why}", path.display())]
    List {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        why: String,
    },
    /// The kernel lacks the driver.
    #[error("{} is missing: the kernel has no VFIO for platform devices (modprobe vfio-platform)", .0.display())]
    NoDriver(PathBuf),
    /// The device is not in the list.
    #[error("device {0} may not be given to a VM: it is not in {list}", list = list::FILE)]
    NotAssignable(String),
    /// The device is asked for twice, or another VM has it.
    #[error("device {0} is in use by a VM")]
    InUse(String),
    /// The device has no IOMMU.
    #[error("device {0} has no IOMMU group, so that it could reach all of the memory")]
    NoIommu(String),
    /// The driver did not take it.
    #[error("the driver {DRIVER} did not take the device {device}; its driver is {}", .by.as_deref().unwrap_or("none"))]
    NotTaken {
        /// The device.
        device: String,
        /// The driver that has it.
        by: Option<String>,
    },
    /// A file cannot be read or written.
    #[error("{what} {}", path.display())]
    Io {
        /// What was being done.
        what: &'static str,
        /// To what.
        path: PathBuf,
        /// The system error.
        source: io::Error,
    },
}

impl Error {
    fn io(what: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            what,
            path: path.to_owned(),
            source,
        }
    }
}

/// Writes to the kernel's control files. A test plays the kernel here.
pub(crate) trait Sysfs: Send + Sync {
    /// Writes `text` to the file, which must be there.
    fn write(&self, file: &Path, text: &str) -> io::Result<()>;
}

/// The kernel's own.
#[derive(Debug)]
pub(crate) struct Kernel;

impl Sysfs for Kernel {
    fn write(&self, file: &Path, text: &str) -> io::Result<()> {
        use std::io::Write;
        let mut file = fs::OpenOptions::new().write(true).open(file)?;
        // One write: the kernel takes each as one message.
        file.write_all(text.as_bytes())
    }
}

/// Gives devices to VMs.
pub(crate) struct Vfio {
    root: PathBuf,
    sysfs: Box<dyn Sysfs>,
    bound: Mutex<BTreeSet<PathBuf>>,
}

impl Vfio {
    pub(crate) fn new(root: &Path, sysfs: impl Sysfs + 'static) -> Arc<Self> {
        Arc::new(Self {
            root: root.to_owned(),
            sysfs: Box::new(sysfs),
            bound: Mutex::default(),
        })
    }

    fn bound(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.bound.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The devices that VMs may be given.
    pub(crate) fn assignable(&self) -> Result<Vec<Device>, Error> {
        load(&self.root)
    }

    /// Takes the devices with these sysfs paths from their drivers: all, or none if one fails.
    pub(crate) fn bind(self: &Arc<Self>, paths: &[String]) -> Result<Vec<Bound>, Error> {
        if paths.is_empty() {
            return Ok(Vec::new());
        }
        let needed = NEEDED.map(|path| self.root.join(path));
        if let Some(path) = needed.into_iter().find(|path| !path.exists()) {
            return Err(Error::NoDriver(path));
        }
        let list = self.assignable()?;
        let devices: Vec<&Device> = paths
            .iter()
            .map(|path| {
                let device = list.iter().find(|device| device.sysfs_path == *path);
                device.ok_or_else(|| Error::NotAssignable(path.escape_debug().to_string()))
            })
            .collect::<Result<_, _>>()?;
        // Devices that were bound before one failed are given back by this.
        devices
            .into_iter()
            .map(|device| self.bind_one(device))
            .collect()
    }

    fn bind_one(self: &Arc<Self>, device: &Device) -> Result<Bound, Error> {
        let named = self.root.join(device.sysfs_path.trim_start_matches('/'));
        let path = fs::canonicalize(&named).map_err(|e| Error::io("cannot find", &named, e))?;
        if !path.join("iommu_group").exists() {
            return Err(Error::NoIommu(device.sysfs_path.clone()));
        }
        if !self.bound().insert(path.clone()) {
            return Err(Error::InUse(device.sysfs_path.clone()));
        }
        let bound = Bound {
            vfio: Arc::clone(self),
            device: device.clone(),
            path,
        };
        bound.move_to(Some(DRIVER))?;
        match driver(&bound.path) {
            Some(by) if by == DRIVER => Ok(bound),
            by => Err(Error::NotTaken {
                device: device.sysfs_path.clone(),
                by,
            }),
        }
    }

    fn write(&self, file: &Path, text: &str) -> Result<(), Error> {
        self.sysfs
            .write(file, text)
            .map_err(|e| Error::io("cannot write to", file, e))
    }
}

/// The name of the driver that has the device `path`.
fn driver(path: &Path) -> Option<String> {
    let driver = fs::read_link(path.join("driver")).ok()?;
    Some(driver.file_name()?.to_string_lossy().into_owned())
}

/// A device that a VM may have. Dropping it gives it back to its own driver.
pub(crate) struct Bound {
    vfio: Arc<Vfio>,
    device: Device,
    path: PathBuf,
}

impl Bound {
    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    /// Takes it from its driver, and has the bus look for another: this one, or any that fits.
    fn move_to(&self, only: Option<&str>) -> Result<(), Error> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let only = only.unwrap_or_default();
        self.vfio
            .write(&self.path.join("driver_override"), &format!("{only}\n"))?;
        if driver(&self.path).is_some() {
            self.vfio
                .write(&self.path.join("driver").join("unbind"), &name)?;
        }
        self.vfio.write(&self.vfio.root.join(PROBE), &name)
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        if let Err(e) = self.move_to(None) {
            log::error!(
                "device {} could not be given back: {}",
                self.device.sysfs_path,
                host::chain(&e)
            );
        }
        self.vfio.bound().remove(&self.path);
    }
}

#[cfg(test)]
mod tests;
