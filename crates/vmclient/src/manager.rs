// SPDX-License-Identifier: Apache-2.0
//! Starting a VM manager and making VMs with it.

use crate::files;
use crate::process::Process;
use crate::{CallError, Error, VmInstance};
use avf_aidl::service::{IVirtualizationService, VirtualMachineConfig};
use avf_rpc::bootstrap;
use rsbinder::rpc::RpcSession;
use rsbinder::{ParcelFileDescriptor, Status, StatusCode, Strong};
use std::env;
use std::ffi::OsString;
use std::fmt;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is called for each line of a manager's log.
#[derive(Clone)]
pub(crate) struct LogHandler(pub(crate) Arc<dyn Fn(&str) + Send + Sync>);

impl fmt::Debug for LogHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogHandler")
    }
}

/// How a manager is started.
#[derive(Debug, Clone)]
pub struct ManagerOptions {
    pub(crate) program: PathBuf,
    pub(crate) wrapper: Vec<OsString>,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) stderr: Stderr,
    pub(crate) on_log: Option<LogHandler>,
    pub(crate) ready_timeout: Duration,
    pub(crate) end_timeout: Duration,
    pub(crate) own_process_group: bool,
}

/// Where a manager's log goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stderr {
    /// To the client's own standard error.
    Inherit,
    /// To the client, which keeps its end for errors and [`Manager::log`].
    Keep,
    /// To both: kept, and copied to the client's own standard error as it was at the start.
    KeepAndCopy,
}

impl ManagerOptions {
    /// The manager `program`, with the client's environment and standard error.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            wrapper: Vec::new(),
            env: Vec::new(),
            stderr: Stderr::Inherit,
            on_log: None,
            ready_timeout: Duration::from_secs(30),
            end_timeout: Duration::from_secs(10),
            own_process_group: false,
        }
    }

    /// Sets a variable of the manager's environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Says where the manager's log goes.
    #[must_use]
    pub fn stderr(mut self, stderr: Stderr) -> Self {
        self.stderr = stderr;
        self
    }

    /// Keeps the manager's log, as [`Stderr::Keep`] does, and calls `handler` with each line of it
    /// when it comes, on a thread of its own. Lines without end come in pieces. Errors do not repeat
    /// the log then.
    #[must_use]
    pub fn on_log(mut self, handler: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.stderr = Stderr::Keep;
        self.on_log = Some(LogHandler(Arc::new(handler)));
        self
    }

    /// How long the manager may take to be ready; 30 s if not set.
    #[must_use]
    pub fn ready_timeout(mut self, timeout: Duration) -> Self {
        self.ready_timeout = timeout;
        self
    }

    /// How long the manager may take to end its VMs, clean up and exit before it is killed; 10 s
    /// if not set.
    #[must_use]
    pub fn end_timeout(mut self, timeout: Duration) -> Self {
        self.end_timeout = timeout;
        self
    }

    /// Puts the manager into a process group of its own, so that Ctrl-C on the terminal ends only
    /// the client. The manager then sees it go, and ends its VMs in order.
    #[must_use]
    pub fn own_process_group(mut self) -> Self {
        self.own_process_group = true;
        self
    }

    /// A command that runs the manager, such as `strace -f -o FILE`: it is given the manager's
    /// path and arguments behind its own, and must pass descriptors on.
    #[must_use]
    pub fn wrapper(mut self, command: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.wrapper = command.into_iter().map(Into::into).collect();
        self
    }

    /// The program to run, and the arguments before those of the interface.
    pub(crate) fn command_line(&self) -> (PathBuf, Vec<OsString>) {
        let mut words = self.wrapper.clone();
        words.push(self.program.clone().into());
        (words.remove(0).into(), words)
    }
}

/// Finds the manager called `name` (`virtmgr` or `early_virtmgr`): beside the running program, in
/// the APEX `com.android.virt`, or in `PATH`.
#[must_use]
pub fn locate(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::split_paths(&path).filter(|dir| dir.is_absolute());
    find(name, fixed_places().into_iter().chain(path))
}

/// Finds the manager as [`locate`] does, but not in `PATH`: for programs with raised privileges,
/// whose callers must not say what they run.
#[must_use]
pub fn locate_in_fixed_places(name: &str) -> Option<PathBuf> {
    find(name, fixed_places())
}

/// The directories in which a manager is looked for whatever the environment says.
fn fixed_places() -> Vec<PathBuf> {
    let beside = env::current_exe()
        .ok()
        .and_then(|exe| exe.parent().map(Path::to_owned));
    beside
        .into_iter()
        .chain([PathBuf::from("/apex/com.android.virt/bin")])
        .collect()
}

fn find(name: &str, places: impl IntoIterator<Item = PathBuf>) -> Option<PathBuf> {
    places.into_iter().map(|dir| dir.join(name)).find(|file| {
        file.metadata()
            .is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    })
}

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

/// The descriptors that a VM writes to and reads from. What is `None` is logged by the manager
/// (outputs), or is silent (input).
#[derive(Debug, Default)]
pub struct Streams {
    /// The console's output.
    pub console_out: Option<OwnedFd>,
    /// The console's input.
    pub console_in: Option<OwnedFd>,
    /// The guest's log.
    pub log: Option<OwnedFd>,
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
    /// Forks a manager, waits until it is ready, and opens a session with it.
    ///
    /// # Errors
    /// [`Error::Spawn`], [`Error::NotReady`], [`Error::Session`] or [`Error::NoService`]; no
    /// process is left behind.
    pub fn start(options: &ManagerOptions) -> Result<Self, Error> {
        let program = || options.program.clone();
        let forked = Instant::now();
        let process = Arc::new(Process::start(options)?);
        let ready = Instant::now();
        let session = bootstrap::connect(process.socket()).map_err(|source| Error::Session {
            program: program(),
            source,
        })?;
        let connected = Instant::now();
        let service = session
            .get_root()
            .and_then(rsbinder::SIBinder::into_interface);
        let service = service.map_err(|status| {
            session.close_session();
            Error::NoService {
                program: program(),
                status,
            }
        })?;
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
    pub fn service(&self) -> Strong<dyn IVirtualizationService> {
        self.service.clone()
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
        if count > files::MOST {
            return Err(Error::TooManyFiles {
                count,
                most: files::MOST,
            });
        }
        let fd = |fd: Option<OwnedFd>| fd.map(ParcelFileDescriptor::new);
        let (out, input, log) = (
            fd(streams.console_out),
            fd(streams.console_in),
            fd(streams.log),
        );
        let vm = self
            .service
            .createVm(config, out.as_ref(), input.as_ref(), log.as_ref())
            .map_err(|status| failed(&self.process, "createVm", status))?;
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

    /// The end of the manager's log, if it was started with [`Stderr::Keep`]; else nothing.
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
    /// The end of its log, if that was kept; see [`Stderr::Keep`].
    pub log: String,
}

/// The error for a call that did not succeed.
pub(crate) fn failed(process: &Process, method: &'static str, status: Status) -> Error {
    match status.transaction_error() {
        StatusCode::DeadObject => Error::ManagerLost {
            how: process.how_it_ended(),
        },
        _ => Error::Call(CallError { method, status }),
    }
}
