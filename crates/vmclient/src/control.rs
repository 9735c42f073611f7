// SPDX-License-Identifier: Apache-2.0
//! A VM that another client created, reached through the control socket in its directory.

use crate::error::{CallError, Error};
use crate::names::State;
use avf_aidl::service::IVirtualMachine;
use avf_rpc::{WIRE_VERSION, explain};
use avf_wire::{Release, client};
use rsbinder::rpc::transport::UnixTransport;
use rsbinder::rpc::{FileDescriptorTransportMode, RpcClientConfig, RpcSession, RpcTransport};
use rsbinder::{BinderResult, StatusCode, Strong};
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use std::fmt;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use vm_directory::Directory;

pub use vm_directory::CONTROL as SOCKET;

/// A VM that another client of the same user created; root reaches the VMs of all users. Dropping
/// this changes nothing for the VM.
pub struct Control {
    vm: Strong<dyn IVirtualMachine>,
    session: RpcSession,
    directory: PathBuf,
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control")
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

impl Control {
    /// Connects to the VM whose directory is `directory`. The VM answers once it was started; each
    /// call to it may take `timeout`.
    ///
    /// # Errors
    /// [`Error::Control`] if there is no VM, it is another user's, or it does not answer.
    pub fn connect(directory: &Path, timeout: Duration) -> Result<Self, Error> {
        let failed = |source: io::Error| Error::Control {
            directory: directory.to_owned(),
            source,
        };
        let held = Directory::open(directory).map_err(failed)?;
        let address = held.socket(SOCKET).map_err(failed)?;
        let stream = UnixStream::connect(address).map_err(failed)?;
        let mut connection = Some(stream);
        let config = RpcClientConfig::new(WIRE_VERSION, move || {
            let stream = connection.take().ok_or(StatusCode::InvalidOperation)?;
            Ok(Box::new(UnixTransport::from_stream(stream)?) as Box<dyn RpcTransport>)
        })
        .fd_mode(FileDescriptorTransportMode::Unix)
        .timeout(timeout);
        let no_answer = |status: StatusCode| {
            failed(io::Error::other(format!(
                "it does not answer as a VM: {}",
                explain(status)
            )))
        };
        let session =
            RpcSession::setup_client_android13plus_with_config(config).map_err(no_answer)?;
        // The manager is this project's, of the same version as this crate.
        let vm = session
            .get_root()
            .and_then(|root| client::machine(root, Release::NEWEST));
        let vm = vm.map_err(|status| {
            session.close_session();
            no_answer(status)
        })?;
        Ok(Self {
            vm,
            session,
            directory: directory.to_owned(),
        })
    }

    /// The VM's binder object, for the calls that this crate does not wrap.
    #[must_use]
    pub fn binder(&self) -> &dyn IVirtualMachine {
        &*self.vm
    }

    /// How far the VM is.
    ///
    /// # Errors
    /// [`Error::Call`] or [`Error::Gone`].
    pub fn state(&self) -> Result<State, Error> {
        self.call("getState", |vm| vm.getState()).map(State::from)
    }

    /// Memory that the host has taken back from the guest, in bytes.
    ///
    /// # Errors
    /// [`Error::Call`] if the VM has no balloon, or [`Error::Gone`].
    pub fn memory_balloon(&self) -> Result<i64, Error> {
        self.call("getMemoryBalloon", |vm| vm.getActualMemoryBalloonBytes())
    }

    /// Stops the guest's CPUs.
    ///
    /// # Errors
    /// [`Error::Call`] if the VM does not run, or [`Error::Gone`].
    pub fn suspend(&self) -> Result<(), Error> {
        self.call("suspend", |vm| vm.suspend())
    }

    /// Lets the guest's CPUs run on.
    ///
    /// # Errors
    /// As for [`Control::suspend`].
    pub fn resume(&self) -> Result<(), Error> {
        self.call("resume", |vm| vm.resume())
    }

    /// Kills the VM and waits until everything of it is gone: its processes, its directory, its
    /// hold on its CID.
    ///
    /// # Errors
    /// [`Error::Call`] if it does not run, [`Error::System`] if its end cannot be waited for.
    pub fn stop(self) -> Result<(), Error> {
        let held = match Directory::open(&self.directory) {
            Ok(held) => Some(held),
            // Gone already.
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(source) => {
                let directory = self.directory.clone();
                return Err(Error::Control { directory, source });
            }
        };
        match self.call("stop", |vm| vm.stop()) {
            // The VM's end is also the session's, so the answer may be cut off.
            Ok(()) | Err(Error::Gone { .. }) => {}
            Err(e) => return Err(e),
        }
        held.map_or(Ok(()), |held| wait_unlocked(&held))
    }

    fn call<T>(
        &self,
        method: &'static str,
        call: impl FnOnce(&Strong<dyn IVirtualMachine>) -> BinderResult<T>,
    ) -> Result<T, Error> {
        call(&self.vm).map_err(|status| match status.transaction_error() {
            StatusCode::DeadObject => Error::Gone {
                directory: self.directory.clone(),
            },
            _ => Error::Call(CallError { method, status }),
        })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.session.close_session();
    }
}

/// Waits until the manager gives up the lock on the directory, the last that it does for a VM.
fn wait_unlocked(directory: &Directory) -> Result<(), Error> {
    loop {
        match rustix::fs::flock(directory, FlockOperation::LockShared) {
            Ok(()) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(e) => return Err(Error::system("cannot wait for the end of the VM")(e)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use avf_aidl::service::{IVirtualMachineCallback, VirtualMachineState};
    use avf_rpc::server::{Policy, Server};
    use avf_wire::Wire;
    use avf_wire::server::{Machine, machine};
    use std::fs::File;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixListener;
    use std::sync::Arc;
    use std::sync::mpsc::{Sender, channel};

    const POLICY: Policy = Policy {
        connections: 4,
        threads: 1,
        callbacks: 0,
        call_bytes: None,
        fds: true,
        reply_timeout: None,
    };
    const TIMEOUT: Duration = Duration::from_secs(60);

    /// A VM that tells the test when it is stopped.
    struct Vm(std::sync::Mutex<Sender<()>>);

    impl Machine for Vm {
        fn cid(&self) -> BinderResult<i32> {
            Ok(7)
        }
        fn state(&self) -> BinderResult<VirtualMachineState> {
            Ok(VirtualMachineState::READY)
        }
        fn register_callback(&self, _: &Strong<dyn IVirtualMachineCallback>) -> BinderResult<()> {
            Ok(())
        }
        fn start(&self) -> BinderResult<()> {
            Ok(())
        }
        fn stop(&self) -> BinderResult<()> {
            self.0.lock().unwrap().send(()).unwrap();
            Ok(())
        }
        fn memory_balloon(&self) -> BinderResult<i64> {
            Ok(1 << 20)
        }
        fn suspend(&self) -> BinderResult<()> {
            Err(rsbinder::Status::from((
                rsbinder::ExceptionCode::IllegalState,
                "it does not run",
            )))
        }
        fn resume(&self) -> BinderResult<()> {
            Ok(())
        }
    }

    #[test]
    fn a_vm_in_a_directory_with_a_long_path() {
        let base = tempfile::tempdir().unwrap();
        let directory = base.path().join("x".repeat(200));
        std::fs::create_dir(&directory).unwrap();
        let lock = File::open(&directory).unwrap();
        rustix::fs::flock(&lock, FlockOperation::LockExclusive).unwrap();
        let listener =
            UnixListener::bind(format!("/proc/self/fd/{}/{SOCKET}", lock.as_raw_fd())).unwrap();
        let (stopped, stop) = channel();
        let vm = machine(Arc::new(Vm(stopped.into())), Arc::new(Wire::newest()));
        let server = Server::new(vm, POLICY).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (stream, _) = listener.accept().unwrap();
                server.serve(Box::new(UnixTransport::from_stream(stream).unwrap()));
            });
            let control = Control::connect(&directory, TIMEOUT).unwrap();
            assert_eq!(control.state().unwrap(), State::Ready);
            assert_eq!(control.memory_balloon().unwrap(), 1 << 20);
            let error = control.suspend().unwrap_err().to_string();
            assert_eq!(error, "cannot suspend the VM: it does not run");
            control.resume().unwrap();
            // It returns when the lock is given up, not before.
            let done = scope.spawn(move || control.stop());
            stop.recv_timeout(TIMEOUT).unwrap();
            assert!(!done.is_finished());
            drop(lock);
            done.join().unwrap().unwrap();
        });
    }

    #[test]
    fn without_a_vm_that_answers_there_is_an_error() {
        let base = tempfile::tempdir().unwrap();
        let short = Duration::from_millis(100);
        let error = |path: &Path| match Control::connect(path, short).unwrap_err() {
            Error::Control { source, .. } => source,
            other => panic!("{other:?}"),
        };
        let absent = error(&base.path().join("absent"));
        assert_eq!(absent.kind(), io::ErrorKind::NotFound);
        assert_eq!(error(base.path()).kind(), io::ErrorKind::NotFound);
        // One that was created but not started takes connections and does not answer.
        let _listener = UnixListener::bind(base.path().join(SOCKET)).unwrap();
        let silent = error(base.path()).to_string();
        assert!(silent.contains("does not answer"), "{silent}");
    }
}
