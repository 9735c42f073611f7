// SPDX-License-Identifier: Apache-2.0
//! From start to signal.

use crate::atoms::{AtomIds, Atoms};
use crate::cids::{Cids, OnThisMachine};
use crate::contexts::Contexts;
use crate::dispatch::Dispatch;
use crate::display::Display;
use crate::hal::{SecretStore, has_remote_provisioning};
use crate::instances::{Database, Instances};
use crate::last_cid::LastCid;
use crate::maintenance::Maintenance;
use crate::paths::Paths;
use crate::service::Service;
use crate::single::Single;
use crate::vfio::{self, Vfio};
use anyhow::{Context, Result, bail};
use avf_aidl::maintenance::{BnVirtualizationMaintenance, IVirtualizationMaintenance};
use avf_rpc::server::{Policy as RpcPolicy, Server};
use avf_rpc::unix::UnixServer;
use cid::CidLocks;
use host::chain;
use nix::sys::signal::{SigSet, Signal};
use permissions::{Authority, Controller, Policy};
use rsbinder::{Binder, Interface, SIBinder, Strong};
use service_client::wire::{Release, WIRE_VARIABLE, Wire};
use service_client::{Kernel, MAINTENANCE_NAME, SERVICE_NAME};
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The group that may connect to the socket, unless another is named.
pub const DEFAULT_GROUP: &str = "kvm";

/// Connections of all users, and of one other than root. A manager has three, and a thread is here for
/// two of them.
const CONNECTIONS: usize = 4096;
const PER_USER: usize = 1024;
/// Calls of one manager at once.
const THREADS: u32 = 2;
/// The largest call: the longest texts of atoms fit, and lists of devices.
const CALL_BYTES: usize = 1 << 20;

/// Whether to serve on the kernel's binder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum BinderChoice {
    /// If there is one.
    #[default]
    Auto,
    /// Never.
    None,
    /// On this device, or not at all.
    Device(PathBuf),
}

/// How to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// On the kernel's binder.
    pub binder: BinderChoice,
    /// On a Unix socket.
    pub socket: bool,
    /// The group that may connect to it; none is [`DEFAULT_GROUP`], if it exists.
    pub group: Option<String>,
    /// Whether to note instance ids without Secretkeeper.
    pub record_instance_ids: bool,
    /// The numbers of atoms.
    pub atom_ids: AtomIds,
    /// The release that managers speak who do not show it; none is that of the environment, or of the
    /// platform.
    pub wire: Option<Release>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            binder: BinderChoice::Auto,
            socket: true,
            group: None,
            record_instance_ids: false,
            atom_ids: AtomIds::default(),
            wire: None,
        }
    }
}

/// Serves until SIGTERM or SIGINT.
///
/// At the end the sockets go, and so does what belongs to contexts that no manager holds. VMs run on in
/// their managers; the next service takes over their CIDs and directories.
///
/// # Errors
/// If another service runs, or this one cannot be reached in any way.
pub fn serve(paths: &Paths, options: &Options) -> Result<()> {
    // Before any thread is started, so that none of them gets these signals.
    let signals = signals()?;
    let run = paths.run();
    make_directory(&run)?;
    let _single = Single::take(&paths.instance_lock())?;
    let kernel = open_kernel(paths, &options.binder)?;
    let objects = Objects::new(paths, options, kernel.as_ref())?;
    let is_on_binder = match &kernel {
        Some(kernel) => register(kernel, &objects, &options.binder)?,
        None => false,
    };
    let sockets = match options
        .socket
        .then(|| Sockets::open(paths, options, &objects))
    {
        None => None,
        Some(Ok(sockets)) => Some(sockets),
        // Android's root cannot be written to, and needs no socket.
        Some(Err(e)) if is_on_binder => {
            log::warn!("not on a socket: {}", chain(e.as_ref()));
            None
        }
        Some(Err(e)) => return Err(e),
    };
    if !is_on_binder && sockets.is_none() {
        bail!("nobody could reach this service: neither kernel binder nor a socket");
    }
    notify(&[sd_notify::NotifyState::Ready]);
    let signal = signals.wait().context("cannot wait for a signal")?;
    log::info!("{}: stopping", signal.as_str());
    notify(&[sd_notify::NotifyState::Stopping]);
    // First those who wait, so that no call is under way; then connections, and with them contexts.
    objects.display.stop();
    drop(sockets);
    // On kernel binder managers still hold theirs.
    objects.contexts.release_all();
    Ok(())
}

fn signals() -> Result<SigSet> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    signals.thread_block().context("cannot block signals")?;
    Ok(signals)
}

fn notify(state: &[sd_notify::NotifyState<'_>]) {
    if let Err(e) = sd_notify::notify(state) {
        log::warn!("cannot notify systemd: {e}");
    }
}

fn make_directory(path: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path)
        .with_context(|| {
            format!(
                "cannot make {} (this service must run as root)",
                path.display()
            )
        })
}

fn open_kernel(paths: &Paths, choice: &BinderChoice) -> Result<Option<Arc<Kernel>>> {
    match choice {
        BinderChoice::None => Ok(None),
        BinderChoice::Device(device) => Ok(Some(Arc::new(Kernel::open_device(device.clone())?))),
        BinderChoice::Auto => match Kernel::open(paths.root()) {
            Ok(kernel) => Ok(Some(Arc::new(kernel))),
            Err(e) => {
                log::info!("not on kernel binder: {e}");
                Ok(None)
            }
        },
    }
}

/// Registers the objects; whether they are.
fn register(kernel: &Kernel, objects: &Objects, choice: &BinderChoice) -> Result<bool> {
    for (name, binder) in [
        (SERVICE_NAME, objects.service.clone()),
        (MAINTENANCE_NAME, objects.maintenance.as_binder()),
    ] {
        if let Err(e) = kernel.register(name, binder) {
            let what = format!("cannot register {name} on {}", kernel.device().display());
            if matches!(choice, BinderChoice::Device(_)) {
                return Err(e).context(what);
            }
            log::warn!("not on kernel binder: {what}: {e}");
            return Ok(false);
        }
    }
    log::info!("serving on {}", kernel.device().display());
    Ok(true)
}

/// The binder objects, and what they share.
struct Objects {
    service: SIBinder,
    maintenance: Strong<dyn IVirtualizationMaintenance>,
    contexts: Arc<Contexts>,
    display: Arc<Display<SIBinder>>,
}

impl Objects {
    fn new(paths: &Paths, options: &Options, kernel: Option<&Arc<Kernel>>) -> Result<Self> {
        let locks = match CidLocks::open(paths.root()) {
            Ok(locks) => Some(Arc::new(locks)),
            Err(e) => {
                log::warn!(
                    "VMs of managers that do without this service are not seen: {}",
                    chain(&e)
                );
                None
            }
        };
        let (last, after) = LastCid::open(paths)
            .with_context(|| format!("cannot open {}", paths.last_cid().display()))?;
        let elsewhere = OnThisMachine {
            locks: locks.clone(),
        };
        let cids = Cids::new(last, after, Box::new(elsewhere));
        let contexts = Contexts::take_over(paths, cids, locks)?;
        let authority: Box<dyn Authority> = if paths.host().is_android() && kernel.is_some() {
            Box::new(Controller::of_service_manager())
        } else {
            Box::new(Policy::load(paths.root())?)
        };
        let wire = match options.wire {
            Some(release) => Wire::named(release),
            None => Wire::of_environment(paths.host()).context(WIRE_VARIABLE)?,
        };
        log::debug!(
            "callers who do not show their release speak as in {}",
            wire.release.title()
        );
        let secrets = SecretStore::declared(kernel);
        let database = if secrets.is_there() || options.record_instance_ids {
            let path = paths.database();
            Some(Database::open(&path).with_context(|| format!("cannot open {}", path.display()))?)
        } else {
            None
        };
        let instances = Arc::new(Instances::new(database, secrets));
        let display = Arc::new(Display::new());
        let service = Service {
            paths: paths.clone(),
            authority,
            contexts: Arc::clone(&contexts),
            registrations: Arc::default(),
            release: wire.is_named.then_some(wire.release),
            instances: Arc::clone(&instances),
            atoms: Atoms::new(paths, options.atom_ids),
            vfio: Vfio::new(paths.root(), vfio::Kernel),
            display: Arc::clone(&display),
            has_remote_provisioning: has_remote_provisioning(kernel.map(Arc::as_ref)),
        };
        let maintenance = Maintenance {
            instances,
            has_system_user: paths.host().is_android(),
        };
        Ok(Self {
            service: Binder::new(Dispatch::new(service, wire)).as_binder(),
            maintenance: BnVirtualizationMaintenance::new_binder(maintenance),
            contexts,
            display,
        })
    }
}

/// The sockets, served. Dropping it removes them.
struct Sockets {
    // Before the files: those who connect in between are refused, and not left waiting.
    _servers: [UnixServer; 2],
    _files: [SocketFile; 2],
}

struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(e) = fs::remove_file(&self.0) {
            log::warn!("cannot remove {}: {e}", self.0.display());
        }
    }
}

impl Sockets {
    fn open(paths: &Paths, options: &Options, objects: &Objects) -> Result<Self> {
        let group = group(paths, options.group.as_deref())?;
        let (service, service_file) = listen(&paths.socket(), group)?;
        let (maintenance, maintenance_file) = listen(&paths.maintenance_socket(), None)?;
        let servers = [
            serve_on(service, objects.service.clone())?,
            serve_on(maintenance, objects.maintenance.as_binder())?,
        ];
        log::info!("serving on {}", paths.socket().display());
        Ok(Self {
            _servers: servers,
            _files: [service_file, maintenance_file],
        })
    }
}

fn serve_on(listener: UnixListener, root: SIBinder) -> Result<UnixServer> {
    let policy = RpcPolicy {
        connections: CONNECTIONS,
        threads: THREADS,
        callbacks: 0,
        call_bytes: Some(CALL_BYTES),
        fds: true,
        // Of the answers to reconciliation; other calls go the other way only.
        reply_timeout: Some(Duration::from_secs(60)),
    };
    Ok(UnixServer::start(
        Server::new(root, policy)?,
        listener,
        PER_USER,
    )?)
}

/// The number of the group that may connect; none is root alone.
fn group(paths: &Paths, name: Option<&str>) -> Result<Option<u32>> {
    let found = permissions::group_id(paths.root(), name.unwrap_or(DEFAULT_GROUP));
    match (found, name) {
        (Some(id), _) => Ok(Some(id)),
        (None, Some(name)) => bail!("--group {name}: no such group in /etc/group"),
        (None, None) => {
            log::warn!(
                "there is no group {DEFAULT_GROUP}: only root can connect; name another with --group"
            );
            Ok(None)
        }
    }
}

/// A socket for root, and for a group if there is one.
fn listen(path: &Path, group: Option<u32>) -> Result<(UnixListener, SocketFile)> {
    if let Some(directory) = path.parent() {
        make_directory(directory)?;
    }
    // Left by a service that was killed: there is no other, which the lock is for.
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            return Err(e).with_context(|| format!("cannot remove {}", path.display()));
        }
        _ => {}
    }
    let listener = vm_directory::socket::bind(path)
        .with_context(|| format!("cannot listen on {}", path.display()))?;
    let file = SocketFile(path.to_owned());
    // Only then may others write, which is what connecting takes.
    let mode = match group {
        Some(group) => {
            chown(path, None, Some(group))
                .with_context(|| format!("cannot give {} to group {group}", path.display()))?;
            0o660
        }
        None => 0o600,
    };
    fs::set_permissions(path, Permissions::from_mode(mode))
        .with_context(|| format!("cannot keep others from using {}", path.display()))?;
    Ok((listener, file))
}
