// SPDX-License-Identifier: Apache-2.0
//! The command line: the numbers of inherited descriptors.

use crate::profile::{Chosen, NAME, Profile};
use crate::vm::VSOCK_DEVICE;
use avf_wire::Release;
use std::ffi::OsString;
use std::os::fd::RawFd;

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Print the help.
    Help,
    /// Print the version.
    Version,
    /// Serve a client, which speaks this release unless its calls show another.
    Serve(ServeFds, Option<Release>),
    /// Be the vsock device of one VM: used by the manager itself.
    VsockDevice(VsockFds),
    /// Supervise a VMM that is started through a script: used by the manager itself.
    Supervise(Vec<OsString>),
}

/// The descriptors of `--rpc-server-fd` and `--ready-fd`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServeFds {
    /// The bootstrap socket.
    pub rpc_server: RawFd,
    /// The pipe to write to when the service is ready.
    pub ready: RawFd,
}

/// The descriptors of a vsock device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VsockFds {
    /// The guest's CID.
    pub cid: u32,
    /// The vhost-user socket.
    pub vhost_user: RawFd,
    /// The listening socket for connections of the host.
    pub listener: RawFd,
    /// The VM's directory.
    pub directory: RawFd,
}

/// The command line is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{0}; see --help")]
pub struct Error(String);

/// The help text.
#[must_use]
pub fn help() -> String {
    let name = NAME;
    let about = Chosen::ABOUT;
    format!(
        "{name} {version}: {about}

Usage: {name} --rpc-server-fd FD --ready-fd FD [--wire RELEASE]

A client starts this program; it is of no use from a shell. The client makes a Unix stream
socketpair and a pipe, forks, and leaves one end of each to this program:

  --rpc-server-fd FD   the socket. Over it the client sends the connections of its RPC binder
                       session, one descriptor per message; the session's root object is
                       android.system.virtualizationservice.IVirtualizationService.
  --ready-fd FD        the pipe's write end. One byte `o` is written to it once the service is
                       ready, and it is closed.
  --wire RELEASE       the release of Android whose interfaces the client speaks, for calls that do
                       not show it; {releases}.
                       createVm always shows it, whatever is said here.
  -h, --help           this text
  -V, --version        the version, and the releases of Android whose interfaces are built in

The program ends, and its VMs with it, when the client closes the socket or dies.

Exit status: 0 after the client hung up; 128 and the number of the signal after SIGHUP, SIGINT or
SIGTERM, which end it in order; 77 if a permission is missing; 1 if something else failed.

Environment:
  VIRTMGR_VMM    the VMM: a path, or a name in PATH (default: where KVM works the platform's
                 crosvm or that in PATH, else qemu-system-ARCH in PATH)
  VIRTMGR_ACCEL  kvm or tcg (default: kvm where it works)
  VIRTMGR_ROOT   a directory that stands for / in the paths of configuration and state
                 (not honoured with raised privileges)
  VIRTMGR_BOOT_TIMEOUT  seconds that a guest may take until its payload has started, 0 for ever
                 (default: 60 with KVM, 300 without, for Microdroid; others: for ever)
  VIRTMGR_RAMDUMP_DIR  a directory in which memory dumps of crashed guests are kept
                 (not honoured with raised privileges)
  VIRTMGR_WIRE   as --wire (default: by the property ro.build.version.sdk, else the newest)
  VIRTMGR_LOG    off, error, warn, info (default), debug or trace: what is logged to standard
                 error

To try it:  vm run --help",
        version = env!("CARGO_PKG_VERSION"),
        releases = releases(),
    )
}

/// The version, and the releases that are built in. Programs read the second line.
#[must_use]
pub fn version() -> String {
    format!(
        "{NAME} {}\nAndroid releases: {}",
        env!("CARGO_PKG_VERSION"),
        releases()
    )
}

/// The releases that are built in, as words.
fn releases() -> String {
    let names: Vec<_> = avf_wire::built().map(Release::name).collect();
    names.join(", ")
}

/// Reads the command line.
///
/// # Errors
/// [`Error`], with what is wrong.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, Error> {
    use lexopt::prelude::*;
    let mut parser = lexopt::Parser::from_iter(args);
    let (mut rpc_server, mut ready, mut wire) = (None, None, None);
    let usage = |e: lexopt::Error| Error(e.to_string());
    while let Some(arg) = parser.next().map_err(usage)? {
        match arg {
            Short('h') | Long("help") => return Ok(Command::Help),
            Short('V') | Long("version") => return Ok(Command::Version),
            Long("rpc-server-fd") => {
                rpc_server = Some(fd("--rpc-server-fd", &parser.value().map_err(usage)?)?);
            }
            Long("ready-fd") => ready = Some(fd("--ready-fd", &parser.value().map_err(usage)?)?),
            Long("wire") => {
                let release = parser.value().map_err(usage)?;
                let release = release.to_string_lossy().parse();
                wire = Some(release.map_err(|e| Error(format!("--wire: {e}")))?);
            }
            Value(word) if word == VSOCK_DEVICE => return vsock_device(&mut parser),
            Value(word) if word == vmm::supervise::COMMAND => {
                return Ok(Command::Supervise(
                    parser.raw_args().map_err(usage)?.collect(),
                ));
            }
            other => return Err(usage(other.unexpected())),
        }
    }
    match (rpc_server, ready) {
        (Some(rpc_server), Some(ready)) if rpc_server == ready => Err(Error(format!(
            "--rpc-server-fd and --ready-fd are both {ready}: they must be two descriptors"
        ))),
        (Some(rpc_server), Some(ready)) => Ok(Command::Serve(ServeFds { rpc_server, ready }, wire)),
        (None, _) => Err(Error("--rpc-server-fd is missing".into())),
        (_, None) => Err(Error("--ready-fd is missing".into())),
    }
}

/// A descriptor number that is not one of the standard ones.
fn fd(name: &str, value: &std::ffi::OsStr) -> Result<RawFd, Error> {
    match value.to_str().and_then(|text| text.parse::<RawFd>().ok()) {
        Some(fd @ 3..) => Ok(fd),
        Some(fd @ 0..=2) => Err(Error(format!(
            "{name} {fd}: descriptors 0 to 2 are standard input, output and error; pass another"
        ))),
        _ => Err(Error(format!(
            "{name} {}: it must be the number of an inherited descriptor, 3 or more",
            value.display()
        ))),
    }
}

/// `vsock-device CID VHOST_USER_FD LISTENER_FD DIRECTORY_FD`.
fn vsock_device(parser: &mut lexopt::Parser) -> Result<Command, Error> {
    let wrong = || {
        Error(format!(
            "{VSOCK_DEVICE} is started by the manager itself, with four numbers"
        ))
    };
    let numbers: Vec<u32> = parser
        .raw_args()
        .map_err(|e| Error(e.to_string()))?
        .map(|arg| {
            arg.to_str()
                .and_then(|text| text.parse().ok())
                .ok_or_else(wrong)
        })
        .collect::<Result<_, _>>()?;
    let [cid, vhost_user, listener, directory] = numbers[..] else {
        return Err(wrong());
    };
    let fd = |number: u32| RawFd::try_from(number).map_err(|_| wrong());
    Ok(Command::VsockDevice(VsockFds {
        cid,
        vhost_user: fd(vhost_user)?,
        listener: fd(listener)?,
        directory: fd(directory)?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, Error> {
        parse(
            std::iter::once("virtmgr")
                .chain(line.split_whitespace())
                .map(OsString::from),
        )
    }

    #[test]
    fn the_version_names_the_releases() {
        let text = version();
        let (first, second) = text.split_once('\n').unwrap();
        assert_eq!(first, format!("{NAME} {}", env!("CARGO_PKG_VERSION")));
        let names = second.strip_prefix("Android releases: ").unwrap();
        let releases: Vec<Release> = names
            .split(", ")
            .map(|name| name.parse().unwrap())
            .collect();
        assert_eq!(releases, avf_wire::built().collect::<Vec<_>>());
    }

    #[test]
    fn both_descriptors_are_needed_and_differ() {
        assert_eq!(
            parsed("--rpc-server-fd 5 --ready-fd=6").unwrap(),
            Command::Serve(
                ServeFds {
                    rpc_server: 5,
                    ready: 6
                },
                None
            )
        );
        let release = avf_wire::Default::default().release;
        let line = format!("--rpc-server-fd 5 --wire {release} --ready-fd 6");
        assert!(matches!(parsed(&line), Ok(Command::Serve(_, Some(wire))) if wire == release));
        for (line, part) in [
            ("", "--rpc-server-fd is missing"),
            ("--rpc-server-fd 5", "--ready-fd is missing"),
            ("--rpc-server-fd 5 --ready-fd 5", "both 5"),
            ("--rpc-server-fd 1 --ready-fd 5", "standard"),
            ("--rpc-server-fd x --ready-fd 5", "--rpc-server-fd x"),
            ("--rpc-server-fd -1 --ready-fd 5", "--rpc-server-fd -1"),
            ("--rpc-server-fd", "rpc-server-fd"),
            ("--rpc-server-fd 5 --ready-fd 6 --wire 14", "--wire: \"14\""),
            ("--frobnicate", "frobnicate"),
            ("surplus", "surplus"),
        ] {
            let error = parsed(line).unwrap_err().to_string();
            assert!(error.contains(part), "{line:?} gave {error:?}");
        }
    }
}
