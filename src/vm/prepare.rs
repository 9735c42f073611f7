// SPDX-License-Identifier: Apache-2.0
//! What a VM needs before its VMM is started: pipes for all that it writes, its vsock, and the
//! VMM's command line.

use crate::error::Error;
use crate::vm::control_socket::ControlSocket;
use crate::vm::output::LineLog;
use crate::vm::plan::Draft;
use crate::vm::ramdump::Ramdump;
use crate::vm::vsock::{self, HostSide, Route};
use crate::vm::{Context, RunOptions};
use rustix::pipe::{PipeFlags, pipe_with};
use std::os::fd::OwnedFd;
use vm_directory::LogFile;
use vmm::plan::{Consoles, Plan};
use vmm::{Prepared, Vmm};

/// A VM with all its channels, before its VMM is started.
pub(super) struct Unstarted {
    pub(super) prepared: Prepared,
    pub(super) vsock: HostSide,
    pub(super) streams: Streams,
    pub(super) control: ControlSocket,
    pub(super) options: RunOptions,
    /// Whether the guest starts only when someone connects a debugger.
    pub(super) waits_for_debugger: bool,
    pub(super) context: Context,
}

/// What the guest and its VMM write.
pub(super) struct Streams {
    /// Why the guest gave up.
    pub(super) failure: OwnedFd,
    /// The guest's output that its client did not want.
    pub(super) logs: Vec<LineLog>,
    /// The guest's memory dump.
    pub(super) ramdump: Option<Ramdump>,
}

/// Makes the channels of a VM and the VMM's command line.
pub(super) fn prepare(
    draft: Draft,
    mut context: Context,
    vmm: &dyn Vmm,
    options: RunOptions,
) -> Result<(Unstarted, Route), Error> {
    let Draft { machine, consoles } = draft;
    let cid = context.cid;
    let control = ControlSocket::listen(&context.directory)?;
    let (vsock, route) = vsock::prepare(&context.directory, context.vsock.take())?;
    let (vsock, host_side) = vsock.split(cid);
    let mut logs = Vec::new();
    let directory = context.directory.path();
    let mut or_logged = |given: Option<OwnedFd>, name: &str, file: &str| match given {
        Some(fd) => Ok(fd),
        None => {
            let (read, write) = pipe()?;
            let file = LogFile::new(directory.join(file));
            logs.push(LineLog::new(read, format!("{name}({cid})"), file));
            Ok::<_, Error>(write)
        }
    };
    let console_out = or_logged(consoles.out, "Console", vm_directory::CONSOLE)?;
    let log = or_logged(consoles.log, "Log", vm_directory::LOG)?;
    let (failure, failure_in) = pipe()?;
    let (ramdump, ramdump_in) = match &options.ramdump {
        None => (None, None),
        Some(to) => {
            let (read, write) = pipe()?;
            let directory = context.directory.path().to_owned();
            let memory = machine.memory_mib.get();
            let ramdump = Ramdump::new(read, to.clone(), directory, memory);
            (Some(ramdump), Some(write))
        }
    };
    let equipment = std::mem::take(&mut context.equipment);
    let waits_for_debugger = machine.gdb_port.is_some();
    let plan = Plan {
        name: context.name.clone(),
        directory: context.directory.path().to_owned(),
        machine,
        consoles: Consoles {
            console_out,
            console_in: consoles.input,
            console_input: consoles.input_device,
            failure: failure_in,
            ramdump: ramdump_in,
            log,
        },
        vsock,
        tap: equipment.tap,
        assigned: equipment.assigned,
    };
    let prepared = vmm.prepare(plan)?;
    Ok((
        Unstarted {
            prepared,
            vsock: host_side,
            streams: Streams {
                failure,
                logs,
                ramdump,
            },
            control,
            options,
            waits_for_debugger,
            context,
        },
        route,
    ))
}

/// A pipe whose read end does not block.
fn pipe() -> Result<(OwnedFd, OwnedFd), Error> {
    let (read, write) =
        pipe_with(PipeFlags::CLOEXEC).map_err(|e| Error::io("cannot make a pipe", e))?;
    rustix::io::ioctl_fionbio(&read, true)
        .map_err(|e| Error::io("cannot make a pipe non-blocking", e))?;
    Ok((read, write))
}
