// SPDX-License-Identifier: Apache-2.0
//! The CID that was given out last, kept so that a restarted service continues after it.
//!
//! On Android it is a system property, elsewhere a file of fixed length that is overwritten in place:
//! one small write and one `fdatasync` for a CID, however many there are.

use crate::paths::Paths;
use host::Host;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};

/// The property that Android's own service uses.
const PROPERTY: &str = "virtualizationservice.state.last_cid";
/// Five digits and the end of the line.
const LENGTH: usize = 6;

/// Where the last CID is kept.
#[derive(Debug)]
pub(crate) struct LastCid {
    file: File,
    host: Host,
    is_property: bool,
}

impl LastCid {
    /// Opens it, and reads what is there: none on the first start since the machine was.
    pub(crate) fn open(paths: &Paths) -> io::Result<(Self, Option<u32>)> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            .open(paths.last_cid())?;
        let property = paths
            .host()
            .property(PROPERTY)
            .and_then(|text| text.parse().ok());
        // The file of a data partition outlives the boot; the property does not.
        let last = if paths.host().is_android() {
            property
        } else {
            read(&file)?
        };
        let is_property = paths.host().is_android();
        let host = paths.host().clone();
        Ok((
            Self {
                file,
                host,
                is_property,
            },
            last,
        ))
    }

    /// Keeps `cid`.
    pub(crate) fn save(&mut self, cid: u32) -> io::Result<()> {
        if self.is_property {
            match self.host.properties().write(PROPERTY, &cid.to_string()) {
                Ok(()) => return Ok(()),
                Err(e) => {
                    log::warn!(
                        "{}; the last CID is kept in a file instead",
                        host::chain(&e)
                    );
                    self.is_property = false;
                }
            }
        }
        let text = format!("{cid:0width$}\n", width = LENGTH - 1);
        self.file.write_all_at(text.as_bytes(), 0)?;
        self.file.sync_data()
    }
}

fn read(file: &File) -> io::Result<Option<u32>> {
    let mut bytes = [0; LENGTH];
    match file.read_exact_at(&mut bytes, 0) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(e) => return Err(e),
    }
    let cid = std::str::from_utf8(&bytes)
        .ok()
        .and_then(|text| text.strip_suffix('\n')?.parse().ok());
    if cid.is_none() {
        log::warn!("the file with the last CID is damaged: beginning from the first");
    }
    Ok(cid)
}
