// SPDX-License-Identifier: Apache-2.0
//! Descriptors that clients give: duplicates of them that are what a field needs, and files in
//! memory.

use crate::error::{Error, Kind};
use rsbinder::ParcelFileDescriptor;
use rustix::fs::{FileType, MemfdFlags, OFlags, SealFlags};
use rustix::fs::{fcntl_add_seals, fcntl_getfl, fstat, memfd_create};
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::OwnedFd;

/// A descriptor of our own for what the client gave as `field`.
///
/// # Errors
/// [`Kind::BadParcelable`] if it cannot be duplicated.
pub(crate) fn duplicate(field: &str, fd: &ParcelFileDescriptor) -> Result<OwnedFd, Error> {
    fd.as_ref().try_clone().map_err(|e| {
        Error::new(
            Kind::BadParcelable,
            format!("{field}: its descriptor cannot be duplicated: {e}"),
        )
    })
}

/// The same as a file.
///
/// # Errors
/// As for [`duplicate`].
pub(crate) fn file(field: &str, fd: &ParcelFileDescriptor) -> Result<File, Error> {
    duplicate(field, fd).map(File::from)
}

/// A regular file whose descriptor is open for `access`, or for both reading and writing.
///
/// # Errors
/// [`Kind::Invalid`] if it is not.
pub(crate) fn regular(
    field: &str,
    fd: &ParcelFileDescriptor,
    access: OFlags,
) -> Result<File, Error> {
    let fd = duplicate(field, fd)?;
    let stat = fstat(&fd).map_err(|e| Error::io(format!("cannot stat {field}"), e))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Error::invalid(format!(
            "{field}: it must be a regular file"
        )));
    }
    check_access(field, &fd, access)?;
    Ok(File::from(fd))
}

/// A console's other end. A VMM opens it anew, with whatever rights this process has, so a client
/// must have the right itself that it gives to the guest.
///
/// # Errors
/// [`Kind::Invalid`] if it is not a stream, or not open for `access`.
pub(crate) fn stream(
    field: &str,
    fd: &ParcelFileDescriptor,
    access: OFlags,
) -> Result<OwnedFd, Error> {
    let fd = duplicate(field, fd)?;
    let stat = fstat(&fd).map_err(|e| Error::io(format!("cannot stat {field}"), e))?;
    if !matches!(
        FileType::from_raw_mode(stat.st_mode),
        FileType::RegularFile | FileType::Fifo | FileType::Socket | FileType::CharacterDevice
    ) {
        return Err(Error::invalid(format!(
            "{field}: it must be a file, a pipe, a socket or a terminal"
        )));
    }
    check_access(field, &fd, access)?;
    Ok(fd)
}

fn check_access(field: &str, fd: &OwnedFd, access: OFlags) -> Result<(), Error> {
    let flags =
        fcntl_getfl(fd).map_err(|e| Error::io(format!("cannot read the flags of {field}"), e))?;
    let mode = flags & OFlags::ACCMODE;
    if !flags.contains(OFlags::PATH) && (mode == access || mode == OFlags::RDWR) {
        return Ok(());
    }
    let purpose = match access {
        OFlags::RDONLY => "reading",
        OFlags::WRONLY => "writing",
        _ => "reading and writing",
    };
    Err(Error::invalid(format!(
        "{field}: its descriptor must be open for {purpose}"
    )))
}

/// A file in memory with `content`, which nobody can change.
///
/// # Errors
/// If the kernel gives none.
pub(crate) fn sealed(name: &str, content: &[u8]) -> Result<File, Error> {
    let make = || -> io::Result<File> {
        let fd = memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        let mut file = File::from(fd);
        file.write_all(content)?;
        // The receiver reads on from the descriptor's position.
        file.rewind()?;
        let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
        fcntl_add_seals(&file, seals)?;
        Ok(file)
    };
    make().map_err(|e| Error::io(format!("cannot make the file {name} in memory"), e))
}
