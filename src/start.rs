// SPDX-License-Identifier: Apache-2.0
//! From inherited descriptors to a service, until the client hangs up.

use crate::args::{ServeFds, VsockFds};
use crate::client::Client;
use crate::profile::{Chosen, Profile};
use crate::service::VirtualizationService;
use crate::settings::Settings;
use crate::signals::{self, Signal, Signals};
use avf_rpc::bootstrap;
use avf_rpc::server::{Policy, Server};
use avf_wire::{Release, Wire};
use command_fds::inherited;
use host::{Host, RootError};
use rustix::fs::{FileType, OFlags};
use rustix::net::{AddressFamily, SocketType};
use std::io;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::time::Duration;

/// Why the program ends without having served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The command line is wrong.
    #[error(transparent)]
    Usage(#[from] crate::args::Error),
    /// An inherited descriptor is not what it should be.
    #[error("{name} {fd}: {what}")]
    Descriptor {
        /// The option that named it.
        name: &'static str,
        /// Its number.
        fd: RawFd,
        /// What is wrong, and what it should be.
        what: String,
    },
    /// A setting of the environment cannot be used.
    #[error(transparent)]
    Setting(#[from] crate::settings::Error),
    /// The root directory cannot be used.
    #[error(transparent)]
    Root(#[from] &'static RootError),
    /// A step of the start failed.
    #[error("{what}")]
    System {
        /// The step.
        what: &'static str,
        /// The system error.
        source: io::Error,
    },
    /// The RPC server could not be made, or its channel broke.
    #[error("{what}")]
    Rpc {
        /// The step.
        what: &'static str,
        /// The cause.
        source: avf_rpc::Error,
    },
    /// A VMM's script could not be supervised.
    #[error(transparent)]
    Supervise(#[from] vmm::supervise::Error),
    /// The vsock device failed.
    #[error("vsock device of CID {cid}")]
    VsockDevice {
        /// The guest.
        cid: u32,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// What the client may do: many calls at once, pass descriptors. Its callbacks are one-way, so the
/// reply timeout only bounds how long a send may be stuck on a client that does not read.
const POLICY: Policy = Policy {
    connections: 128,
    threads: 4,
    callbacks: 64,
    call_bytes: None,
    fds: true,
    reply_timeout: Some(Duration::from_secs(30)),
};

/// Why a manager ended that has served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Its client hung up.
    HungUp,
    /// A signal asked it to.
    Signalled(Signal),
}

/// The release that is taken for the client's until its calls show it: what the command line says, or
/// the environment, or the system's version, else the newest.
fn wire(told: Option<Release>, settings: &Settings, host: &Host) -> avf_wire::Default {
    if let Some(release) = told.or(settings.wire) {
        return avf_wire::Default {
            release,
            is_told: true,
        };
    }
    let of_system = host.api_level().as_deref().and_then(Release::of_sdk);
    let built = of_system.filter(|release| avf_wire::built().any(|built| built == *release));
    built.map_or_else(avf_wire::Default::default, |release| avf_wire::Default {
        release,
        is_told: false,
    })
}

/// Serves the client until it hangs up or a signal comes; then every VM is gone.
///
/// # Errors
/// If a descriptor is wrong, or the service cannot be set up.
pub fn serve(fds: ServeFds, told: Option<Release>) -> Result<End, Error> {
    adopt_descriptors()?;
    // Before there is another thread, which would have them unblocked.
    let signals = Signals::block().map_err(|source| Error::System {
        what: "cannot wait for signals",
        source,
    })?;
    let rpc = bootstrap_socket(fds.rpc_server)?;
    let ready = ready_pipe(fds.ready)?;
    let settings = Settings::of_process()?;
    let host = Host::of_process()?;
    let client = Client::parent().map_err(|source| Error::System {
        what: "cannot identify the client (the parent process)",
        source,
    })?;
    Chosen::lift_memory_lock_limit();
    let wire = Wire::new(wire(told, &settings, &host));
    let service = VirtualizationService::new(host, settings, client, wire);
    let vms = service.vms();
    let server = Server::new(service.into_binder(), POLICY).map_err(|source| Error::Rpc {
        what: "cannot make the RPC server",
        source,
    })?;
    // A client that closed the pipe does not want to know.
    if let Err(e) = rustix::io::write(&ready, b"o")
        && e != rustix::io::Errno::PIPE
    {
        return Err(Error::System {
            what: "cannot tell the client that the service is ready",
            source: e.into(),
        });
    }
    drop(ready);
    let served = bootstrap::serve_until(&rpc, &server, Some(signals.as_fd()));
    let end = signals.take().map_or(End::HungUp, End::Signalled);
    if let End::Signalled(signal) = end {
        log::info!("{}: every VM is ended", signal.name);
    }
    // First the VMs, so that no call can be waiting for one; then the sessions.
    vms.end(end == End::HungUp);
    drop(server);
    served.map(|_| end).map_err(|source| Error::Rpc {
        what: "cannot serve the client",
        source,
    })
}

/// Runs the vsock device of one VM in this process.
///
/// # Errors
/// If a descriptor is wrong or the device fails.
pub fn vsock_device(fds: &VsockFds) -> Result<(), Error> {
    signals::ignore_ending();
    adopt_descriptors()?;
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| Error::VsockDevice {
        cid: fds.cid,
        source,
    };
    let config = vsock_device::Config {
        vhost_user: take("vhost-user socket", fds.vhost_user)?,
        guest_cid: vsock_device::GuestCid::new(fds.cid).map_err(|e| failed(e.into()))?,
        listener: take("listening socket", fds.listener)?,
        directory: take("directory", fds.directory)?,
        prefix: vm_directory::VSOCK.to_owned(),
    };
    vsock_device::run(config).map_err(|e| failed(e.into()))
}

/// Supervises a VMM that is started through a script, and ends as the script does.
///
/// # Errors
/// If the script cannot be started.
pub fn supervise(arguments: Vec<std::ffi::OsString>) -> Result<(), Error> {
    vmm::supervise::exit_like(vmm::supervise::run(arguments)?)
}

/// Takes over every inherited descriptor and marks it close-on-exec.
#[expect(
    unsafe_code,
    reason = "only the start of the program can know that no one else owns them"
)]
fn adopt_descriptors() -> Result<(), Error> {
    // SAFETY: this runs once, at the start of the program, before anything else opens or takes a
    // descriptor.
    unsafe { inherited::init_inherited_fds() }.map_err(|source| Error::System {
        what: "cannot take over the inherited descriptors",
        source,
    })
}

/// The inherited descriptor `fd`.
fn take(name: &'static str, fd: RawFd) -> Result<OwnedFd, Error> {
    inherited::take_fd_ownership(fd).map_err(|e| Error::Descriptor {
        name,
        fd,
        what: format!(
            "{e}; it must be open and without close-on-exec when this program is started"
        ),
    })
}

fn bootstrap_socket(fd: RawFd) -> Result<OwnedFd, Error> {
    let name = "--rpc-server-fd";
    let socket = take(name, fd)?;
    let is_right = rustix::net::sockopt::socket_type(&socket) == Ok(SocketType::STREAM)
        && rustix::net::sockopt::socket_domain(&socket) == Ok(AddressFamily::UNIX);
    if !is_right {
        return Err(Error::Descriptor {
            name,
            fd,
            what: "it must be one end of a Unix stream socketpair".into(),
        });
    }
    let blocking = rustix::io::ioctl_fionbio(&socket, false);
    blocking.map_err(|e| Error::System {
        what: "cannot make the bootstrap socket blocking",
        source: e.into(),
    })?;
    Ok(socket)
}

fn ready_pipe(fd: RawFd) -> Result<OwnedFd, Error> {
    let name = "--ready-fd";
    let pipe = take(name, fd)?;
    let is_pipe = rustix::fs::fstat(&pipe)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo);
    let is_writable =
        rustix::fs::fcntl_getfl(&pipe).is_ok_and(|flags| flags & OFlags::ACCMODE != OFlags::RDONLY);
    if is_pipe && is_writable {
        Ok(pipe)
    } else {
        Err(Error::Descriptor {
            name,
            fd,
            what: "it must be the write end of a pipe".into(),
        })
    }
}
