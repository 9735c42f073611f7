// SPDX-License-Identifier: Apache-2.0
//! Asking the host's scheduler to treat a thread as one that needs the fastest CPU.

use std::io;

/// `sched_attr` of linux/sched/types.h.
#[repr(C)]
#[derive(Default)]
struct SchedAttr {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
    util_min: u32,
    util_max: u32,
}

/// Keep the policy, keep its parameters, set the least utilization.
const FLAGS: u64 = 0x08 | 0x10 | 0x20;
/// The utilization of a CPU that is busy at its fastest.
const FULL: u32 = 1024;

/// Has the thread `id` count as fully busy at least.
///
/// # Errors
/// What the kernel answers: one without this feature, for example, that it does not know it.
#[expect(unsafe_code, reason = "sched_setattr has no safe wrapper")]
pub(super) fn boost(id: i32) -> io::Result<()> {
    let attributes = SchedAttr {
        size: u32::try_from(size_of::<SchedAttr>()).map_err(io::Error::other)?,
        flags: FLAGS,
        util_min: FULL,
        ..SchedAttr::default()
    };
    // SAFETY: the kernel reads `size` bytes at the pointer, which are the struct's, and keeps
    // nothing of it.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, id, &raw const attributes, 0u32) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
