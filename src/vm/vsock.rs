// SPDX-License-Identifier: Apache-2.0
//! The vsock of a VM: the kernel's device where there is one, else a process of our own.

use crate::error::Error;
use crate::vm::VmDirectory;
use crate::vm::vhost::KernelVsock;
use avf_rpc::vsock::Port;
use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use vm_directory::VSOCK;
use vmm::child::Child;
use vmm::launch::Launch;
use vmm::plan::Vsock;

/// The name of the command that makes this program a vsock device.
pub const VSOCK_DEVICE: &str = "vsock-device";

/// How a connection gets to the guest.
#[derive(Debug)]
pub(super) enum Route {
    /// By the host's kernel.
    Kernel,
    /// Through the device process that listens in this directory.
    User {
        /// The VM's directory, by a descriptor that does not hold its lock.
        directory: OwnedFd,
    },
}

/// The device process before it is started.
#[derive(Debug)]
pub(super) struct UserDevice {
    vhost_user: OwnedFd,
    listener: UnixListener,
}

/// Makes the guest's vsock: what the VMM gets, the device to be started with it, and the way in.
/// `vhost` is the kernel's device, which holds the CID, if there is one.
pub(super) fn prepare(
    directory: &VmDirectory,
    vhost: Option<KernelVsock>,
) -> Result<(VsockParts, Route), Error> {
    match vhost {
        Some(vsock) => Ok((VsockParts::Kernel(vsock), Route::Kernel)),
        None => {
            let (vhost_user, vmm) = rustix::net::socketpair(
                AddressFamily::UNIX,
                SocketType::STREAM,
                SocketFlags::CLOEXEC,
                None,
            )
            .map_err(|e| Error::io("cannot make the vsock device's socket", e))?;
            let listener = directory
                .socket(VSOCK)
                .and_then(UnixListener::bind)
                .map_err(|e| {
                    Error::io(
                        format!("cannot listen on {}/{VSOCK}", directory.path().display()),
                        e,
                    )
                })?;
            let device = UserDevice {
                vhost_user,
                listener,
            };
            Ok((
                VsockParts::User { device, vmm },
                Route::User {
                    directory: open(directory)?,
                },
            ))
        }
    }
}

/// The host's side of a guest's vsock.
#[derive(Debug)]
pub(super) enum HostSide {
    /// The port on which the guest finds its manager.
    Kernel(Port),
    /// The process to be started.
    User(UserDevice),
}

/// The two sides of a guest's vsock.
#[derive(Debug)]
pub(super) enum VsockParts {
    /// The kernel's.
    Kernel(KernelVsock),
    /// A process of ours and the VMM's end of the socket between them.
    User {
        /// The process to be.
        device: UserDevice,
        /// The VMM's end.
        vmm: OwnedFd,
    },
}

impl VsockParts {
    /// What goes into the VMM's plan, and what stays with the host.
    pub(super) fn split(self, cid: u32) -> (Vsock, HostSide) {
        match self {
            Self::Kernel(KernelVsock { device, port }) => {
                let vhost = device;
                (Vsock::Kernel { vhost, cid }, HostSide::Kernel(port))
            }
            Self::User { device, vmm } => (Vsock::User { socket: vmm }, HostSide::User(device)),
        }
    }
}

impl UserDevice {
    /// Starts the process. It ends when the VMM closes its socket, or the calling thread ends.
    pub(super) fn spawn(self, cid: u32, directory: &VmDirectory) -> Result<Child, Error> {
        let mut launch = Launch::new(PathBuf::from("/proc/self/exe"));
        let vhost_user = launch.pass(self.vhost_user);
        let listener = launch.pass(self.listener.into());
        let folder = launch.pass(open(directory)?);
        launch.arg(VSOCK_DEVICE).args([
            cid.to_string(),
            vhost_user.to_string(),
            listener.to_string(),
            folder.to_string(),
        ]);
        Ok(launch.spawn()?)
    }
}

/// The directory by a new descriptor, which does not share the lock of the first.
fn open(directory: &VmDirectory) -> Result<OwnedFd, Error> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(directory.fd(), ".", flags, Mode::empty())
        .map_err(|e| Error::io(format!("cannot open {}", directory.path().display()), e))
}

/// Connects to `port` in the guest.
pub(super) fn connect(route: &Route, cid: u32, port: u32) -> Result<OwnedFd, Error> {
    Ok(match route {
        Route::Kernel => avf_rpc::vsock::connect_vsock(cid, port)?.into(),
        Route::User { directory } => {
            let socket = format!("/proc/self/fd/{}/{VSOCK}", directory.as_raw_fd());
            avf_rpc::vsock::connect_hybrid(socket.as_ref(), port)?.into()
        }
    })
}
