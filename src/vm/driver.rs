// SPDX-License-Identifier: Apache-2.0
//! The thread that owns a running VM: it starts the processes, waits for everything that can
//! happen to them, and cleans up.
//!
//! The kernel kills the processes when this thread ends, however it ends.

use crate::error::Error;
use crate::reports;
use crate::vm::control_socket::Controller;
use crate::vm::death::death_reason;
use crate::vm::failure::{likely_cause, one_line, signal_word, start_failed, stopped, too_late};
use crate::vm::metrics::Metrics;
use crate::vm::output::{Head, Tail, drain};
use crate::vm::prepare::{Streams, Unstarted};
use crate::vm::ramdump::Ramdump;
use crate::vm::vsock::HostSide;
use crate::vm::{Instance, RunOptions, VmDirectory};
use avf_rpc::server::{Policy, Server};
use avf_rpc::vsock::GuestServer;
use host::chain;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};
use vmm::child::{Child, Ended, Exit};
use vmm::death::{self, Death, Ending};
use vmm::{Control, Event, Prepared};

/// Bytes of a VMM's own output that are kept for errors.
const STDERR_TAIL: usize = 16 << 10;

/// How long a VMM may take to start its guest before the log says that it does not.
const ANSWER: Duration = Duration::from_secs(5);
/// How long it may take at all: memory in huge pages and slow disks need their time.
const START: Duration = Duration::from_secs(300);

/// What the programs of one guest may do: a handful of connections, calls that are no longer than an
/// error message could be, no descriptors.
const GUEST_POLICY: Policy = Policy {
    connections: 16,
    threads: 2,
    callbacks: 0,
    call_bytes: Some(1 << 20),
    fds: false,
    reply_timeout: Some(Duration::from_secs(10)),
};

/// The whole life of a VM's processes. `started` gets the answer to the client's start.
pub(super) fn drive(
    vm: &Arc<Instance>,
    unstarted: Unstarted,
    started: &SyncSender<Result<(), Error>>,
) {
    let Unstarted {
        prepared,
        vsock,
        streams,
        control,
        options,
        waits_for_debugger,
        context,
    } = unstarted;
    let directory = &context.directory;
    let reports = Arc::clone(&options.reports);
    let run = || {
        let controller = control.serve((options.roots.control)(vm))?;
        let mut processes = Processes::spawn(vm, prepared, vsock, streams, options, directory)?;
        processes.waits_for_debugger = waits_for_debugger;
        Ok((processes, controller))
    };
    let (end, controller) = match run() {
        Ok((processes, controller)) => (processes.run(vm, &controller, started), Some(controller)),
        Err(e) => {
            let end = End {
                death: Death::StartFailed,
                error: Some(e),
                ramdump: None,
                metrics: None,
                signal: 0,
            };
            (end, None)
        }
    };
    vm.mark_dead(end.death);
    if let Some(ramdump) = end.ramdump {
        ramdump.finish(vm.name(), vm.cid());
    }
    // The directory goes, and the CID is free, before a client can hear of the death: it may well
    // create the same VM again at once.
    drop(context);
    vm.finish(end.death);
    let metrics = end.metrics.as_ref();
    reports.exited(&reports::End {
        name: vm.name(),
        reason: death_reason(end.death),
        signal: end.signal,
        elapsed: metrics.map_or(Duration::ZERO, |metrics| metrics.elapsed),
        guest_time: metrics.map_or(Duration::ZERO, Metrics::guest_time),
        peak_rss_kib: metrics.map_or(0, |metrics| metrics.usage.peak_rss_kib),
    });
    // Last, so that those who registered over the control socket have heard of the death, too.
    drop(controller);
    if let Some(error) = end.error {
        // The starter may have had its answer; then there is no room and no need.
        let _ = started.try_send(Err(error));
    }
}

/// What is to be said when a VM has ended.
struct End {
    death: Death,
    /// Why the start failed, if it did.
    error: Option<Error>,
    ramdump: Option<Ramdump>,
    /// What the VMM used, if there was one.
    metrics: Option<Metrics>,
    /// The signal that ended the VMM; 0 if none did.
    signal: i32,
}

/// The processes of a running VM and everything that they write to.
struct Processes {
    // Dropped in this order: no guest calls, then no guest, then no devices.
    guest: GuestServer,
    vmm: Child,
    device: Option<Child>,
    control: Arc<dyn Control>,
    _helpers: Vec<Box<dyn Send>>,
    streams: Streams,
    failure_text: Head,
    stderr: Tail,
    options: RunOptions,
    executed: Instant,
    /// What must have happened at a time.
    deadline: Option<(Instant, Late)>,
    /// Whether the VMM was killed because it did not start the guest in time.
    too_late: bool,
    /// Whether the guest starts only when someone connects a debugger.
    waits_for_debugger: bool,
    ending: Option<Ending>,
    ready: bool,
}

impl Processes {
    fn spawn(
        vm: &Arc<Instance>,
        prepared: Prepared,
        vsock: HostSide,
        streams: Streams,
        options: RunOptions,
        directory: &VmDirectory,
    ) -> Result<Self, Error> {
        let cid = vm.cid();
        let server = Server::new((options.roots.guest)(vm), GUEST_POLICY)?;
        // The guest's service is on the port that equals its CID.
        let (device, guest) = match vsock {
            HostSide::Kernel(port) => (None, GuestServer::on_vsock(server, cid, port)?),
            HostSide::User(device) => {
                let device = device.spawn(cid, directory)?;
                or_warned(directory, &device, directory.note_process(device.pid()));
                let prefix = directory
                    .socket(vm_directory::VSOCK)
                    .map_err(|e| Error::io("cannot address the vsock", e))?;
                let guest = GuestServer::on_hybrid_vsock(server, &prefix, cid, device.pid())?;
                (Some(device), guest)
            }
        };
        let vmm = prepared.launch.spawn_supervised()?;
        log::debug!(
            "VM '{}' (CID {cid}): VMM executed, process {}",
            vm.name(),
            vmm.pid()
        );
        or_warned(
            directory,
            &vmm,
            directory.note_vmm(vmm.pid(), prepared.name),
        );
        let control: Arc<dyn Control> = Arc::from(prepared.control);
        vm.spawned(vmm.killer()?, Arc::clone(&control));
        control.spawned()?;
        Ok(Self {
            guest,
            vmm,
            device,
            control,
            _helpers: prepared.helpers,
            streams,
            failure_text: Head::default(),
            stderr: Tail::new(STDERR_TAIL),
            options,
            executed: Instant::now(),
            deadline: Instant::now()
                .checked_add(ANSWER)
                .map(|at| (at, Late::Answer)),
            too_late: false,
            waits_for_debugger: false,
            ending: None,
            ready: false,
        })
    }

    /// Waits until the VMM has ended.
    fn run(
        mut self,
        vm: &Instance,
        controller: &Controller,
        started: &SyncSender<Result<(), Error>>,
    ) -> End {
        let mut closed = Vec::new();
        'alive: loop {
            let ready = match self.wait(&closed, controller) {
                Ok(ready) => ready,
                Err(e) => {
                    log::error!("VM '{}': {}; it is killed", vm.name(), chain(&e));
                    vm.kill();
                    break;
                }
            };
            for source in ready {
                let is_open = match source {
                    Source::Control => self.control_events(vm, started),
                    Source::Failure => {
                        drain(&self.streams.failure, |bytes| self.failure_text.push(bytes))
                    }
                    Source::Stderr => drain(self.vmm.stderr(), |bytes| self.stderr.push(bytes)),
                    Source::Log(index) => self.streams.logs[index].pump(),
                    Source::Ramdump => self.streams.ramdump.as_mut().is_some_and(Ramdump::pump),
                    Source::Controller => controller.accept(),
                    Source::Vmm => break 'alive,
                    Source::Device => {
                        self.device_ended(vm);
                        false
                    }
                };
                if !is_open {
                    closed.push(source);
                }
            }
            if let Some((at, late)) = self.deadline
                && at <= Instant::now()
            {
                self.deadline = self.late(late, vm);
            }
        }
        self.end(vm, started)
    }

    /// Something has not happened in time; what must happen next.
    fn late(&mut self, late: Late, vm: &Instance) -> Option<(Instant, Late)> {
        let who = format!("VM '{}' (CID {})", vm.name(), vm.cid());
        let vmm = self.vmm.pid();
        match late {
            Late::Answer => {
                log::warn!(
                    "{who}: its VMM, process {vmm}, has not started the guest within {} s; waiting on",
                    ANSWER.as_secs()
                );
                let at = self.executed.checked_add(START)?;
                return (!self.waits_for_debugger).then_some((at, Late::Start));
            }
            Late::Start => {
                log::error!(
                    "{who}: its VMM, process {vmm}, has not started the guest within {} s; killing it",
                    START.as_secs()
                );
                self.too_late = true;
                vm.kill();
            }
            Late::Boot => vm.hang_up(),
        }
        None
    }

    /// The vsock device ends by itself when the VMM closes its end, as a VMM does that exits. If it
    /// ended otherwise, the guest's vsock is gone for good, so the VM has to end.
    fn device_ended(&mut self, vm: &Instance) {
        let Some(device) = self.device.take() else {
            return;
        };
        let exit = device.wait();
        if let Ok(Ended {
            exit: Exit::Code(0),
            ..
        }) = exit
        {
            return;
        }
        let mut said = Tail::new(STDERR_TAIL);
        drain(device.stderr(), |bytes| said.push(bytes));
        let how = exit.map_or_else(|e| chain(&e), |ended| ended.exit.to_string());
        log::error!(
            "VM '{}' (CID {}): its vsock device ended ({how}), so it is killed; the device said: {}",
            vm.name(),
            vm.cid(),
            one_line(&said.text())
        );
        vm.kill();
    }

    /// Handles what the VMM says; `false` when it has nothing more to say.
    fn control_events(&mut self, vm: &Instance, started: &SyncSender<Result<(), Error>>) -> bool {
        let events = self.control.events().unwrap_or_else(|e| {
            log::error!("VM '{}': {}; it is killed", vm.name(), chain(&e));
            vm.kill();
            // If the guest has not started, this is why.
            let _ = started.try_send(Err(e.into()));
            vec![Event::Closed]
        });
        let mut open = true;
        for event in events {
            match event {
                Event::Ready => {
                    self.ready = true;
                    self.deadline = self
                        .options
                        .boot_timeout
                        .and_then(|time| Instant::now().checked_add(time))
                        .map(|at| (at, Late::Boot));
                    vm.running();
                    let _ = started.try_send(Ok(()));
                }
                // The first word counts: what follows is how the VMM reacts to it.
                Event::Ending(ending) => {
                    self.ending.get_or_insert(ending);
                }
                Event::DiskFault(fault) => {
                    vm.disk_failed();
                    log::warn!(
                        "VM '{}' (CID {}): {fault}; the guest is paused: {}, then run `vm resume {}`",
                        vm.name(),
                        vm.cid(),
                        if fault.is_full {
                            "make room for the disk's file"
                        } else {
                            "mend the disk"
                        },
                        vm.cid()
                    );
                }
                Event::Paused => vm.paused(),
                Event::Resumed => vm.resumed(),
                Event::Closed => open = false,
            }
        }
        open
    }

    /// The VMM has ended, or is being killed: reaps it, reads the last words.
    fn end(mut self, vm: &Instance, started: &SyncSender<Result<(), Error>>) -> End {
        let ended = self
            .vmm
            .wait()
            .map_err(|e| log::error!("{}", chain(&e)))
            .ok();
        let exit = ended.map(|ended| ended.exit);
        self.control_events(vm, started);
        drain(&self.streams.failure, |bytes| self.failure_text.push(bytes));
        drain(self.vmm.stderr(), |bytes| self.stderr.push(bytes));
        for log in &mut self.streams.logs {
            log.pump();
        }
        let failure = self.failure_text.text();
        let death = death::from_failure_text(&failure)
            .or_else(|| vm.is_hung_up().then_some(Death::Hangup))
            .unwrap_or_else(|| {
                let status = |code| self.control.exit_status(code);
                death::from_exit(exit, self.ending, self.ready, status)
            });
        let who = format!("VM '{}' (CID {})", vm.name(), vm.cid());
        log::debug!(
            "{who}: VMM ended: {exit:?}, {:?}, failure text {failure:?}",
            self.ending
        );
        let metrics = ended.map(|ended| Metrics {
            elapsed: self.executed.elapsed(),
            accel: self.options.accel,
            usage: ended.usage,
        });
        if let Some(metrics) = &metrics {
            log::info!("{who}: {metrics}");
        }
        if let Some(Exit::Signal(signal)) = exit
            && !vm.is_unwanted()
        {
            log::warn!(
                "{who}: the VMM was killed by {}{}",
                signal_word(signal),
                likely_cause(signal)
            );
        }
        let said = one_line(&self.stderr.text());
        if !said.is_empty() {
            // crosvm tells also what goes well.
            let level = match death {
                Death::Shutdown | Death::Reboot | Death::Killed => log::Level::Debug,
                _ => log::Level::Warn,
            };
            log::log!(level, "{who}: the VMM said: {said}");
        }
        let error = (!self.ready).then(|| {
            if self.too_late {
                too_late(START)
            } else if vm.is_unwanted() {
                stopped()
            } else {
                start_failed(exit, said)
            }
        });
        self.guest.end_sessions();
        End {
            death,
            error,
            ramdump: self.streams.ramdump,
            metrics,
            signal: match exit {
                Some(Exit::Signal(signal)) => signal,
                _ => 0,
            },
        }
    }

    /// How long to wait: until the guest is late, or for ever.
    fn timeout(&self) -> Option<Timespec> {
        let left = self.deadline?.0.saturating_duration_since(Instant::now());
        // Rounded up, so that it is past the deadline and not just before it.
        Timespec::try_from(left + Duration::from_millis(1)).ok()
    }

    /// Blocks until something happens; says to what. The VMM and its device come last, so that what
    /// they have written is read first.
    fn wait(&self, closed: &[Source], controller: &Controller) -> Result<Vec<Source>, Error> {
        let mut sources = vec![
            (Source::Failure, self.streams.failure.as_fd()),
            (Source::Stderr, self.vmm.stderr()),
            (Source::Controller, controller.fd()),
        ];
        let control = self.control.event_fd();
        sources.extend(control.map(|fd| (Source::Control, fd)));
        let logs = self.streams.logs.iter().enumerate();
        sources.extend(logs.map(|(index, log)| (Source::Log(index), log.fd().as_fd())));
        let ramdump = self.streams.ramdump.as_ref().and_then(Ramdump::fd);
        sources.extend(ramdump.map(|fd| (Source::Ramdump, fd)));
        sources.push((Source::Vmm, self.vmm.pidfd()));
        let device = self.device.as_ref().map(Child::pidfd);
        sources.extend(device.map(|fd| (Source::Device, fd)));
        sources.retain(|(source, _)| !closed.contains(source));
        let mut fds: Vec<_> = sources
            .iter()
            .map(|(_, fd)| PollFd::from_borrowed_fd(*fd, PollFlags::IN))
            .collect();
        while let Err(e) = poll(&mut fds, self.timeout().as_ref()) {
            if e != rustix::io::Errno::INTR {
                return Err(Error::io("cannot wait for the VMM", e));
            }
        }
        let polled = sources.iter().zip(&fds);
        Ok(polled
            .filter(|(_, fd)| !fd.revents().is_empty())
            .map(|((source, _), _)| *source)
            .collect())
    }
}

/// What is late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Late {
    /// The VMM has not started the guest in the usual time.
    Answer,
    /// The VMM has not started the guest at all.
    Start,
    /// The guest has not reported that its payload has started.
    Boot,
}

/// What a VM's thread waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// The VMM has ended.
    Vmm,
    /// The vsock device has ended.
    Device,
    /// The VMM says something.
    Control,
    /// The guest says why it gives up.
    Failure,
    /// The VMM writes to its standard output or error.
    Stderr,
    /// The guest writes a dump of its memory.
    Ramdump,
    /// A program connects to the control socket.
    Controller,
    /// The guest writes to the log of this index.
    Log(usize),
}

/// A process that is not noted cannot be ended by a later manager, but the kernel ends it anyway.
fn or_warned(directory: &VmDirectory, child: &Child, noted: std::io::Result<()>) {
    if let Err(e) = noted {
        log::warn!(
            "cannot note process {} in {}: {e}",
            child.pid(),
            directory.path().display()
        );
    }
}
