// SPDX-License-Identifier: Apache-2.0
//! Confines the process once it holds what it needs.

use std::collections::BTreeMap;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetStatus,
    Scope,
};
use rustix::process::{DumpableBehavior, Resource, Rlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

use crate::Error;

/// The most descriptors the process may hold: the connections and a few more.
const MAX_DESCRIPTORS: u64 = 1024;

/// System calls that are needed with any arguments.
const ALLOWED: &[libc::c_long] = &[
    // The event loop and the sockets.
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_accept4,
    libc::SYS_connect,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_shutdown,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_fcntl,
    // The size of the guest's memory files.
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_lseek,
    // Memory, with the conditions on `mmap` and `mprotect` below.
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    // What the C library does on its own.
    libc::SYS_clock_gettime,
    libc::SYS_futex,
    libc::SYS_getrandom,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_sched_yield,
    // The end, an abort included.
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_tgkill,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Gives up what the running device does not need.
///
/// Afterwards the process, with all its threads, cannot gain privileges, open a file, start a
/// program, make memory executable or open a socket other than a Unix socket. It can connect to
/// Unix sockets, take what the VMM hands over, and end. Landlock, the second lock on files, holds
/// for the calling thread only; the device has no other.
pub(crate) fn isolate() -> Result<(), Error> {
    rustix::thread::set_no_new_privs(true).map_err(failed("no_new_privs"))?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(failed("PR_SET_DUMPABLE"))?;
    limit(Resource::Nofile, MAX_DESCRIPTORS).map_err(failed("RLIMIT_NOFILE"))?;
    limit(Resource::Core, 0).map_err(failed("RLIMIT_CORE"))?;
    deny_files();
    let filter = seccomp_filter().map_err(failed("the seccomp filter"))?;
    seccompiler::apply_filter_all_threads(&filter).map_err(failed("seccomp"))
}

fn failed<E>(step: &'static str) -> impl Fn(E) -> Error
where
    E: std::error::Error + Send + Sync + 'static,
{
    move |e| Error::Isolation {
        step,
        source: Box::new(e),
    }
}

/// Lowers a limit for good; it never raises one.
fn limit(resource: Resource, most: u64) -> rustix::io::Result<()> {
    let old = rustix::process::getrlimit(resource);
    let new = Some(old.maximum.map_or(most, |hard| hard.min(most)));
    rustix::process::setrlimit(
        resource,
        Rlimit {
            current: new,
            maximum: new,
        },
    )
}

/// Denies every access to files, TCP ports, and signals and abstract sockets of other processes, as
/// far as the kernel has Landlock.
///
/// Landlock cannot deny a connection to a Unix socket by its path: the device can connect to every
/// socket that its user can. A kernel without Landlock loses nothing but the second lock on files:
/// seccomp allows no call that opens one.
fn deny_files() {
    let denied = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ABI::V5))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(ABI::V5)))
        .and_then(|rules| rules.scope(Scope::Signal | Scope::AbstractUnixSocket))
        .and_then(|rules| rules.create())
        .and_then(|rules| rules.restrict_self());
    match denied {
        Ok(status) if status.ruleset == RulesetStatus::NotEnforced => {
            log::debug!("the vsock device runs without Landlock, which this kernel does not have");
        }
        Ok(_) => {}
        Err(e) => log::warn!("the vsock device runs without Landlock: {e}"),
    }
}

fn seccomp_filter() -> Result<BpfProgram, seccompiler::Error> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        ALLOWED.iter().map(|&number| (number, Vec::new())).collect();
    #[cfg(target_arch = "x86_64")]
    rules.insert(libc::SYS_epoll_wait, Vec::new());
    let dword = |index, op, value| SeccompCondition::new(index, SeccompCmpArgLen::Dword, op, value);

    let family = u64::from(rustix::net::AddressFamily::UNIX.as_raw());
    let unix = dword(0, SeccompCmpOp::Eq, family)?;
    rules.insert(libc::SYS_socket, vec![SeccompRule::new(vec![unix])?]);
    for number in [libc::SYS_mmap, libc::SYS_mprotect] {
        let executable = u64::from(rustix::mm::ProtFlags::EXEC.bits());
        let data = dword(2, SeccompCmpOp::MaskedEq(executable), 0)?;
        rules.insert(number, vec![SeccompRule::new(vec![data])?]);
    }

    // A refused call fails instead of killing the process: the VM is worth more than that call.
    let refuse = SeccompAction::Errno(u32::try_from(libc::EPERM).unwrap_or(1));
    let filter = SeccompFilter::new(
        rules,
        refuse,
        SeccompAction::Allow,
        std::env::consts::ARCH.try_into()?,
    )?;
    Ok(filter.try_into()?)
}
