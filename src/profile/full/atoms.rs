// SPDX-License-Identifier: Apache-2.0
//! Telling the global service what becomes of VMs, for statistics; without it, the log.

use super::global::{Global, Internal, Repeat};
use super::reporter::Reporter;
use crate::reports::{Creation, End, Reports};
use avf_aidl::global::{AtomVmBooted, AtomVmCreationRequested, AtomVmExited};
use rsbinder::BinderResult;
use std::sync::Arc;
use std::time::Duration;

/// `VirtualMachineAppConfig`, as statistics number the kinds of configs.
const APP_CONFIG: i32 = 1;
/// `VirtualMachineRawConfig`.
const RAW_CONFIG: i32 = 2;

/// Receives the creations, boots and ends of one client's VMs.
#[derive(Debug, Clone)]
pub(super) struct Atoms {
    global: Arc<Global>,
    reporter: Arc<Reporter>,
    uid: u32,
}

impl Atoms {
    pub(super) fn new(global: Arc<Global>, reporter: Arc<Reporter>, uid: u32) -> Self {
        Self {
            global,
            reporter,
            uid,
        }
    }

    /// Has the service called, which nobody waits for; `line` goes to the log where there is none, or
    /// it is not reached.
    fn tell(&self, line: String, call: impl Fn(&Internal) -> BinderResult<()> + Send + 'static) {
        let global = Arc::clone(&self.global);
        self.reporter
            .send(move || match global.try_call(Repeat::IfUnsent, call) {
                Ok(Some(())) => {}
                Ok(None) => log::info!("{line}"),
                Err(e) => log::info!("{line} (the global service was not told: {e})"),
            });
    }
}

impl Reports for Atoms {
    fn creation_requested(&self, creation: &Creation<'_>) {
        let atom = AtomVmCreationRequested {
            uid: self.uid.cast_signed(),
            vmIdentifier: creation.name.to_owned(),
            isProtected: creation.is_protected,
            creationSucceeded: creation.exception == 0,
            binderExceptionCode: creation.exception,
            configType: if creation.is_app {
                APP_CONFIG
            } else {
                RAW_CONFIG
            },
            numCpus: i32::try_from(creation.cpus).unwrap_or(i32::MAX),
            memoryMib: creation.memory_mib,
            // Which APEXes a payload wants is in its APK, which is read later and maybe never.
            apexes: String::new(),
        };
        let line = format!(
            "atom=vm_creation_requested uid={} name={:?} protected={} succeeded={} exception={} \
             config={} cpus={} memory_mib={}",
            atom.uid,
            atom.vmIdentifier,
            atom.isProtected,
            atom.creationSucceeded,
            atom.binderExceptionCode,
            if creation.is_app { "app" } else { "raw" },
            atom.numCpus,
            atom.memoryMib
        );
        self.tell(line, move |service| {
            service.atom_vm_creation_requested(&atom)
        });
    }

    fn booted(&self, name: &str, elapsed: Duration) {
        let atom = AtomVmBooted {
            uid: self.uid.cast_signed(),
            vmIdentifier: name.to_owned(),
            elapsedTimeMillis: millis(elapsed),
        };
        let line = format!(
            "atom=vm_booted uid={} name={name:?} elapsed_ms={}",
            atom.uid, atom.elapsedTimeMillis
        );
        self.tell(line, move |service| service.atom_vm_booted(&atom));
    }

    fn exited(&self, end: &End<'_>) {
        let atom = AtomVmExited {
            uid: self.uid.cast_signed(),
            vmIdentifier: end.name.to_owned(),
            deathReason: end.reason,
            exitSignal: end.signal,
            elapsedTimeMillis: millis(end.elapsed),
            guestTimeMillis: millis(end.guest_time),
            // The kernel keeps one peak for the process, in which the guest's memory is; to tell the
            // two apart the process would have to be read while it runs, again and again.
            rssVmKb: 0,
            rssCrosvmKb: i64::try_from(end.peak_rss_kib).unwrap_or(i64::MAX),
        };
        let line = format!(
            "atom=vm_exited uid={} name={:?} reason={} signal={} elapsed_ms={} guest_ms={} \
             peak_rss_kib={}",
            atom.uid,
            end.name,
            end.reason.0,
            end.signal,
            atom.elapsedTimeMillis,
            atom.guestTimeMillis,
            atom.rssCrosvmKb
        );
        self.tell(line, move |service| service.atom_vm_exited(&atom));
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
