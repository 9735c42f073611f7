// SPDX-License-Identifier: Apache-2.0
//! What is counted about VMs: a line in the log, and an event for `statsd` where that listens.

mod event;

use avf_aidl::common::Atom;
use avf_aidl::global::{AtomVmBooted, AtomVmCreationRequested, AtomVmExited};
use event::Event;
use rustix::time::{ClockId, clock_gettime};
use std::num::NonZeroU32;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

/// The atom `VmCreationRequested`.
const CREATION_REQUESTED: u32 = 409;
/// Where `statsd` takes events.
const SOCKET: &str = "/dev/socket/statsdw";
/// Its hypervisors: protected KVM, others.
const HYPERVISOR_PKVM: i32 = 1;
const HYPERVISOR_OTHER: i32 = 2;
/// Longer texts are cut in the log.
const LONGEST: usize = 256;

/// The numbers of atoms that are not the same in all releases of Android, or not known to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AtomIds {
    /// `VmBooted`.
    pub booted: Option<NonZeroU32>,
    /// `VmExited`.
    pub exited: Option<NonZeroU32>,
}

/// Where atoms go.
#[derive(Debug)]
pub(crate) struct Atoms {
    socket: PathBuf,
    ids: AtomIds,
    has_pkvm: bool,
}

impl Atoms {
    pub(crate) fn new(paths: &crate::Paths, ids: AtomIds) -> Self {
        Self {
            socket: paths.host().path(SOCKET),
            ids,
            has_pkvm: paths.host().has_protected_vms(),
        }
    }

    pub(crate) fn creation_requested(&self, atom: &AtomVmCreationRequested) {
        log::info!(
            "atom=vm_creation_requested uid={} name={:?} protected={} succeeded={} exception={} \
             config_type={} cpus={} memory_mib={} apexes={:?}",
            atom.uid,
            cut(&atom.vmIdentifier, LONGEST),
            atom.isProtected,
            atom.creationSucceeded,
            atom.binderExceptionCode,
            atom.configType,
            atom.numCpus,
            atom.memoryMib,
            cut(&atom.apexes, LONGEST),
        );
        let hypervisor = if self.has_pkvm {
            HYPERVISOR_PKVM
        } else {
            HYPERVISOR_OTHER
        };
        self.send(NonZeroU32::new(CREATION_REQUESTED), |event| {
            event
                .int32(hypervisor)
                .bool(atom.isProtected)
                .bool(atom.creationSucceeded)
                .int32(atom.binderExceptionCode)
                .uid(atom.uid)
                .string(&atom.vmIdentifier)
                .int32(atom.configType)
                .int32(atom.numCpus)
                // Which CPUs: not used any more.
                .string("")
                .int32(atom.memoryMib)
                .string(&atom.apexes)
        });
    }

    pub(crate) fn booted(&self, atom: &AtomVmBooted) {
        log::info!(
            "atom=vm_booted uid={} name={:?} elapsed_ms={}",
            atom.uid,
            cut(&atom.vmIdentifier, LONGEST),
            atom.elapsedTimeMillis,
        );
        self.send(self.ids.booted, |event| {
            event
                .uid(atom.uid)
                .string(&atom.vmIdentifier)
                .int64(atom.elapsedTimeMillis)
        });
    }

    pub(crate) fn exited(&self, atom: &AtomVmExited) {
        log::info!(
            "atom=vm_exited uid={} name={:?} death_reason={} exit_signal={} elapsed_ms={} guest_ms={} \
             rss_vm_kb={} rss_vmm_kb={}",
            atom.uid,
            cut(&atom.vmIdentifier, LONGEST),
            atom.deathReason.0,
            atom.exitSignal,
            atom.elapsedTimeMillis,
            atom.guestTimeMillis,
            atom.rssVmKb,
            atom.rssCrosvmKb,
        );
        self.send(self.ids.exited, |event| {
            event
                .uid(atom.uid)
                .string(&atom.vmIdentifier)
                .int64(atom.elapsedTimeMillis)
                .int32(atom.deathReason.0)
                .int64(atom.guestTimeMillis)
                .int64(atom.rssVmKb)
                .int64(atom.rssCrosvmKb)
                .int32(atom.exitSignal)
        });
    }

    /// An event that a manager passes on: those of VMs, and those of guests, which are in the log only.
    pub(crate) fn forwarded(&self, atom: &Atom, uid: i32, name: &str) {
        let guest = match atom {
            Atom::VmBooted(atom) => {
                return self.booted(&AtomVmBooted {
                    uid,
                    vmIdentifier: name.to_owned(),
                    elapsedTimeMillis: atom.elapsedTimeMillis,
                });
            }
            Atom::VmCreationRequested(atom) => {
                return self.creation_requested(&AtomVmCreationRequested {
                    uid,
                    vmIdentifier: name.to_owned(),
                    isProtected: atom.isProtected,
                    creationSucceeded: atom.creationSucceeded,
                    binderExceptionCode: atom.binderExceptionCode,
                    configType: atom.configType,
                    numCpus: atom.numCpus,
                    memoryMib: atom.memoryMib,
                    apexes: atom.apexes.clone(),
                });
            }
            Atom::VmExited(atom) => {
                return self.exited(&AtomVmExited {
                    uid,
                    vmIdentifier: name.to_owned(),
                    deathReason: atom.deathReason,
                    exitSignal: atom.exitSignal,
                    elapsedTimeMillis: atom.elapsedTimeMillis,
                    guestTimeMillis: atom.guestTimeMillis,
                    // One number, as of managers that cannot tell the two apart.
                    rssVmKb: 0,
                    rssCrosvmKb: atom.rssKb,
                });
            }
            Atom::CgroupMemoryBreachReported(atom) => format!(
                "cgroup_memory_breach high_breach_count={} high_memory_peak_mb={}",
                atom.highBreachCount, atom.highMemoryPeakMb
            ),
            Atom::FsckFailedReported(atom) => format!("fsck_failed exit_code={}", atom.exitCode),
            Atom::GetOrCreateSkSecretFailedReported(atom) => {
                format!(
                    "get_or_create_sk_secret_failed retry_count={}",
                    atom.retryCount
                )
            }
            Atom::PsiMonitorFailedReported(atom) => format!(
                "psi_monitor_failed backoff_s={}",
                atom.exponentialBackoffSeconds
            ),
            Atom::StaleEncryptedstoreDetected(_) => "stale_encryptedstore_detected".to_owned(),
        };
        log::info!("atom={guest} uid={uid} name={:?}", cut(name, LONGEST));
    }

    /// Sends an event, if `statsd` is there and the atom has a number. Events may be lost.
    fn send(&self, id: Option<NonZeroU32>, fill: impl FnOnce(Event) -> Event) {
        if !self.socket.exists() {
            return;
        }
        let Some(id) = id else {
            log::debug!("not sent to statsd: --statsd-atoms does not give the atom's number");
            return;
        };
        let boot = clock_gettime(ClockId::Boottime);
        let nanoseconds = boot
            .tv_sec
            .saturating_mul(1_000_000_000)
            .saturating_add(boot.tv_nsec);
        let now = clock_gettime(ClockId::Realtime);
        let time = (
            u32::try_from(now.tv_sec).unwrap_or_default(),
            u32::try_from(now.tv_nsec).unwrap_or_default(),
        );
        // The header has room for the low half only.
        let tid = rustix::thread::gettid().as_raw_nonzero().get() & 0xffff;
        let event = fill(Event::new(id.get(), nanoseconds));
        let datagram = event.datagram(u16::try_from(tid).unwrap_or_default(), time);
        let sent = UnixDatagram::unbound().and_then(|socket| {
            socket.set_nonblocking(true)?;
            socket.send_to(&datagram, &self.socket)
        });
        if let Err(e) = sent {
            log::warn!("atom {id} is lost: {}: {e}", self.socket.display());
        }
    }
}

/// The beginning of `text`, of at most `longest` bytes.
fn cut(text: &str, longest: usize) -> &str {
    let end = (0..=longest.min(text.len())).rev();
    let mut ends = end.filter(|end| text.is_char_boundary(*end));
    ends.next().and_then(|end| text.get(..end)).unwrap_or(text)
}
