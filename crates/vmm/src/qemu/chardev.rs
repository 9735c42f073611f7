// SPDX-License-Identifier: Apache-2.0
//! Descriptors as QEMU character devices.
//!
//! QEMU makes what it writes to non-blocking. That flag belongs to the open file, not to the
//! descriptor, so a client that gives its own terminal or pipe would find its own end changed.
//! Files, pipes and terminals are therefore opened again; a socket cannot be, and is passed on.

use crate::Error;
use crate::launch::Launch;
use crate::qemu::bridge::Bridge;
use rustix::fs::{FileType, Mode, OFlags};
use std::os::fd::{AsRawFd, OwnedFd};

/// What copies for a character device while the VM runs, if it needs that.
pub(super) type Helper = Option<Box<dyn Send>>;

/// Adds the character device `id` that writes to `out` and, if given, reads from `input`.
pub(super) fn add(
    launch: &mut Launch,
    id: &str,
    out: OwnedFd,
    input: Option<OwnedFd>,
) -> Result<Helper, Error> {
    if is_socket(&out)? {
        // A socket is both ways by nature.
        add_socket(launch, id, out);
        return Ok(None);
    }
    let out = reopen(id, out, OFlags::WRONLY | OFlags::APPEND)?;
    if let Some(input) = input {
        let (bridge, socket) = Bridge::start(id, out, input)?;
        add_socket(launch, id, socket);
        return Ok(Some(Box::new(bridge)));
    }
    let out = add_fd(launch, out);
    launch.args([
        "-chardev",
        &format!("file,id={id},path=/dev/fdset/{out},append=on"),
    ]);
    Ok(None)
}

fn add_socket(launch: &mut Launch, id: &str, socket: OwnedFd) {
    let fd = launch.pass(socket);
    launch.args(["-chardev", &format!("socket,id={id},fd={fd}")]);
}

/// Adds a character device that swallows everything.
pub(super) fn add_null(launch: &mut Launch, id: &str) {
    launch.args(["-chardev", &format!("null,id={id}")]);
}

/// Makes `fd` known to QEMU as a set of one and returns the set's number.
pub(super) fn add_fd(launch: &mut Launch, fd: OwnedFd) -> i32 {
    let number = launch.pass(fd);
    launch.args(["-add-fd", &format!("fd={number},set={number}")]);
    number
}

fn is_socket(fd: &OwnedFd) -> Result<bool, Error> {
    let stat =
        rustix::fs::fstat(fd).map_err(|e| Error::io("cannot examine a console descriptor", e))?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Socket)
}

/// Opens the file of `fd` again, so that QEMU's flags on it are its own; where the system
/// forbids that (a file of another user), `fd` itself is used if its mode fits.
fn reopen(id: &str, fd: OwnedFd, flags: OFlags) -> Result<OwnedFd, Error> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let extra = OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    match rustix::fs::open(&path, flags | extra, Mode::empty()) {
        Ok(new) => Ok(new),
        Err(e) => {
            let have = rustix::fs::fcntl_getfl(&fd)
                .map_err(|e| Error::io(format!("{id}: cannot read its flags"), e))?;
            if have & OFlags::ACCMODE == flags & OFlags::ACCMODE {
                Ok(fd)
            } else {
                Err(Error::Invalid {
                    what: format!(
                        "{id}: the descriptor cannot be opened for {}: {e}",
                        if flags.contains(OFlags::WRONLY) {
                            "writing"
                        } else {
                            "reading"
                        }
                    ),
                })
            }
        }
    }
}
