// SPDX-License-Identifier: Apache-2.0
//! A VM of a manager.

use crate::error::Error;
use crate::event::{Callback, Known, TimedEvent, Watch};
use crate::names::{DeathReason, State};
use crate::process::Process;
use avf_aidl::service::{BnVirtualMachineCallback, IVirtualMachine};
use avf_rpc::payload;
use rsbinder::rpc::RpcSession;
use rsbinder::{BinderResult, FromIBinder, Interface, StatusCode, Strong};
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// A VM. Dropping it kills the VM, unless a clone of [`VmInstance::binder`] is held elsewhere.
pub struct VmInstance {
    vm: Strong<dyn IVirtualMachine>,
    watch: Arc<Watch>,
    process: Arc<Process>,
    cid: u32,
    created_at: Instant,
    started_at: OnceLock<Instant>,
}

impl fmt::Debug for VmInstance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VmInstance")
            .field("cid", &self.cid)
            .finish_non_exhaustive()
    }
}

impl VmInstance {
    pub(crate) fn new(
        vm: Strong<dyn IVirtualMachine>,
        process: Arc<Process>,
    ) -> Result<Self, Error> {
        let created_at = Instant::now();
        let watch = Arc::new(Watch::default());
        vm.as_binder()
            .link_to_death_arc(&watch)
            .map_err(|status| process.failed("linkToDeath", status.into()))?;
        let callback = BnVirtualMachineCallback::new_binder(Callback(Arc::clone(&watch)));
        vm.registerCallback(&callback)
            .map_err(|status| process.failed("registerCallback", status))?;
        let cid = vm
            .getCid()
            .map_err(|status| process.failed("getCid", status))?;
        let cid = u32::try_from(cid)
            .map_err(|_| process.failed("getCid", StatusCode::BadValue.into()))?;
        Ok(Self {
            vm,
            watch,
            process,
            cid,
            created_at,
            started_at: OnceLock::new(),
        })
    }

    fn call<T>(
        &self,
        method: &'static str,
        call: impl FnOnce(&Strong<dyn IVirtualMachine>) -> BinderResult<T>,
    ) -> Result<T, Error> {
        call(&self.vm).map_err(|status| self.process.failed(method, status))
    }

    /// Calls `handler` for each event from now on, on the thread that receives it; the next event
    /// waits until it returns. To miss none, set it before [`VmInstance::start`]. A second handler
    /// is ignored, and the answer is false.
    pub fn on_event(&self, handler: impl Fn(&TimedEvent) + Send + Sync + 'static) -> bool {
        self.watch.set_handler(Box::new(handler))
    }

    /// The events so far, in the order of their arrival; surplus errors of the guest are left out.
    #[must_use]
    pub fn events(&self) -> Vec<TimedEvent> {
        self.watch.known().events.clone()
    }

    /// Runs the VM.
    ///
    /// # Errors
    /// [`Error::Call`] if the VMM could not be started, or the VM was started before.
    pub fn start(&self) -> Result<(), Error> {
        self.call("start", |vm| vm.start())?;
        self.started_at.get_or_init(Instant::now);
        Ok(())
    }

    /// Kills the VM. When this returns, the VM is dead.
    ///
    /// # Errors
    /// [`Error::Call`] if it does not run.
    pub fn stop(&self) -> Result<(), Error> {
        self.call("stop", |vm| vm.stop())
    }

    /// The VM's vsock context id.
    #[must_use]
    pub fn cid(&self) -> u32 {
        self.cid
    }

    /// When the VM was created.
    #[must_use]
    pub fn created_at(&self) -> Instant {
        self.created_at
    }

    /// When [`VmInstance::start`] succeeded, if it has.
    #[must_use]
    pub fn started_at(&self) -> Option<Instant> {
        self.started_at.get().copied()
    }

    /// How far the VM is, as the manager says.
    ///
    /// # Errors
    /// [`Error::ManagerLost`] if the manager is gone.
    pub fn state(&self) -> Result<State, Error> {
        self.call("getState", |vm| vm.getState()).map(State::from)
    }

    /// The VM's binder object, for the calls that this crate does not wrap.
    #[must_use]
    pub fn binder(&self) -> &dyn IVirtualMachine {
        &*self.vm
    }

    /// Waits until the payload has said that it is ready.
    ///
    /// # Errors
    /// [`Error::Died`] if the VM is dead, even if it was ready before; [`Error::Finished`] if the
    /// payload ended without getting ready; [`Error::Timeout`] after `timeout`;
    /// [`Error::ManagerLost`].
    pub fn wait_until_ready(&self, timeout: Duration) -> Result<(), Error> {
        let answer = self.watch.wait(Some(timeout), |known| match known {
            Known {
                died: Some(reason),
                error,
                ..
            } => Some(Err(Some(Error::Died {
                reason: *reason,
                detail: error.clone(),
            }))),
            Known { lost: true, .. } => Some(Err(None)),
            Known { ready: true, .. } => Some(Ok(())),
            Known {
                finished: Some(code),
                ..
            } => Some(Err(Some(Error::Finished { code: *code }))),
            _ => None,
        });
        match answer {
            Some(Ok(())) => Ok(()),
            Some(Err(Some(error))) => Err(error),
            Some(Err(None)) => Err(self.lost()),
            None => Err(Error::Timeout {
                what: "the payload did not get ready",
                after: timeout,
            }),
        }
    }

    /// Waits until the VM is dead, and says why it died; `None` if it still lives after `timeout`.
    /// Without a timeout it waits forever.
    ///
    /// # Errors
    /// [`Error::ManagerLost`] if the manager went away before it could say so.
    pub fn wait_for_death(&self, timeout: Option<Duration>) -> Result<Option<DeathReason>, Error> {
        let answer = self.watch.wait(timeout, |known| match known {
            Known {
                died: Some(reason), ..
            } => Some(Some(*reason)),
            Known { lost: true, .. } => Some(None),
            _ => None,
        });
        match answer {
            Some(Some(reason)) => Ok(Some(reason)),
            Some(None) => Err(self.lost()),
            None => Ok(None),
        }
    }

    /// The exit code of the payload, once it has finished.
    #[must_use]
    pub fn payload_exit_code(&self) -> Option<i32> {
        self.watch.known().finished
    }

    /// The last error that the guest reported, escaped so that it can be shown.
    #[must_use]
    pub fn guest_error(&self) -> Option<String> {
        self.watch.known().error.clone()
    }

    fn lost(&self) -> Error {
        Error::ManagerLost {
            how: self.process.how_it_ended(),
        }
    }

    /// Connects to a vsock port of the guest. The socket is a vsock or, with a user-space vsock
    /// device, a Unix socket.
    ///
    /// # Errors
    /// [`Error::Call`] if the VM does not run, the manager forbids the port, or nothing listens
    /// there.
    pub fn connect_vsock(&self, port: u32) -> Result<OwnedFd, Error> {
        let number = i32::try_from(port).map_err(|_| Error::Port { port })?;
        self.call("connectVsock", |vm| vm.connectVsock(number))
            .map(OwnedFd::from)
    }

    /// Opens an RPC binder session with the payload's server on a vsock port.
    ///
    /// # Errors
    /// [`Error::Connect`] if nothing listens there or it does not speak RPC binder.
    pub fn connect_session(&self, port: u32) -> Result<RpcSession, Error> {
        payload::connect_payload(|| {
            self.connect_vsock(port).map_err(|e| avf_rpc::Error::Io {
                what: format!("connect to vsock port {port} of CID {}", self.cid),
                source: io::Error::other(e),
            })
        })
        .map_err(|source| Error::Connect { port, source })
    }

    /// Connects to the payload's binder service on a vsock port. The session lives as long as the
    /// service, or anything that was received from it, is held.
    ///
    /// # Errors
    /// [`Error::Connect`] as for [`VmInstance::connect_session`]; [`Error::WrongService`] if the
    /// service has another interface.
    pub fn connect_service<T: FromIBinder + ?Sized>(&self, port: u32) -> Result<Strong<T>, Error> {
        self.connect_session(port)?
            .get_root()
            .and_then(T::try_from)
            .map_err(|status| Error::WrongService { port, status })
    }
}
