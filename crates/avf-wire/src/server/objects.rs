// SPDX-License-Identifier: Apache-2.0
//! The objects of a received message.

use crate::read::Objects;
use avf_aidl::common::IEncryptedStoreKEK;
use rsbinder::{Parcel, ParcelFileDescriptor, StatusCode, Strong};

/// The descriptors and binders of a parcel whose arguments begin at `start`.
pub(super) struct Received<'a> {
    pub(super) parcel: &'a mut Parcel,
    pub(super) start: usize,
    /// Why an object could not be taken.
    pub(super) failed: Option<StatusCode>,
}

impl Received<'_> {
    fn take<T>(
        &mut self,
        at: usize,
        read: impl FnOnce(&mut Parcel) -> Result<T, StatusCode>,
    ) -> Option<T> {
        self.parcel.set_data_position(self.start + at * 4);
        match read(self.parcel) {
            Ok(object) => Some(object),
            Err(status) => {
                self.failed.get_or_insert(status);
                None
            }
        }
    }
}

impl Objects for Received<'_> {
    fn file(&mut self, at: usize) -> Option<ParcelFileDescriptor> {
        self.take(at, Parcel::read)
    }

    fn key(&mut self, at: usize) -> Option<Strong<dyn IEncryptedStoreKEK>> {
        self.take(at, Parcel::read)
    }
}
