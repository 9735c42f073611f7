// SPDX-License-Identifier: Apache-2.0
//! Brings an idsig file up to date, so that a failure leaves it as it was.

use crate::idsig::{MAX_FIELD, MAX_TREE};
use crate::{Error, Idsig};
use rustix::fs::FallocateFlags;
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::fs::{FileExt, MetadataExt};

/// The longest idsig: its fixed part, two infos and a tree.
const MAX_LEN: u64 = 16 + 2 * MAX_FIELD as u64 + MAX_TREE as u64;

/// Makes `idsig` the idsig of `apk`. A file that is up to date is left untouched. Returns whether
/// the file was written.
///
/// Nothing is written before the APK is hashed and the space for the idsig is reserved. If writing
/// fails nevertheless, the former content is restored, or the file is emptied where that fails, too.
///
/// # Errors
///
/// If the APK cannot be read or is not signed; if `idsig` is the APK itself, or neither empty nor an
/// idsig; or if it cannot be written.
pub fn update(apk: &File, idsig: &mut File, sdk: u32) -> Result<bool, Error> {
    let source = apk
        .metadata()
        .map_err(Error::io("cannot examine the APK"))?;
    let target = idsig
        .metadata()
        .map_err(Error::io("cannot examine the idsig"))?;
    if !target.is_file() {
        return Err(Error::NotRegular("the idsig"));
    }
    if (source.dev(), source.ino()) == (target.dev(), target.ino()) {
        return Err(Error::SameFile);
    }
    let old = content(idsig, target.len())?;
    // A cut tree comes from a full disk. It makes the idsig useless, but not another kind of file.
    if !old.is_empty() && Idsig::read(&old[..], false).is_err() {
        return Err(Error::NotIdsig);
    }
    let wanted = Idsig::of(apk, sdk)?;
    if Idsig::read(&old[..], true)
        .is_ok_and(|found| found.hashing == wanted.hashing && found.tree == wanted.tree)
    {
        return Ok(false);
    }
    let mut new = Vec::new();
    wanted.write(&mut new)?;
    replace(idsig, &old, &new).map_err(Error::io("cannot write the idsig"))?;
    Ok(true)
}

fn content(idsig: &mut File, length: u64) -> Result<Vec<u8>, Error> {
    if length > MAX_LEN {
        return Err(Error::NotIdsig);
    }
    let mut bytes = Vec::new();
    idsig
        .rewind()
        .and_then(|()| Read::take(idsig, MAX_LEN).read_to_end(&mut bytes))
        .map_err(Error::io("cannot read the idsig"))?;
    Ok(bytes)
}

fn replace(file: &File, old: &[u8], new: &[u8]) -> io::Result<()> {
    // A full disk, a quota or a limit shows here, where nothing has changed yet.
    let reserved = rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, 0, new.len() as u64);
    match reserved {
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
        Err(errno) => {
            // Gives back what was reserved beyond the end.
            let _ = file.set_len(old.len() as u64);
            return Err(errno.into());
        }
    }
    let written = file
        .write_all_at(new, 0)
        .and_then(|()| file.set_len(new.len() as u64));
    if written.is_err() {
        let restored = file
            .set_len(old.len() as u64)
            .and_then(|()| file.write_all_at(old, 0));
        if restored.is_err() {
            // An empty file is made anew the next time; a mixture of two idsigs is refused.
            let _ = file.set_len(0);
        }
    }
    written
}
