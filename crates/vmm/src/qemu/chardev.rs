// SPDX-License-Identifier: Apache-2.0
//! Descriptors as QEMU character devices.
//!
//! QEMU makes what it writes to non-blocking. That flag belongs to the open file, not to the
//! descriptor, so a client that gives its own terminal or pipe would find its own end changed.
//! Files, pipes and terminals are therefore opened anew; a socket cannot be, and is handed on.

use crate::Error;
use crate::launch::Launch;
use rustix::fs::{FileType, Mode, OFlags};
use std::os::fd::{AsRawFd, OwnedFd};

/// Adds the character device `id` that writes to `out` and, if given, reads from `input`.
pub(super) fn add(
    launch: &mut Launch,
    id: &str,
    out: OwnedFd,
    input: Option<OwnedFd>,
) -> Result<(), Error> {
    if is_socket(&out)? {
        // A socket is both ways by nature.
        let fd = launch.pass(out);
        launch.args(["-chardev", &format!("socket,id={id},fd={fd}")]);
        return Ok(());
    }
    let out = reopen(id, out, OFlags::WRONLY | OFlags::APPEND)?;
    let out = add_fd(launch, out);
    let input = match input {
        // A chardev of files cannot read from a socket; QEMU would fail at the open.
        Some(fd) if is_socket(&fd)? => {
            return Err(Error::Invalid {
                what: format!(
                    "{id}: the input is a socket and the output is not; give a pipe, a terminal or a file"
                ),
            });
        }
        Some(fd) => {
            let set = add_fd(launch, reopen(id, fd, OFlags::RDONLY)?);
            format!(",input-path=/dev/fdset/{set}")
        }
        None => String::new(),
    };
    launch.args([
        "-chardev",
        &format!("file,id={id},path=/dev/fdset/{out},append=on{input}"),
    ]);
    Ok(())
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
    let stat = rustix::fs::fstat(fd).map_err(|e| Error::io("stat a console descriptor", e))?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Socket)
}

/// Opens the file behind `fd` once more, so that QEMU's flags on it are its own; where the system
/// forbids that (a file of another user), `fd` itself is used if its mode fits.
fn reopen(id: &str, fd: OwnedFd, flags: OFlags) -> Result<OwnedFd, Error> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let extra = OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    match rustix::fs::open(&path, flags | extra, Mode::empty()) {
        Ok(new) => Ok(new),
        Err(e) => {
            let have =
                rustix::fs::fcntl_getfl(&fd).map_err(|e| Error::io(format!("{id}: flags"), e))?;
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
