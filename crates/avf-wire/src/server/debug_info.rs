// SPDX-License-Identifier: Apache-2.0
//! `VirtualMachineDebugInfo`, the one result whose form depends on the release.

use crate::release::{Layout, field};
use avf_aidl::service::VirtualMachineDebugInfo;
use rsbinder::{Parcel, Serialize, SerializeArray, StatusCode};

/// The description of a VM in the form of a layout.
pub(super) struct DebugInfo<'a> {
    pub(super) info: &'a VirtualMachineDebugInfo,
    pub(super) layout: &'static Layout,
}

impl Serialize for DebugInfo<'_> {
    fn serialize(&self, parcel: &mut Parcel) -> Result<(), StatusCode> {
        let info = self.info;
        let has = |field| self.layout.fields & field != 0;
        parcel.write_i32(1)?;
        parcel.sized_write(|parcel| {
            if has(field::V16) {
                parcel.write(&info.name)?;
            }
            parcel.write(&info.cid)?;
            parcel.write(&info.temporaryDirectory)?;
            parcel.write(&info.requesterUid)?;
            parcel.write(&info.requesterPid)?;
            if has(field::QPR1) {
                parcel.write(&info.hostConsoleName)?;
            }
            if has(field::V17_1) {
                parcel.write(&info.instanceId)?;
            }
            Ok(())
        })
    }
}

impl SerializeArray for DebugInfo<'_> {}
