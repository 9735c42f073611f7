// SPDX-License-Identifier: Apache-2.0
//! A VM as the global service knows it: while this object lives, so does what the service gave for it.

use super::info::{DEBUG_INFO, DEBUG_INFO_17_1, Layout};
use avf_aidl::service::VirtualMachineDebugInfo;
use rsbinder::{
    Binder, Interface, Parcel, Remotable, Result, SIBinder, Status, StatusCode, TransactionCode,
};
use std::fmt;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a manager registers for a VM: an `IVirtualMachine` that has `getDebugInfo` only, by its codes of
/// all releases. It does not stop the VM: when the host shuts down, the manager hears of it by a signal.
#[derive(Clone)]
pub struct ListedVm {
    info: Arc<Mutex<VirtualMachineDebugInfo>>,
    object: SIBinder,
}

impl fmt::Debug for ListedVm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListedVm").finish_non_exhaustive()
    }
}

impl ListedVm {
    /// A VM with these properties.
    #[must_use]
    pub fn new(info: VirtualMachineDebugInfo) -> Self {
        let info = Arc::new(Mutex::new(info));
        let object = Binder::new(Answers(Arc::clone(&info))).as_binder();
        Self { info, object }
    }

    /// The binder object.
    #[must_use]
    pub fn object(&self) -> SIBinder {
        self.object.clone()
    }

    /// Changes what it answers.
    pub fn update(&self, change: impl FnOnce(&mut VirtualMachineDebugInfo)) {
        change(&mut lock(&self.info));
    }
}

fn lock(info: &Mutex<VirtualMachineDebugInfo>) -> MutexGuard<'_, VirtualMachineDebugInfo> {
    info.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Answers(Arc<Mutex<VirtualMachineDebugInfo>>);

impl Remotable for Answers {
    fn descriptor() -> &'static str {
        "android.system.virtualizationservice.IVirtualMachine"
    }

    fn on_transact(&self, code: TransactionCode, _: &mut Parcel, reply: &mut Parcel) -> Result<()> {
        let layout = match code {
            DEBUG_INFO => Layout::NAMED,
            DEBUG_INFO_17_1 => Layout::WHOLE,
            _ => return Err(StatusCode::UnknownTransaction),
        };
        reply.write(&Status::from(StatusCode::Ok))?;
        layout.write(reply, &lock(&self.0))
    }

    fn on_dump(&self, _: &mut dyn Write, _: &[String]) -> Result<()> {
        Ok(())
    }
}
