// SPDX-License-Identifier: Apache-2.0
//! One VM, as the binder objects see it. The work is done by its driver thread.

use crate::error::Error;
use crate::reports::Reports;
use crate::vm::failure::stopped;
use crate::vm::plan::Draft;
use crate::vm::prepare::{Unstarted, prepare};
use crate::vm::vsock::{self, Route};
use crate::vm::{Callbacks, Context, Identity, Listing, PayloadState, RunOptions, State, Vms};
use crate::vm::{directory, driver};
use avf_aidl::common::{BnEncryptedStoreKEK, IEncryptedStoreKEK};
use avf_aidl::service::VirtualMachineDebugInfo;
use avf_wire::server::TrimLevel;
use rsbinder::{BinderResult, Interface, Strong};
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak, mpsc};
use std::time::{Duration, Instant};
use vm_directory::{Line, VmState};
use vmm::child::Killer;
use vmm::death::Death;
use vmm::plan::Balloon;
use vmm::{Control, Vmm};

/// How long a killed VMM may take to be gone before its VM counts as running.
const SETTLE: Duration = Duration::from_secs(10);
/// Ports that ordinary guests may use begin here; those below belong to the guest's system.
const FIRST_PORT: u32 = 1024;
/// Longest name of a console, in bytes: the longest path.
const MAX_CONSOLE_NAME: usize = 4096;
/// The ports of Trusty guests.
const TRUSTY_PORTS: std::ops::RangeInclusive<u32> = 2..=20;

/// One VM.
pub struct Instance {
    name: String,
    cid: u32,
    directory: PathBuf,
    /// The guest's memory in bytes.
    memory: u64,
    route: Route,
    callbacks: Callbacks,
    reports: Arc<dyn Reports>,
    identity: Identity,
    storage_key: Option<Strong<dyn IEncryptedStoreKEK>>,
    has_balloon: bool,
    registry: Weak<Vms>,
    inner: Mutex<Inner>,
    /// Held from a change of what the CPUs do until other programs can read it.
    noting: Mutex<()>,
    /// Told at each change of the state.
    changed: Condvar,
}

struct Inner {
    state: State,
    /// What a start takes.
    unstarted: Option<Box<Unstarted>>,
    /// There while the VMM runs.
    running: Option<Running>,
    /// Whether someone wanted it dead, also before there was a VMM.
    kill: bool,
    /// Whether all is cleaned up and the clients know.
    finished: bool,
    /// Lists where the console is, until the VM is dead.
    listing: Option<Arc<dyn Listing>>,
    /// When the VMM was started.
    executed: Option<Instant>,
    /// What the guest's CPUs do.
    activity: VmState,
    /// Whether someone wants them stopped.
    wants_suspended: bool,
    /// Where a client says that the console is.
    console: Option<String>,
}

struct Running {
    killer: Killer,
    control: Arc<dyn Control>,
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance")
            .field("name", &self.name)
            .field("cid", &self.cid)
            .finish_non_exhaustive()
    }
}

impl Instance {
    /// Makes the VM's channels and the VMM's command line.
    pub(super) fn new(
        draft: Draft,
        context: Context,
        vmm: &dyn Vmm,
        options: RunOptions,
        registry: Weak<Vms>,
    ) -> Result<Self, Error> {
        let (name, cid) = (context.name.clone(), context.cid);
        let memory = u64::from(draft.machine.memory_mib.get()) << 20;
        let directory = context.directory.path().to_owned();
        let listing = context.listing.clone();
        let reports = Arc::clone(&options.reports);
        let identity = options.identity;
        let storage_key = options.storage_key.clone();
        let has_balloon = draft.machine.balloon != Balloon::Absent;
        let (unstarted, route) = prepare(draft, context, vmm, options)?;
        Ok(Self {
            name,
            cid,
            directory,
            memory,
            route,
            callbacks: Callbacks::default(),
            reports,
            identity,
            storage_key,
            has_balloon,
            registry,
            noting: Mutex::default(),
            inner: Mutex::new(Inner {
                state: State::NotStarted,
                unstarted: Some(Box::new(unstarted)),
                running: None,
                kill: false,
                finished: false,
                listing,
                executed: None,
                activity: VmState::Running,
                wants_suspended: false,
                console: None,
            }),
            changed: Condvar::new(),
        })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The VM's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The VM's CID.
    #[must_use]
    pub fn cid(&self) -> u32 {
        self.cid
    }

    /// The path of the VM's temporary directory, which may be gone.
    #[must_use]
    pub fn directory_path(&self) -> &Path {
        &self.directory
    }

    /// The callbacks of clients.
    #[must_use]
    pub fn callbacks(&self) -> &Callbacks {
        &self.callbacks
    }

    /// The number of the state, as clients get it.
    #[must_use]
    pub fn state_number(&self) -> i32 {
        self.inner().state.number()
    }

    /// Starts the VM and waits until its VMM runs the guest.
    ///
    /// # Errors
    /// If it was started before, or the VMM does not start: then with the VMM's own words.
    pub fn start(vm: &Arc<Self>) -> Result<(), Error> {
        let registry = vm.registry.upgrade().ok_or(Error::ending())?;
        let unstarted = {
            let mut inner = vm.inner();
            inner.state.begin()?;
            inner.unstarted.take().ok_or(Error::ending())?
        };
        let (sender, receiver) = mpsc::sync_channel(1);
        let driven = Arc::clone(vm);
        let life = move || {
            let drive = AssertUnwindSafe(|| driver::drive(&driven, *unstarted, &sender));
            if catch_unwind(drive).is_err() {
                // What it owned is gone with it; those who wait for it must not wait for ever.
                driven.finish(Death::InfrastructureError);
            }
        };
        if let Err(e) = registry.drive(vm, life) {
            vm.finish(Death::InfrastructureError);
            return Err(e);
        }
        // The driver always answers; if it panicked, the sender is gone.
        receiver.recv().unwrap_or(Err(stopped()))
    }

    /// Kills the VM and waits until everything of it is gone.
    ///
    /// # Errors
    /// If it was never started.
    pub fn stop(&self) -> Result<(), Error> {
        let state = self.inner().state;
        if state == State::NotStarted {
            return Err(Error::state(state.word(), "stop", "running"));
        }
        self.kill();
        let mut inner = self.inner();
        while !inner.finished {
            inner = self
                .changed
                .wait(inner)
                .unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }

    /// Waits until a VM that someone wants dead is cleaned up; at once for any other.
    pub(super) fn settle(&self) {
        let inner = self.inner();
        if inner.kill {
            // A timeout leaves the VM as it is: it will be reported as running, which it is.
            let _ = self
                .changed
                .wait_timeout_while(inner, SETTLE, |inner| !inner.finished)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Kills the VM and returns at once; its driver thread cleans up.
    pub fn kill(&self) {
        let mut inner = self.inner();
        inner.kill = true;
        if let Some(running) = &inner.running {
            running.killer.kill();
        }
        let unstarted = inner.unstarted.take();
        let listing = if unstarted.is_some() {
            inner.listing.take()
        } else {
            None
        };
        if unstarted.is_some() {
            inner.state.die(Death::Killed);
        }
        drop(inner);
        if unstarted.is_some() {
            // Its directory and its CID are given back before anyone counts on that.
            drop((unstarted, listing));
            self.inner().finished = true;
            self.changed.notify_all();
        }
    }

    /// Connects to `port` in the guest.
    ///
    /// # Errors
    /// If the guest does not run, the port is not one that clients may use, or nothing listens there.
    pub fn connect_vsock(&self, port: i32) -> Result<OwnedFd, Error> {
        self.check_runs("connectVsock")?;
        let allowed = u32::try_from(port)
            .ok()
            .filter(|port| *port >= FIRST_PORT || TRUSTY_PORTS.contains(port))
            .ok_or_else(|| {
                Error::invalid(format!(
                    "port {port}: it must be {FIRST_PORT} or more, or one of Trusty's, 2 to 20"
                ))
            })?;
        let connected = vsock::connect(&self.route, self.cid, allowed);
        // A guest that has ended or was suspended meanwhile is the better reason. And only a VM that
        // still lives has had its CID all the time: the connection may be to another guest's port.
        self.check_runs("connectVsock")?;
        connected
    }

    /// Whether the guest's CPUs run, for a call that needs them.
    fn check_runs(&self, call: &str) -> Result<(), Error> {
        let inner = self.inner();
        let is = match (inner.state, inner.activity) {
            (State::Running(_), VmState::Running) => return Ok(()),
            (State::Running(_), stopped) => stopped.to_string(),
            (state, _) => state.word().to_owned(),
        };
        let error = Error::state(&is, call, "running");
        Err(match inner.state {
            State::Running(_) => error.with_remedy("resume it first"),
            _ => error,
        })
    }

    pub(super) fn control(&self, call: &'static str) -> Result<Arc<dyn Control>, Error> {
        let inner = self.inner();
        match (&inner.running, inner.state) {
            (Some(running), State::Running(_)) => Ok(Arc::clone(&running.control)),
            (_, state) => Err(Error::state(state.word(), call, "running")),
        }
    }

    /// Stops the guest's CPUs.
    ///
    /// # Errors
    /// If the VM does not run or the VMM refuses.
    pub fn suspend(&self) -> Result<(), Error> {
        let control = self.control("suspend")?;
        self.inner().wants_suspended = true;
        let done = control.suspend();
        // A VMM that was slow to answer may have done it all the same.
        if done.is_ok() || self.inner().activity == VmState::Suspended {
            self.set_activity(VmState::Suspended);
            return Ok(());
        }
        done.map_err(|e| Error::from(e).with_remedy("`vm list` shows it once it is suspended"))
    }

    /// Lets the guest's CPUs run again.
    ///
    /// # Errors
    /// If the VM does not run or the VMM refuses.
    pub fn resume(&self) -> Result<(), Error> {
        let control = self.control("resume")?;
        let before = {
            let mut inner = self.inner();
            inner.wants_suspended = false;
            inner.activity
        };
        // Before the VMM is asked: it may pause the guest again at once, and that must be the last
        // word.
        self.set_activity(VmState::Running);
        control
            .resume()
            .inspect_err(|_| self.set_activity(before))?;
        Ok(())
    }

    /// The VMM says that a disk failed, for which it will stop the guest's CPUs.
    pub(super) fn disk_failed(&self) {
        self.inner().wants_suspended = false;
    }

    /// The VMM says that it has stopped the guest's CPUs.
    pub(super) fn paused(&self) {
        let activity = if self.inner().wants_suspended {
            VmState::Suspended
        } else {
            VmState::Paused
        };
        self.set_activity(activity);
    }

    /// The VMM says that the guest's CPUs run.
    pub(super) fn resumed(&self) {
        self.set_activity(VmState::Running);
    }

    /// Remembers what the guest's CPUs do, and tells other programs.
    fn set_activity(&self, activity: VmState) {
        // Notes are written in the order of the changes.
        let _order = self.noting.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut inner = self.inner();
            if inner.activity == activity || !matches!(inner.state, State::Running(_)) {
                return;
            }
            inner.activity = activity;
        }
        log::info!("VM '{}' (CID {}) is {activity}", self.name, self.cid);
        if let Err(e) = directory::note_in(&self.directory, &Line::State(activity)) {
            let place = self.directory.display();
            log::warn!("cannot note in {place} that the VM is {activity}: {e}");
        }
    }

    /// How much of the guest's memory the host has taken back, in bytes.
    ///
    /// # Errors
    /// If the VM does not run, it has no balloon, or the VMM refuses.
    pub fn memory_balloon(&self) -> Result<u64, Error> {
        Ok(self.control("getMemoryBalloon")?.balloon()?)
    }

    /// Asks the guest to give `bytes` of its memory back.
    ///
    /// # Errors
    /// If that is negative or more than there is, or as for [`Instance::memory_balloon`].
    pub fn set_memory_balloon(&self, bytes: i64) -> Result<(), Error> {
        let wanted = u64::try_from(bytes)
            .ok()
            .filter(|wanted| *wanted <= self.memory)
            .ok_or_else(|| {
                Error::invalid(format!(
                    "bytes {bytes}: the balloon must have 0 to {}, the guest's memory",
                    self.memory
                ))
            })?;
        Ok(self.control("setMemoryBalloon")?.set_balloon(wanted)?)
    }

    /// Whether the host can take memory back from the guest.
    #[must_use]
    pub fn has_balloon(&self) -> bool {
        self.has_balloon
    }

    /// Asks the guest to give a part of its memory back, the greater the shorter the host is of it.
    ///
    /// # Errors
    /// As for [`Instance::set_memory_balloon`].
    pub fn trim_memory(&self, level: TrimLevel) -> Result<(), Error> {
        let percent = match level {
            TrimLevel::Critical => 50,
            TrimLevel::Low => 30,
            TrimLevel::Moderate => 10,
        };
        let wanted = self.memory / 100 * percent;
        Ok(self.control("onTrimMemory")?.set_balloon(wanted)?)
    }

    /// What a list of VMs says of this one.
    #[must_use]
    pub fn debug_info(&self) -> VirtualMachineDebugInfo {
        VirtualMachineDebugInfo {
            name: self.name.clone(),
            cid: self.cid.cast_signed(),
            temporaryDirectory: self.directory.to_string_lossy().into_owned(),
            requesterUid: self.identity.client_uid.cast_signed(),
            requesterPid: self.identity.client_pid,
            hostConsoleName: self.inner().console.clone(),
            instanceId: self.identity.instance_id,
        }
    }

    /// A store for the key of the guest's encrypted storage: the client's, behind an object of this
    /// manager's, as an object of one session cannot be sent in another.
    #[must_use]
    pub fn storage_key(&self) -> Option<Strong<dyn IEncryptedStoreKEK>> {
        let client = self.storage_key.clone()?;
        Some(BnEncryptedStoreKEK::new_binder(StorageKey(client)))
    }

    /// Records where the console is, for programs that list VMs.
    ///
    /// # Errors
    /// If it is not a path that fits in a line.
    pub fn set_host_console_name(&self, path: &str) -> Result<(), Error> {
        if path.is_empty() || path.len() > MAX_CONSOLE_NAME || path.chars().any(char::is_control) {
            return Err(Error::invalid(format!(
                "pathname {path:?}: it must have 1 to {MAX_CONSOLE_NAME} bytes and no control characters"
            )));
        }
        let listing = {
            let mut inner = self.inner();
            if matches!(inner.state, State::Dead(_)) {
                // It is listed no more, and its directory may be another VM's by now.
                return Ok(());
            }
            inner.console = Some(path.to_owned());
            inner.listing.clone()
        };
        if let Some(listing) = listing {
            listing.set_console(path);
        }
        match directory::note_in(&self.directory, &Line::Console(path)) {
            // It has ended since.
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io(
                format!("note the console in {}", self.directory.display()),
                e,
            )),
            _ => Ok(()),
        }
    }

    /// The guest reports on its payload.
    ///
    /// # Errors
    /// If that would be a step back.
    pub fn advance_payload(&self, to: PayloadState) -> Result<(), Error> {
        self.inner().state.advance(to)?;
        log::info!("VM '{}' (CID {}): payload {to:?}", self.name, self.cid);
        match to {
            PayloadState::Started => {
                self.callbacks.payload_started(self.cid);
                let executed = self.inner().executed;
                self.reports.booted(
                    &self.name,
                    executed.map_or(Duration::ZERO, |at| at.elapsed()),
                );
            }
            PayloadState::Ready => self.callbacks.payload_ready(self.cid),
            PayloadState::Finished(code) => self.callbacks.payload_finished(self.cid, code),
            PayloadState::Starting | PayloadState::Hangup => {}
        }
        Ok(())
    }

    /// The VMM has been started.
    pub(super) fn spawned(&self, killer: Killer, control: Arc<dyn Control>) {
        let mut inner = self.inner();
        if inner.kill {
            killer.kill();
        }
        inner.running = Some(Running { killer, control });
        inner.executed = Some(Instant::now());
    }

    /// The VMM runs the guest.
    pub(super) fn running(&self) {
        self.inner().state.run();
        self.changed.notify_all();
    }

    /// The time for the boot is over: ends a VM whose payload has not started.
    pub(super) fn hang_up(&self) {
        {
            let mut inner = self.inner();
            if inner.state != State::Running(PayloadState::Starting)
                || inner.state.advance(PayloadState::Hangup).is_err()
            {
                return;
            }
        }
        log::error!(
            "VM '{}' (CID {}): its payload has not started in time, so it is killed",
            self.name,
            self.cid
        );
        self.kill();
    }

    /// Whether the VM was ended because its payload had not started in time.
    pub(super) fn is_hung_up(&self) -> bool {
        self.inner().state == State::Running(PayloadState::Hangup)
    }

    /// Whether someone wants the VM dead.
    pub(super) fn is_unwanted(&self) -> bool {
        self.inner().kill
    }

    /// The VMM has ended: no call may reach it any more, and the guest may not report any more.
    pub(super) fn mark_dead(&self, death: Death) {
        let mut inner = self.inner();
        inner.state.die(death);
        inner.running = None;
        inner.listing = None;
    }

    /// Everything is cleaned up: tells the clients, then those who wait in [`Instance::stop`].
    pub(super) fn finish(&self, death: Death) {
        self.mark_dead(death);
        log::info!("VM '{}' (CID {}) died: {death:?}", self.name, self.cid);
        self.callbacks.died(self.cid, death);
        // A client's callback object may hold the client's handle to this VM.
        self.callbacks.clear();
        self.inner().finished = true;
        self.changed.notify_all();
    }
}

/// Passes a guest's requests for its key on to the client.
struct StorageKey(Strong<dyn IEncryptedStoreKEK>);

impl Interface for StorageKey {}

impl IEncryptedStoreKEK for StorageKey {
    fn getKEK(&self) -> BinderResult<Option<Vec<u8>>> {
        self.0.getKEK()
    }

    fn onKEKCreated(&self, key: &[u8]) -> BinderResult<()> {
        self.0.onKEKCreated(key)
    }
}
