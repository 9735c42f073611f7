// SPDX-License-Identifier: Apache-2.0
//! The kernel's binder driver. The binder library panics where it is asked for services without it;
//! here is the one place that asks, and only after the driver is opened.

use rsbinder::{ProcessState, SIBinder, StatusCode, hub};
use std::path::{Path, PathBuf};

/// The driver's devices, below the root directory, as binderfs has it and as it was before.
const DEVICES: [&str; 2] = ["dev/binderfs/binder", "dev/binder"];
/// Threads that the kernel may ask for. Calls of the service that wait take one each.
const THREADS: u32 = 15;

/// Why there is no service manager to ask.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no device.
    #[error("there is neither /dev/binderfs/binder nor /dev/binder")]
    NoDevice,
    /// The device cannot be used.
    #[error("{}: {why}", device.display())]
    Device {
        /// The device.
        device: PathBuf,
        /// The library's words.
        why: String,
    },
    /// Nobody is the context manager.
    #[error("{}: no service manager answers ({status:?})", device.display())]
    NoServiceManager {
        /// The device.
        device: PathBuf,
        /// The library's answer.
        status: StatusCode,
    },
}

/// An opened binder driver with a service manager.
#[derive(Debug)]
pub struct Kernel {
    device: PathBuf,
}

/// The binder device of the machine whose files are below `root`.
#[must_use]
pub fn device(root: &Path) -> Option<PathBuf> {
    DEVICES
        .iter()
        .map(|device| root.join(device))
        .find(|device| device.exists())
}

impl Kernel {
    /// Opens the driver below `root`.
    ///
    /// # Errors
    /// If there is none, or no service manager answers.
    pub fn open(root: &Path) -> Result<Self, Error> {
        Self::open_device(device(root).ok_or(Error::NoDevice)?)
    }

    /// Opens `device`. A process has one binder driver: when this was done before, that one stays.
    ///
    /// # Errors
    /// If it cannot be opened, or no service manager answers.
    pub fn open_device(device: PathBuf) -> Result<Self, Error> {
        let Some(name) = device.to_str() else {
            let why = "its path is not UTF-8".to_owned();
            return Err(Error::Device { device, why });
        };
        if let Err(e) = ProcessState::init(name, THREADS) {
            let why = e.to_string().trim_end().to_owned();
            return Err(Error::Device { device, why });
        }
        // Before anything is looked up: callbacks and obituaries need threads.
        ProcessState::start_thread_pool();
        match hub::default() {
            Ok(_) => Ok(Self { device }),
            Err(status) => Err(Error::NoServiceManager { device, status }),
        }
    }

    /// The device.
    #[must_use]
    pub fn device(&self) -> &Path {
        &self.device
    }

    /// The service `name`; none if it is not registered.
    ///
    /// # Errors
    /// If the service manager does not answer.
    pub fn get(&self, name: &str) -> Result<Option<SIBinder>, Error> {
        hub::try_get_service(name).map_err(|status| self.no_manager(status))
    }

    /// Registers `binder` as `name`.
    ///
    /// # Errors
    /// If the service manager refuses.
    pub fn register(&self, name: &str, binder: SIBinder) -> Result<(), rsbinder::Status> {
        hub::add_service(name, binder)
    }

    /// Whether the device's manifest declares the service `name`.
    #[must_use]
    pub fn is_declared(&self, name: &str) -> bool {
        hub::is_declared(name)
    }

    fn no_manager(&self, status: StatusCode) -> Error {
        Error::NoServiceManager {
            device: self.device.clone(),
            status,
        }
    }
}
