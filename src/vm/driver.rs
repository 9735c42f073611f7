// SPDX-License-Identifier: Apache-2.0
//! The thread that owns a running VM: it starts the processes, waits for everything that can
//! happen to them, and cleans up.
//!
//! The kernel kills the processes when this thread ends, however it ends.

use crate::service::GuestService;
use crate::service::status::chain;
use crate::vm::device::{self, Route, UserDevice};
use crate::vm::output::{Head, LineLog, Tail, drain};
use crate::vm::plan::Draft;
use crate::vm::{Context, Error, Instance, VmDirectory};
use avf_rpc::server::{Policy, Server};
use avf_rpc::vsock::GuestServer;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;
use vmm::death::{self, Death, Ending};
use vmm::launch::{Child, Exit};
use vmm::plan::{Consoles, Plan};
use vmm::{Control, Event, Prepared, Vmm};

/// Bytes of a VMM's own output that are kept for errors.
const STDERR_TAIL: usize = 16 << 10;

/// What the programs of one guest may do: a handful of connections, calls that are no longer than an
/// error message could be, no descriptors.
const GUEST_POLICY: Policy = Policy {
    connections: 16,
    threads: 2,
    call_bytes: Some(1 << 20),
    fds: false,
    reply_timeout: Some(Duration::from_secs(10)),
};

/// A VM with all its channels, before its VMM is started.
pub(super) struct Unstarted {
    prepared: Prepared,
    device: Option<UserDevice>,
    failure: OwnedFd,
    logs: Vec<LineLog>,
    context: Context,
}

/// Makes the channels of a VM and the VMM's command line.
pub(super) fn prepare(
    draft: Draft,
    context: Context,
    vmm: &dyn Vmm,
) -> Result<(Unstarted, Route), Error> {
    let cid = context.cid;
    let (vsock, route) = device::prepare(&context.directory)?;
    let (vsock, device) = vsock.split(cid);
    let mut logs = Vec::new();
    let mut or_logged = |given: Option<OwnedFd>, name: &str| match given {
        Some(fd) => Ok(fd),
        None => {
            let (read, write) = pipe()?;
            logs.push(LineLog::new(read, format!("{name}({cid})")));
            Ok::<_, Error>(write)
        }
    };
    let console_out = or_logged(draft.console_out, "Console")?;
    let log = or_logged(draft.os_log, "Log")?;
    let (failure, failure_in) = pipe()?;
    let plan = Plan {
        name: context.name.clone(),
        boot: draft.boot,
        memory_mib: draft.memory_mib,
        cpus: draft.cpus,
        disks: draft.disks,
        consoles: Consoles {
            console_out,
            console_in: draft.console_in,
            console_input: draft.console_input,
            failure: failure_in,
            log,
        },
        vsock,
        balloon: draft.balloon,
    };
    let prepared = vmm.prepare(plan)?;
    Ok((
        Unstarted {
            prepared,
            device,
            failure,
            logs,
            context,
        },
        route,
    ))
}

/// A pipe whose read end does not block.
fn pipe() -> Result<(OwnedFd, OwnedFd), Error> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC).map_err(|e| Error::io("make a pipe", e))?;
    rustix::io::ioctl_fionbio(&read, true).map_err(|e| Error::io("make a pipe non-blocking", e))?;
    Ok((read, write))
}

/// The whole life of a VM's processes. `started` gets the answer to the client's start.
pub(super) fn drive(
    vm: &Arc<Instance>,
    unstarted: Unstarted,
    started: &SyncSender<Result<(), Error>>,
) {
    let Unstarted {
        prepared,
        device,
        failure,
        logs,
        context,
    } = unstarted;
    let (death, answer) =
        match Processes::spawn(vm, prepared, device, failure, logs, &context.directory) {
            Ok(processes) => processes.run(vm, started),
            Err(e) => (Death::StartFailed, Some(e)),
        };
    vm.mark_dead(death);
    // The directory goes, and the CID is free, before a client can hear of the death: it may well
    // create the same VM again at once.
    drop(context);
    vm.finish(death);
    if let Some(error) = answer {
        // The starter may have had its answer; then there is no room and no need.
        let _ = started.try_send(Err(error));
    }
}

/// The processes of a running VM and everything that they write to.
struct Processes {
    // Dropped in this order: no guest calls, then no guest, then no devices.
    guest: GuestServer,
    vmm: Child,
    device: Option<Child>,
    control: Arc<dyn Control>,
    _helpers: Vec<Box<dyn Send>>,
    failure: OwnedFd,
    failure_text: Head,
    stderr: Tail,
    logs: Vec<LineLog>,
    ending: Option<Ending>,
    ready: bool,
}

impl Processes {
    fn spawn(
        vm: &Arc<Instance>,
        prepared: Prepared,
        device: Option<UserDevice>,
        failure: OwnedFd,
        logs: Vec<LineLog>,
        directory: &VmDirectory,
    ) -> Result<Self, Error> {
        let cid = vm.cid();
        let server = Server::new(GuestService::binder(vm), GUEST_POLICY)?;
        // The guest's service is on the port that equals its CID.
        let (device, guest) = match device {
            None => (None, GuestServer::on_vsock(server, cid, cid)?),
            Some(device) => {
                let device = device.spawn(cid, directory)?;
                note(directory, &device);
                let prefix = directory.short_path(device::VSOCK_SOCKET);
                let guest = GuestServer::on_hybrid_vsock(server, &prefix, cid, device.pid())?;
                (Some(device), guest)
            }
        };
        let vmm = prepared.launch.spawn()?;
        log::debug!(
            "VM '{}' (CID {cid}): VMM executed, process {}",
            vm.name(),
            vmm.pid()
        );
        note(directory, &vmm);
        let control: Arc<dyn Control> = Arc::from(prepared.control);
        vm.spawned(vmm.killer()?, Arc::clone(&control));
        Ok(Self {
            guest,
            vmm,
            device,
            control,
            _helpers: prepared.helpers,
            failure,
            failure_text: Head::default(),
            stderr: Tail::new(STDERR_TAIL),
            logs,
            ending: None,
            ready: false,
        })
    }

    /// Waits until the VMM has ended. Returns why, and the error for a start that failed.
    fn run(
        mut self,
        vm: &Instance,
        started: &SyncSender<Result<(), Error>>,
    ) -> (Death, Option<Error>) {
        let mut control_open = true;
        let mut failure_open = true;
        let mut stderr_open = true;
        let mut logs_open = vec![true; self.logs.len()];
        loop {
            let ready = match self.wait(control_open, failure_open, stderr_open, &logs_open) {
                Ok(ready) => ready,
                Err(e) => {
                    log::error!("VM '{}': {}; it is killed", vm.name(), chain(&e));
                    vm.kill();
                    break;
                }
            };
            if ready.control {
                control_open = self.control_events(vm, started);
            }
            if ready.failure {
                failure_open = drain(&self.failure, |bytes| self.failure_text.push(bytes));
            }
            if ready.stderr {
                stderr_open = drain(self.vmm.stderr(), |bytes| self.stderr.push(bytes));
            }
            for ((log, open), is_ready) in self.logs.iter_mut().zip(&mut logs_open).zip(&ready.logs)
            {
                if *is_ready {
                    *open = log.pump();
                }
            }
            if ready.vmm {
                break;
            }
            if ready.device {
                self.device_ended(vm);
            }
        }
        self.end(vm, started)
    }

    /// The vsock device ends by itself when the VMM closes its end, as a VMM does that exits. If it
    /// ended otherwise, the guest's vsock is gone for good, so the VM has to end.
    fn device_ended(&mut self, vm: &Instance) {
        let Some(mut device) = self.device.take() else {
            return;
        };
        let exit = device.wait();
        if let Ok(Exit::Code(0)) = exit {
            return;
        }
        let mut said = Tail::new(STDERR_TAIL);
        drain(device.stderr(), |bytes| said.push(bytes));
        log::error!(
            "VM '{}' (CID {}): its vsock device ended ({exit:?}), so it is killed; the device said: {}",
            vm.name(),
            vm.cid(),
            said.text()
        );
        vm.kill();
    }

    /// Handles what the VMM says; `false` when it has nothing more to say.
    fn control_events(&mut self, vm: &Instance, started: &SyncSender<Result<(), Error>>) -> bool {
        let events = self.control.events().unwrap_or_else(|e| {
            log::error!("VM '{}': {}; it is killed", vm.name(), chain(&e));
            vm.kill();
            vec![Event::Closed]
        });
        let mut open = true;
        for event in events {
            match event {
                Event::Ready => {
                    self.ready = true;
                    vm.running();
                    let _ = started.try_send(Ok(()));
                }
                // The first word counts: what follows is how the VMM reacts to it.
                Event::Ending(ending) => {
                    self.ending.get_or_insert(ending);
                }
                Event::Closed => open = false,
            }
        }
        open
    }

    /// The VMM has ended, or is being killed: reaps it, reads the last words.
    fn end(
        mut self,
        vm: &Instance,
        started: &SyncSender<Result<(), Error>>,
    ) -> (Death, Option<Error>) {
        let exit = self
            .vmm
            .wait()
            .map_err(|e| log::error!("{}", chain(&e)))
            .ok();
        self.control_events(vm, started);
        drain(&self.failure, |bytes| self.failure_text.push(bytes));
        drain(self.vmm.stderr(), |bytes| self.stderr.push(bytes));
        for log in &mut self.logs {
            log.pump();
        }
        let failure = self.failure_text.text();
        let death = death::from_failure_text(&failure)
            .unwrap_or_else(|| death::from_exit(exit, self.ending, self.ready));
        let said = self.stderr.text();
        log::debug!(
            "VM '{}': VMM ended: {exit:?}, {:?}, failure text {failure:?}",
            vm.name(),
            self.ending
        );
        if !said.is_empty() {
            log::warn!(
                "VM '{}' (CID {}): the VMM said: {said}",
                vm.name(),
                vm.cid()
            );
        }
        let error = (!self.ready).then(|| {
            if vm.is_unwanted() {
                Error::Stopped
            } else {
                let exit = match exit {
                    Some(Exit::Code(code)) => format!("exit status {code}"),
                    Some(Exit::Signal(signal)) => format!("killed by signal {signal}"),
                    None => "it could not be waited for".into(),
                };
                let said = if said.is_empty() {
                    "(nothing)".into()
                } else {
                    said
                };
                Error::StartFailed { exit, said }
            }
        });
        self.guest.end_sessions();
        (death, error)
    }

    /// Blocks until something happens.
    fn wait(
        &self,
        control: bool,
        failure: bool,
        stderr: bool,
        logs: &[bool],
    ) -> Result<ReadySet, Error> {
        let device = self.device.as_ref().map(Child::pidfd);
        let fixed: [Option<BorrowedFd<'_>>; 5] = [
            Some(self.vmm.pidfd()),
            device,
            control.then(|| self.control.event_fd()),
            failure.then(|| self.failure.as_fd()),
            stderr.then(|| self.vmm.stderr()),
        ];
        let logs = self
            .logs
            .iter()
            .zip(logs)
            .map(|(log, open)| open.then(|| log.fd().as_fd()));
        let sources: Vec<_> = fixed.into_iter().chain(logs).collect();
        let mut fds: Vec<_> = sources
            .iter()
            .flatten()
            .map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN))
            .collect();
        while let Err(e) = poll(&mut fds, None) {
            if e != rustix::io::Errno::INTR {
                return Err(Error::io("wait for the VMM", e));
            }
        }
        let mut polled = fds.iter().map(|fd| !fd.revents().is_empty());
        let mut ready = sources
            .iter()
            .map(|source| source.is_some() && polled.next().unwrap_or(false));
        let mut next = || ready.next().unwrap_or(false);
        Ok(ReadySet {
            vmm: next(),
            device: next(),
            control: next(),
            failure: next(),
            stderr: next(),
            logs: ready.collect(),
        })
    }
}

/// Which sources have something.
struct ReadySet {
    vmm: bool,
    device: bool,
    control: bool,
    failure: bool,
    stderr: bool,
    logs: Vec<bool>,
}

/// A process that is not noted cannot be ended by a later manager, but the kernel ends it anyway.
fn note(directory: &VmDirectory, child: &Child) {
    if let Err(e) = directory.note_process(child.pid()) {
        log::warn!(
            "note process {} in {}: {e}",
            child.pid(),
            directory.path().display()
        );
    }
}
