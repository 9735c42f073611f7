// SPDX-License-Identifier: Apache-2.0
//! Finds the global virtualization service, on kernel binder or on its Unix socket, and speaks each form of
//! its interface ([`wire`]).
#![forbid(unsafe_code)]

mod kernel;
pub mod wire;

use avf_aidl::global::BpVirtualizationServiceInternal;
use host::Host;
use rsbinder::rpc::RpcSession;
use rsbinder::{Proxy, SIBinder, StatusCode};
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use vm_directory::socket;
use wire::{Internal, Wire};

pub use kernel::{Kernel, device};

/// Compiles the example of the read-me.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadMe;

/// The service's name on kernel binder.
pub const SERVICE_NAME: &str = "android.system.virtualizationservice";
/// The name on kernel binder of what the system server tells the service.
pub const MAINTENANCE_NAME: &str = "android.system.virtualizationmaintenance";
/// The service's socket, below the root directory.
pub const SOCKET: &str = "run/virtualizationservice/service.sock";
/// The socket of `IVirtualizationMaintenance`, below the root directory; for root only.
pub const MAINTENANCE_SOCKET: &str = "run/virtualizationservice/maintenance.sock";

/// How long the service may take over one answer on its socket. Binding devices to another driver is
/// the slowest that it does. Kernel binder knows no such bound.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a service that is there cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// This user may not connect to the socket.
    #[error(
        "cannot connect to the virtualization service at {}: {cause}; join the socket's group (see ls -l), \
         by default kvm: usermod -aG kvm USER, and log in anew",
        path.display()
    )]
    Forbidden {
        /// The socket.
        path: PathBuf,
        /// The system error.
        cause: std::io::Error,
    },
    /// The socket cannot be connected to for another reason, or does not speak RPC binder.
    #[error("the virtualization service at {} does not answer", path.display())]
    Session {
        /// The socket.
        path: PathBuf,
        /// What failed.
        source: avf_rpc::Error,
    },
    /// Something else answers.
    #[error("{place} is not an IVirtualizationServiceInternal")]
    WrongInterface {
        /// Where.
        place: String,
        /// The binder library's answer.
        source: StatusCode,
    },
}

/// A way to the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The kernel's binder driver.
    KernelBinder,
    /// The Unix socket.
    Socket,
}

/// A connection to the service, for as long as this or a clone of it lives. Over the socket, what the
/// service has given out is released with the connection, including the CIDs of contexts.
#[derive(Clone)]
pub struct Service {
    internal: Internal,
    object: SIBinder,
    place: String,
    way: Way,
    _session: Option<Arc<Session>>,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl Service {
    /// The service, in the form of the release that is spoken.
    #[must_use]
    pub fn internal(&self) -> &Internal {
        &self.internal
    }

    /// The service's object.
    #[must_use]
    pub fn object(&self) -> SIBinder {
        self.object.clone()
    }

    /// Where it is, for messages.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// How it is reached.
    #[must_use]
    pub fn way(&self) -> Way {
        self.way
    }
}

/// A session that ends with its last user: the library's own threads would keep it otherwise.
struct Session(RpcSession);

impl Drop for Session {
    fn drop(&mut self) {
        self.0.close_session();
    }
}

/// Finds the service of the machine whose files are below `root`: `/`, but in tests. None if there is
/// none; what was tried is in the log (level debug). It is spoken to as the platform's release has it.
///
/// # Errors
/// If there is one that cannot be used.
pub fn connect(root: &Path) -> Result<Option<Service>, Error> {
    connect_by(root, &[Way::KernelBinder, Way::Socket])
}

/// As [`connect`], by these ways, in this order.
///
/// # Errors
/// If there is one that cannot be used.
pub fn connect_by(root: &Path, ways: &[Way]) -> Result<Option<Service>, Error> {
    connect_as(root, ways, Wire::of_host(&Host::at(root)))
}

/// As [`connect_by`], in the form of this release.
///
/// # Errors
/// If there is one that cannot be used.
pub fn connect_as(root: &Path, ways: &[Way], wire: Wire) -> Result<Option<Service>, Error> {
    for way in ways {
        let found = match way {
            Way::KernelBinder => over_kernel_binder(root, wire)?,
            Way::Socket => over_socket(root, wire)?,
        };
        if let Some(service) = found {
            log::debug!(
                "global service: {}, as in {}",
                service.place,
                wire.release.title()
            );
            service.internal.introduce();
            return Ok(Some(service));
        }
    }
    Ok(None)
}

fn over_kernel_binder(root: &Path, wire: Wire) -> Result<Option<Service>, Error> {
    let kernel = match Kernel::open(root) {
        Ok(kernel) => kernel,
        Err(why) => {
            log::debug!("no global service on kernel binder: {why}");
            return Ok(None);
        }
    };
    let place = format!("service {SERVICE_NAME} on {}", kernel.device().display());
    let binder = match kernel.get(SERVICE_NAME) {
        Ok(Some(binder)) => binder,
        Ok(None) => {
            log::debug!("no {place}: it is not registered");
            return Ok(None);
        }
        Err(why) => {
            log::debug!("no {place}: {why}");
            return Ok(None);
        }
    };
    service(binder, place, Way::KernelBinder, wire, None).map(Some)
}

fn over_socket(root: &Path, wire: Wire) -> Result<Option<Service>, Error> {
    let path = root.join(SOCKET);
    // All connections of a session are made at once, so the address need not last longer.
    let connected = socket::with_address(&path, |address| {
        Ok(avf_rpc::unix::connect(address, PATIENCE))
    });
    let session = match connected.unwrap_or_else(|source| {
        let what = format!("cannot connect to {}", path.display());
        Err(avf_rpc::Error::Io { what, source })
    }) {
        Ok(session) => Session(session),
        Err(avf_rpc::Error::Io { source, .. })
            if matches!(
                source.kind(),
                ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::NotADirectory
            ) =>
        {
            // Refused: of a service that was killed.
            log::debug!("no global service at {}: {source}", path.display());
            return Ok(None);
        }
        Err(avf_rpc::Error::Io { source: cause, .. })
            if cause.kind() == ErrorKind::PermissionDenied =>
        {
            return Err(Error::Forbidden { path, cause });
        }
        Err(source) => return Err(Error::Session { path, source }),
    };
    let place = path.display().to_string();
    let root = match session.0.get_root() {
        Ok(root) => root,
        Err(source) => return Err(Error::WrongInterface { place, source }),
    };
    service(root, place, Way::Socket, wire, Some(session)).map(Some)
}

fn service(
    object: SIBinder,
    place: String,
    way: Way,
    wire: Wire,
    session: Option<Session>,
) -> Result<Service, Error> {
    // It gives an object of a session its descriptor, and checks that of others.
    if BpVirtualizationServiceInternal::from_binder(object.clone()).is_none() {
        let source = StatusCode::BadType;
        return Err(Error::WrongInterface { place, source });
    }
    Ok(Service {
        internal: Internal::new(object.clone(), wire),
        object,
        place,
        way,
        _session: session.map(Arc::new),
    })
}
