// SPDX-License-Identifier: Apache-2.0
//! What a VM has beside its directory: its CID among all managers, and what the global service gave.

use super::context::GlobalContext;
use super::global::{Global, Internal, Repeat};
use super::reporter::Reporter;
use crate::error::Error;
use crate::fd::duplicate;
use crate::vm::Listing;
use avf_aidl::global::IBoundDevice;
use avf_aidl::service::AssignableDeviceSelector;
use cid::CidLock;
use rsbinder::{ParcelFileDescriptor, Strong};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use vmm::plan::{Assigned, AssignedDevice};

/// What a VM has of the profile's. Dropping it gives all of it back.
// Dropped in this order: the network and the devices, then the CID; its lock first, for the service
// takes one that is locked for that of a VM that runs on.
#[derive(Debug)]
pub(super) struct Resources {
    tap: Option<Tap>,
    devices: Vec<Device>,
    lock: CidLock,
    context: Option<Arc<GlobalContext>>,
}

/// A device that is given back to its driver when no one refers to it any more.
struct Device(#[expect(dead_code, reason = "held, not used")] Strong<dyn IBoundDevice>);

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IBoundDevice")
    }
}

impl Resources {
    pub(super) fn new(lock: CidLock, context: Option<GlobalContext>) -> Self {
        Self {
            tap: None,
            devices: Vec::new(),
            context: context.map(Arc::new),
            lock,
        }
    }

    /// The VM's CID.
    pub(super) fn cid(&self) -> u32 {
        self.lock.cid()
    }

    /// How the VM's console is listed, if the global service lists it.
    pub(super) fn listing(&self, reporter: &Arc<Reporter>) -> Option<Arc<dyn Listing>> {
        let context = self.context.as_ref()?;
        Some(Arc::new(ConsoleListing {
            context: Arc::clone(context),
            reporter: Arc::clone(reporter),
        }))
    }

    /// A network device for the VM.
    pub(super) fn network(
        &mut self,
        global: &Arc<Global>,
        reporter: &Arc<Reporter>,
    ) -> Result<OwnedFd, Error> {
        // The service names the interface by it, so it must be the VM's own.
        let suffix = self.cid().to_string();
        let tap = global
            .call("networkSupported", Repeat::IfUnsent, |service| {
                service.create_tap_interface(&suffix)
            })
            .map_err(|e| {
                Error::refused(
                    "networkSupported: the global service gives no network device",
                    e,
                )
            })?;
        // Kept first: whatever fails from here on takes it down.
        let fd = duplicate("the network device", &tap);
        self.tap = Some(Tap {
            fd: Some(tap),
            global: Arc::clone(global),
            reporter: Arc::clone(reporter),
        });
        fd
    }

    /// The devices that `selectors` name by their directories in sysfs, or by their labels in the
    /// devices' overlay; bound for the VM.
    pub(super) fn devices(
        &mut self,
        global: &Global,
        selectors: &[AssignableDeviceSelector],
    ) -> Result<Assigned, Error> {
        let paths = &paths(global, selectors)?[..];
        let refused = |e| {
            Error::refused(
                format!("devices {paths:?}: the global service does not give them"),
                e,
            )
        };
        let bound = global
            .call("devices", Repeat::IfUnsent, |service| {
                service.bind_devices(paths)
            })
            .map_err(refused)?;
        let dtbo = global
            .call("devices", Repeat::IfUnanswered, |service| {
                service.dtbo_file()
            })
            .map_err(refused)?;
        let mut devices = Vec::new();
        for device in bound {
            devices.push(AssignedDevice {
                path: device.getSysfsPath().map_err(refused)?.into(),
                label: device.getDtboLabel().map_err(refused)?,
            });
            self.devices.push(Device(device));
        }
        Ok(Assigned {
            dtbo: File::from(duplicate("the devices' overlay", &dtbo)?),
            devices,
        })
    }
}

/// The directories of devices in sysfs.
fn paths(global: &Global, selectors: &[AssignableDeviceSelector]) -> Result<Vec<String>, Error> {
    let is_label = |selector: &_| matches!(selector, AssignableDeviceSelector::ByLabel(_));
    let known = if selectors.iter().any(is_label) {
        global
            .call("devices", Repeat::IfUnanswered, |service| {
                service.assignable_devices()
            })
            .map_err(|e| Error::refused("devices: the global service does not list them", e))?
    } else {
        Vec::new()
    };
    let path = |selector: &AssignableDeviceSelector| match selector {
        AssignableDeviceSelector::ByPath(path) => Ok(path.clone()),
        AssignableDeviceSelector::ByLabel(label) => known
            .iter()
            .find(|device| device.dtboLabel == *label)
            .map(|device| device.sysfsPath.clone())
            .ok_or_else(|| {
                Error::invalid(format!(
                    "devices: no assignable device has the label {label:?}; \
                     getAssignableDevices lists those that there are"
                ))
            }),
    };
    selectors.iter().map(path).collect()
}

/// A network device of the global service's. Dropping it has it taken down, by a thread that a
/// service that hangs may keep.
struct Tap {
    fd: Option<ParcelFileDescriptor>,
    global: Arc<Global>,
    reporter: Arc<Reporter>,
}

impl std::fmt::Debug for Tap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tap").finish_non_exhaustive()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        let Some(fd) = self.fd.take() else { return };
        let global = Arc::clone(&self.global);
        self.reporter.send(move || {
            let delete = |service: &Internal| service.delete_tap_interface(&fd);
            if let Err(e) = global.try_call(Repeat::IfUnanswered, delete) {
                log::warn!("cannot take down a VM's network device: {e}");
            }
        });
    }
}

/// Has the global service list where a VM's console is, by a thread that a service that hangs may keep.
struct ConsoleListing {
    context: Arc<GlobalContext>,
    reporter: Arc<Reporter>,
}

impl std::fmt::Debug for ConsoleListing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConsoleListing").finish_non_exhaustive()
    }
}

impl Listing for ConsoleListing {
    fn set_console(&self, path: &str) {
        let (context, name) = (self.context.clone(), path.to_owned());
        // Waited for: whoever sets the name may list the VMs next.
        let listed = self.reporter.send_and_wait(move || {
            if let Err(e) = context.set_console(&name) {
                log::warn!("the global service does not list the console {name}: {e}");
            }
        });
        if !listed {
            log::warn!("the global service has not listed the console {path} yet");
        }
    }
}
