// SPDX-License-Identifier: Apache-2.0
//! Statistics: what happens to VMs, for whoever counts it.

use avf_aidl::common::DeathReason;
use std::time::Duration;

/// A creation that was asked for.
#[derive(Debug)]
pub struct Creation<'a> {
    /// The VM's name.
    pub name: &'a str,
    /// Whether its memory should be protected from the host.
    pub is_protected: bool,
    /// Whether it was an app config.
    pub is_app: bool,
    /// Virtual CPUs.
    pub cpus: u32,
    /// Memory in MiB; 0 for the default.
    pub memory_mib: i32,
    /// The exception that the client got; 0 if the VM was created.
    pub exception: i32,
}

/// A VM that has ended.
#[derive(Debug)]
pub struct End<'a> {
    /// The VM's name.
    pub name: &'a str,
    /// Why.
    pub reason: DeathReason,
    /// The signal that ended the VMM; 0 if none did.
    pub signal: i32,
    /// From the start of its VMM to its end.
    pub elapsed: Duration,
    /// CPU time of the guest.
    pub guest_time: Duration,
    /// Peak resident set of the VMM, with the guest's memory, in KiB.
    pub peak_rss_kib: u64,
}

/// Receives the events of one client's VMs. The defaults ignore them.
pub trait Reports: std::fmt::Debug + Send + Sync {
    /// A client asked for a VM.
    fn creation_requested(&self, _creation: &Creation<'_>) {}

    /// A VM's payload has started, `elapsed` after its VMM.
    fn booted(&self, _name: &str, _elapsed: Duration) {}

    /// A VM has ended.
    fn exited(&self, _end: &End<'_>) {}
}

/// Counts nothing.
#[derive(Debug)]
pub struct NoReports;

impl Reports for NoReports {}
