// SPDX-License-Identifier: Apache-2.0
//! `VirtualMachineDebugInfo` as each form of the interface has it, and how a VM is asked for its own.

use super::{Form, Release};
use avf_aidl::service::{BpVirtualMachine, VirtualMachineDebugInfo};
use rsbinder::{
    BinderResult, FLAG_CLEAR_BUF, FLAG_PRIVATE_LOCAL, Parcel, Proxy, Result, SIBinder, Status,
    StatusCode,
};

/// The code of `IVirtualMachine.getDebugInfo` in Android 16 QPR2 and 17, where it is that of `resume`
/// in 17.1.
pub(super) const DEBUG_INFO: u32 = 14;
/// Its code in Android 17.1. In 17 it is that of a method with arguments.
pub(super) const DEBUG_INFO_17_1: u32 = 15;

/// Which fields there are.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    has_name: bool,
    has_instance_id: bool,
}

impl Layout {
    /// Of Android 16 and 17.
    pub(super) const NAMED: Self = Self {
        has_name: true,
        has_instance_id: false,
    };
    /// Of Android 17.1.
    pub(super) const WHOLE: Self = Self {
        has_name: true,
        has_instance_id: true,
    };

    /// That of lists in a form of the interface. Receivers skip fields at the end that they do not know.
    fn of(form: Form) -> Self {
        Self {
            has_name: form != Form::Android15,
            has_instance_id: form == Form::Late16,
        }
    }

    /// Writes one that is there.
    pub(super) fn write(self, parcel: &mut Parcel, info: &VirtualMachineDebugInfo) -> Result<()> {
        parcel.write(&1_i32)?;
        parcel.sized_write(|parcel| {
            if self.has_name {
                parcel.write(&info.name)?;
            }
            parcel.write(&info.cid)?;
            parcel.write(&info.temporaryDirectory)?;
            parcel.write(&info.requesterUid)?;
            parcel.write(&info.requesterPid)?;
            parcel.write(&info.hostConsoleName)?;
            if self.has_instance_id {
                parcel.write(&info.instanceId)?;
            }
            Ok(())
        })
    }

    /// Reads one; what is missing at its end has its default.
    fn read(self, parcel: &mut Parcel) -> Result<VirtualMachineDebugInfo> {
        let mut info = VirtualMachineDebugInfo::default();
        if parcel.read::<i32>()? == 0 {
            return Err(StatusCode::UnexpectedNull);
        }
        parcel.sized_read(|parcel| {
            if self.has_name {
                info.name = parcel.read()?;
            }
            info.cid = parcel.read()?;
            info.temporaryDirectory = parcel.read()?;
            info.requesterUid = parcel.read()?;
            info.requesterPid = parcel.read()?;
            if parcel.has_more_data() {
                info.hostConsoleName = parcel.read()?;
            }
            if self.has_instance_id && parcel.has_more_data() {
                info.instanceId = parcel.read()?;
            }
            Ok(())
        })?;
        Ok(info)
    }
}

/// Writes a list in a form of the interface.
///
/// # Errors
/// If the parcel takes no more.
pub fn write(parcel: &mut Parcel, form: Form, infos: &[VirtualMachineDebugInfo]) -> Result<()> {
    let count = i32::try_from(infos.len()).map_err(|_| StatusCode::BadValue)?;
    parcel.write(&count)?;
    infos
        .iter()
        .try_for_each(|info| Layout::of(form).write(parcel, info))
}

/// Reads a list in a form of the interface.
pub(super) fn read(parcel: &mut Parcel, form: Form) -> Result<Vec<VirtualMachineDebugInfo>> {
    let count: i32 = parcel.read()?;
    // A list that is null is empty.
    (0..count).map(|_| Layout::of(form).read(parcel)).collect()
}

/// Asks a VM, an `IVirtualMachine` of a manager of `release`, for its debug info. If the release is not
/// known, no other method is called by mistake: the newer code comes first, which calls nothing in older
/// releases, and the older one only if that is not there.
///
/// # Errors
/// What the VM answers, or why it cannot be asked.
pub fn ask(vm: &SIBinder, release: Option<Release>) -> BinderResult<VirtualMachineDebugInfo> {
    let older = || call(vm, DEBUG_INFO, Layout::NAMED);
    match release {
        Some(release) if release < Release::V16Qpr => Err(StatusCode::UnknownTransaction.into()),
        Some(release) if release < Release::V17_1 => older(),
        Some(_) => call(vm, DEBUG_INFO_17_1, Layout::WHOLE),
        None => match call(vm, DEBUG_INFO_17_1, Layout::WHOLE) {
            Err(status) if is_of_an_older_release(&status) => older(),
            other => other,
        },
    }
}

/// Whether a call of 17.1's `getDebugInfo` failed because there is no method of that code, or because
/// the arguments of Android 17's method are missing.
fn is_of_an_older_release(status: &Status) -> bool {
    status.exception_code() == rsbinder::ExceptionCode::TransactionFailed
        && matches!(
            status.transaction_error(),
            StatusCode::UnknownTransaction
                | StatusCode::NotEnoughData
                | StatusCode::UnexpectedNull
                | StatusCode::BadType
                | StatusCode::BadValue
        )
}

fn call(vm: &SIBinder, code: u32, layout: Layout) -> BinderResult<VirtualMachineDebugInfo> {
    // It gives a binder of a session its descriptor, and checks that of others.
    BpVirtualMachine::from_binder(vm.clone()).ok_or(StatusCode::BadType)?;
    let remote = vm.as_remote().ok_or(StatusCode::BadType)?;
    let data = remote.prepare_transact(true)?;
    let reply = remote.submit_transact(code, &data, FLAG_CLEAR_BUF | FLAG_PRIVATE_LOCAL)?;
    let mut reply = reply.ok_or(StatusCode::UnexpectedNull)?;
    let status: Status = reply.read()?;
    if !status.is_ok() {
        return Err(status);
    }
    Ok(layout.read(&mut reply)?)
}
