// SPDX-License-Identifier: Apache-2.0
//! Starting a VM manager and making VMs with it.

use crate::error::Error;
use crate::files;
use crate::instance::VmInstance;
use crate::options::{ManagerOptions, Streams};
use crate::process::Process;
use crate::release::of_system;
use avf_aidl::service::{IVirtualizationService, VirtualMachineConfig};
use avf_rpc::{MAX_FDS, bootstrap};
use avf_wire::client;
use rsbinder::rpc::RpcSession;
use rsbinder::{ParcelFileDescriptor, Strong};
use std::fmt;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Instant;

/// When the steps of a manager's start were done.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Just before the fork.
    pub forked: Instant,
    /// The manager said that it is ready.
    pub ready: Instant,
    /// The RPC session was set up.
    pub connected: Instant,
}

/// Ends a manager from any thread; see [`Manager::hang_up_handle`].
#[derive(Debug, Clone)]
pub struct HangUp(Arc<Process>);

impl HangUp {
    /// Hangs up: the manager ends its VMs, cleans up and exits, and calls to it fail.
    pub fn hang_up(&self) {
        self.0.hang_up();
    }
}

/// A running VM manager. Dropping it ends it, and every VM of it.
pub struct Manager {
    process: Arc<Process>,
    session: RpcSession,
    // A clone of it would speak the newest release.
    service: Strong<dyn IVirtualizationService>,
    timing: Timing,
}

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manager")
            .field("process", &self.process)
            .finish_non_exhaustive()
    }
}

impl Manager {
    /// Forks a manager, waits until it is ready, and opens a session with it. Each of these waits is
    /// bounded by [`ManagerOptions::ready_timeout`].
    ///
    /// # Errors
    /// [`Error::Spawn`], [`Error::NotReady`], [`Error::Session`] or [`Error::NoService`]. No process
    /// is left behind.
    pub fn start(options: &ManagerOptions) -> Result<Self, Error> {
        let release = options.release.unwrap_or_else(of_system);
        let options = &options.clone().release(release);
        let program = || options.program.clone();
        let forked = Instant::now();
        let process = Arc::new(Process::start(options)?);
        let ready = Instant::now();
        let session =
            bootstrap::connect(process.socket(), options.ready_timeout).map_err(|source| {
                // It said that it is ready and does not serve: there is nothing to wait for.
                process.kill();
                Error::Session {
                    program: program(),
                    source,
                }
            })?;
        let connected = Instant::now();
        let service = session
            .get_root()
            .and_then(|root| client::service(root, release));
        let service = service.map_err(|status| {
            session.close_session();
            process.kill();
            Error::NoService {
                program: program(),
                status,
            }
        })?;
        // The start has a bound. A call may take as long as the manager needs.
        session.set_timeout(None);
        Ok(Self {
            process,
            session,
            service,
            timing: Timing {
                forked,
                ready,
                connected,
            },
        })
    }

    /// The manager's service, for the calls that this crate does not wrap.
    #[must_use]
    pub fn service(&self) -> &dyn IVirtualizationService {
        &*self.service
    }

    /// Creates a VM and registers for its events. It does not run yet.
    ///
    /// # Errors
    /// [`Error::Call`] if the manager refuses, [`Error::ManagerLost`] if it is gone,
    /// [`Error::TooManyFiles`] if the VM cannot be asked for in one message.
    pub fn create_vm(
        &self,
        config: &VirtualMachineConfig,
        streams: Streams,
    ) -> Result<VmInstance, Error> {
        let count = files::count(config, &streams);
        if count > MAX_FDS {
            return Err(Error::TooManyFiles {
                count,
                max: MAX_FDS,
            });
        }
        let fd = |fd: Option<OwnedFd>| fd.map(ParcelFileDescriptor::new);
        let [out, input, log, device_tree] = [
            streams.console_out,
            streams.console_in,
            streams.log,
            streams.device_tree,
        ]
        .map(fd);
        let vm = self
            .service
            .createVm(
                config,
                out.as_ref(),
                input.as_ref(),
                log.as_ref(),
                device_tree.as_ref(),
            )
            .map_err(|status| self.process.failed("createVm", status))?;
        VmInstance::new(vm, Arc::clone(&self.process))
    }

    /// When the steps of the start were done.
    #[must_use]
    pub fn timing(&self) -> Timing {
        self.timing
    }

    /// The manager's program.
    #[must_use]
    pub fn program(&self) -> &Path {
        self.process.program()
    }

    /// The manager's process id.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// The end of the manager's log, if it was started with [`Stderr::Keep`](crate::Stderr::Keep); else nothing.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// A handle that ends the manager from another thread, while calls to it are waiting.
    #[must_use]
    pub fn hang_up_handle(&self) -> HangUp {
        HangUp(Arc::clone(&self.process))
    }
}

impl Manager {
    /// Ends the manager, and every VM of it, and says how that went; dropping does the same.
    #[must_use]
    pub fn end(self) -> Ended {
        let status = self.close();
        Ended {
            status,
            log: self.process.log(),
        }
    }

    fn close(&self) -> Option<ExitStatus> {
        // The session is closed last: until its end the manager may tell how its VMs died.
        self.process.hang_up();
        let status = self.process.end();
        self.session.close_session();
        status
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        if let Some(status) = self.close()
            && !status.success()
        {
            log::warn!("{}: {status}", self.process.program().display());
        }
    }
}

/// How a manager ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Its exit status: a success if it cleaned up in time. `None` if it could not be waited for.
    pub status: Option<ExitStatus>,
    /// The end of its log, if that was kept; see [`Stderr::Keep`](crate::Stderr::Keep).
    pub log: String,
}
