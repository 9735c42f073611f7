// SPDX-License-Identifier: Apache-2.0
//! The displays of a running VM.

use crate::error::Error;
use crate::vm::Instance;
use crate::vm::plan;
use avf_aidl::service::{DisplayConfig, VirtualMachineDisplay};
use std::num::NonZeroU32;
use vmm::plan::Display;

impl Instance {
    /// Plugs in another display.
    ///
    /// # Errors
    /// If `config` has a value that it must not have, the VM does not run, or its VMM cannot do that.
    pub fn add_display(&self, config: &DisplayConfig) -> Result<(), Error> {
        let display = plan::display(config)?;
        Ok(self.control("addDisplay")?.add_display(&display)?)
    }

    /// Unplugs the display with this number.
    ///
    /// # Errors
    /// If the number is negative, the VM does not run, or its VMM cannot do that.
    pub fn remove_display(&self, number: i32) -> Result<(), Error> {
        let number = u32::try_from(number)
            .map_err(|_| Error::invalid(format!("displayId {number}: it must not be negative")))?;
        Ok(self.control("removeDisplay")?.remove_display(number)?)
    }

    /// The displays that are plugged in.
    ///
    /// # Errors
    /// If the VM does not run, or its VMM cannot tell.
    pub fn displays(&self) -> Result<Vec<VirtualMachineDisplay>, Error> {
        let displays = self.control("getDisplays")?.displays()?;
        Ok(displays.into_iter().map(parcelable).collect())
    }
}

fn parcelable((number, display): (u32, Display)) -> VirtualMachineDisplay {
    let signed = |number: NonZeroU32| i32::try_from(number.get()).unwrap_or(i32::MAX);
    VirtualMachineDisplay {
        id: i32::try_from(number).unwrap_or(i32::MAX),
        config: DisplayConfig {
            width: signed(display.width),
            height: signed(display.height),
            horizontalDpi: signed(display.horizontal_dpi),
            verticalDpi: signed(display.vertical_dpi),
            refreshRate: signed(display.refresh_rate),
        },
    }
}
