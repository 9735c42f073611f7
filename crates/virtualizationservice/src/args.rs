// SPDX-License-Identifier: Apache-2.0
//! The command line.

use host::ROOT_VARIABLE;
use host::logger::LEVEL_VARIABLE;
use service_client::wire::{Release, WIRE_VARIABLE, built};
use std::ffi::OsString;
use virtualizationservice::{AtomIds, BinderChoice, DEFAULT_GROUP, Options};

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Print the help.
    Help,
    /// Print the version.
    Version,
    /// Serve.
    Serve(Options),
}

/// The help text.
pub(crate) fn help() -> String {
    format!(
        "virtualizationservice {version}: hands out what is unique on a machine to the managers of VMs

Usage: virtualizationservice [OPTION]...

One of it runs on a machine, as root, from boot on (systemd: virtualizationservice.service). Each
virtmgr finds it by itself, and gets from it: CIDs and directories of VMs, network interfaces, devices
of the host, ids of VM instances. VMs run in their managers: they live on when this service is stopped
or killed, and it knows them again when it is back.

  --binder auto|none|DEVICE  serve on the kernel's binder: where there is one with a service manager
                       (auto, the default), never, or on this device and fail if that cannot be
  --no-socket          do not serve on /run/virtualizationservice/service.sock
  --group NAME         the group that may connect to that socket (default: {DEFAULT_GROUP}; without such
                       a group: root only)
  --record-instance-ids  note whose instance ids are, for another store of secrets than Android's
                       Secretkeeper; where that is declared they are noted anyway
  --statsd-atoms booted=N,exited=N  the numbers of the atoms VmBooted and VmExited in this release of
                       Android; without them these go to the log only
  --wire RELEASE       what managers speak whose calls do not show it (default: {WIRE_VARIABLE}, or
                       the platform's release, or 15-qpr1): {releases}
  -h, --help           this text
  -V, --version        the version

Environment:
  {LEVEL_VARIABLE}    error, warn, info (default), debug or trace: what is logged to standard error
  {WIRE_VARIABLE}   as --wire
  {ROOT_VARIABLE}   a directory that stands for / in the paths of configuration and state

Files (on Android below /data/misc/virtualizationservice):
  /etc/avf/permissions.json           permissions by group; default: group kvm has every permission
  /vendor/etc/avf/assignable_devices.xml  devices that VMs may be given
  /run/virtualizationservice          sockets, the last CID, a note for each VM, the VMs' directories
  /var/lib/virtualizationservice      instance ids

To see it work:  vm list",
        version = env!("CARGO_PKG_VERSION"),
        releases = built().map(Release::name).collect::<Vec<_>>().join(", "),
    )
}

/// Reads the command line.
///
/// # Errors
/// With what is wrong.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, lexopt::Error> {
    use lexopt::prelude::*;
    let mut parser = lexopt::Parser::from_iter(std::iter::once("".into()).chain(args));
    let mut options = Options::default();
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(Command::Help),
            Short('V') | Long("version") => return Ok(Command::Version),
            Long("binder") => {
                let value = parser.value()?;
                options.binder = match value.to_str() {
                    Some("auto") => BinderChoice::Auto,
                    Some("none") => BinderChoice::None,
                    _ if value.is_empty() => return Err("--binder: an empty value".into()),
                    _ => BinderChoice::Device(value.into()),
                };
            }
            Long("no-socket") => options.socket = false,
            Long("group") => options.group = Some(parser.value()?.string()?),
            Long("record-instance-ids") => options.record_instance_ids = true,
            Long("statsd-atoms") => options.atom_ids = atom_ids(&parser.value()?.string()?)?,
            Long("wire") => {
                let release = parser.value()?.string()?.parse::<Release>();
                options.wire = Some(release.map_err(|e| format!("--wire: {e}"))?);
            }
            other => return Err(other.unexpected()),
        }
    }
    if !options.socket && options.binder == BinderChoice::None {
        return Err("--no-socket with --binder none: nobody could reach the service".into());
    }
    Ok(Command::Serve(options))
}

/// Reads `booted=N,exited=N`.
fn atom_ids(text: &str) -> Result<AtomIds, lexopt::Error> {
    let mut ids = AtomIds::default();
    for part in text.split(',') {
        let wrong =
            || format!("--statsd-atoms: `{part}` must be booted=N or exited=N, N a number from 1");
        let (name, number) = part.split_once('=').ok_or_else(wrong)?;
        let number = number.parse().map_err(|_| wrong())?;
        match name {
            "booted" => ids.booted = Some(number),
            "exited" => ids.exited = Some(number),
            _ => return Err(wrong().into()),
        }
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Command, String> {
        let args = line.split_ascii_whitespace().map(OsString::from);
        parse(args).map_err(|e| e.to_string())
    }

    #[test]
    fn what_is_asked_for() {
        assert_eq!(read("").unwrap(), Command::Serve(Options::default()));
        assert_eq!(read("--group x -h").unwrap(), Command::Help);
        assert_eq!(read("-V").unwrap(), Command::Version);
        let Command::Serve(options) =
            read("--binder /dev/b --group g --statsd-atoms exited=7,booted=6 --wire 16-qpr")
                .unwrap()
        else {
            panic!("not to be served");
        };
        assert_eq!(options.binder, BinderChoice::Device("/dev/b".into()));
        assert_eq!(options.group.as_deref(), Some("g"));
        assert_eq!(options.atom_ids.booted.map(u32::from), Some(6));
        assert_eq!(options.wire, Some(Release::V16Qpr));
        assert_eq!(options.atom_ids.exited.map(u32::from), Some(7));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, part) in [
            ("--bogus", "--bogus"),
            ("word", "word"),
            ("--group", "--group"),
            ("--binder none --no-socket", "nobody could reach"),
            ("--statsd-atoms booted", "booted=N"),
            ("--statsd-atoms booted=0", "from 1"),
            ("--statsd-atoms died=1", "`died=1`"),
            ("--wire 14", "\"14\" is not a release"),
        ] {
            let error = read(line).unwrap_err();
            assert!(error.contains(part), "{line}: {error}");
        }
    }
}
