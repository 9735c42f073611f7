// SPDX-License-Identifier: Apache-2.0
//! A virtual machine that no one runs.

use rustix::fs::{Mode, OFlags, open};
use rustix::io;
use rustix::ioctl::{Direction, Ioctl, IoctlOutput, Opcode, ioctl};
use std::ffi::c_void;
use std::os::fd::{FromRawFd, OwnedFd};

/// Holds a virtual machine; `None` where there is no KVM.
///
/// With the first one KVM switches a branch in the kernel's scheduler on, and with the last one off,
/// by patching its code while the other CPU runs it. An emulated CPU may still run into the breakpoint
/// that guards the patching when it is over, and the kernel then panics. While this one lives there is
/// no first and no last.
pub(super) fn hold() -> Option<OwnedFd> {
    let kvm = open("/dev/kvm", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).ok()?;
    create(&kvm).ok()
}

/// `KVM_CREATE_VM` of linux/kvm.h, of the default type.
struct CreateVm;

#[expect(unsafe_code, reason = "the ioctl has no safe wrapper")]
// SAFETY: the ioctl takes an integer, reads and writes no memory of ours, and returns a new
// descriptor that no one else knows.
unsafe impl Ioctl for CreateVm {
    type Output = OwnedFd;
    const IS_MUTATING: bool = false;

    fn opcode(&self) -> Opcode {
        rustix::ioctl::opcode::from_components(Direction::None, 0xae, 1, 0)
    }

    fn as_ptr(&mut self) -> *mut c_void {
        std::ptr::null_mut()
    }

    unsafe fn output_from_ptr(out: IoctlOutput, _: *mut c_void) -> io::Result<OwnedFd> {
        // SAFETY: the caller has got `out` from this very ioctl.
        Ok(unsafe { OwnedFd::from_raw_fd(out) })
    }
}

#[expect(unsafe_code, reason = "the ioctl has no safe wrapper")]
fn create(kvm: &OwnedFd) -> io::Result<OwnedFd> {
    // SAFETY: `kvm` is KVM's device, whose ioctl this is.
    unsafe { ioctl(kvm, CreateVm) }
}
