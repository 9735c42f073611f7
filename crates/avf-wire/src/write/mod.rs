// SPDX-License-Identifier: Apache-2.0
//! Writes the arguments of `createVm` as a given release reads them.

mod app;
mod expressible;
mod raw;

use crate::release::{Layout, field};
use avf_aidl::service::cpu_options::CpuTopology;
use avf_aidl::service::{AssignableDeviceSelector, CpuOptions, VirtualMachineConfig};
use rsbinder::{Parcel, ParcelFileDescriptor, Serialize, SerializeOption, StatusCode};

pub(crate) use expressible::check;

type Written = Result<(), StatusCode>;

/// Writes for one layout.
struct Writer<'a> {
    parcel: &'a mut Parcel,
    layout: &'static Layout,
}

/// Writes `createVm`'s arguments. What the layout has no field for must have been refused before; see
/// [`check`].
pub(crate) fn create_vm(
    parcel: &mut Parcel,
    layout: &'static Layout,
    config: &VirtualMachineConfig,
    files: [Option<&ParcelFileDescriptor>; 4],
) -> Written {
    let mut w = Writer { parcel, layout };
    w.put(&1_i32)?;
    match config {
        VirtualMachineConfig::AppConfig(app) => {
            w.put(&0_i32)?;
            w.parcelable(|w| app::config(w, app))?;
        }
        VirtualMachineConfig::RawConfig(raw) => {
            w.put(&1_i32)?;
            w.parcelable(|w| raw::config(w, raw))?;
        }
    }
    let count = if w.has(field::QPR2) { 4 } else { 3 };
    for file in &files[..count] {
        w.nullable(*file)?;
    }
    Ok(())
}

impl Writer<'_> {
    fn has(&self, fields: field::Set) -> bool {
        self.layout.fields & fields != 0
    }

    fn put<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
        self.parcel.write(value)
    }

    /// Writes `value` if the layout has one of `fields`.
    fn since<T: Serialize + ?Sized>(&mut self, fields: field::Set, value: &T) -> Written {
        if self.has(fields) {
            self.put(value)
        } else {
            Ok(())
        }
    }

    fn nullable<T: SerializeOption>(&mut self, value: Option<&T>) -> Written {
        T::serialize_option(value, self.parcel)
    }

    /// A parcelable that is there.
    fn parcelable(&mut self, fields: impl FnOnce(&mut Writer<'_>) -> Written) -> Written {
        let layout = self.layout;
        self.put(&1_i32)?;
        self.parcel
            .sized_write(|parcel| fields(&mut Writer { parcel, layout }))
    }

    /// A parcelable that may be null.
    fn option<T>(
        &mut self,
        value: Option<&T>,
        fields: impl FnOnce(&mut Writer<'_>, &T) -> Written,
    ) -> Written {
        match value {
            Some(value) => self.parcelable(|w| fields(w, value)),
            None => self.put(&0_i32),
        }
    }

    fn list<T>(
        &mut self,
        values: &[T],
        mut element: impl FnMut(&mut Self, &T) -> Written,
    ) -> Written {
        let count = i32::try_from(values.len()).map_err(|_| StatusCode::BadValue)?;
        self.put(&count)?;
        values.iter().try_for_each(|value| element(self, value))
    }

    fn cpu_options(&mut self, options: &CpuOptions) -> Written {
        if self.has(field::V16) {
            self.put(options)
        } else {
            let topology: i8 = match options.cpuTopology {
                CpuTopology::CpuCount(_) => 0,
                CpuTopology::MatchHost(_) => 1,
            };
            self.put(&topology)
        }
    }

    /// Devices: selectors, or their paths.
    fn devices(&mut self, devices: &[AssignableDeviceSelector]) -> Written {
        if self.has(field::V17_1) {
            return self.list(devices, |w, device| w.put(device));
        }
        self.list(devices, |w, device| match device {
            AssignableDeviceSelector::ByPath(path) => w.put(path),
            AssignableDeviceSelector::ByLabel(_) => Err(StatusCode::BadValue),
        })
    }
}
