// SPDX-License-Identifier: Apache-2.0
//! Android's property area: read in place, written through the property service.

use crate::error::{PropertyWatcherError as Error, Result};
use rsproperties::{PropertyConfig, SystemProperties};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The area's directory.
const AREA: &str = "dev/__properties__";
/// The directory of the property service's socket.
const SOCKETS: &str = "dev/socket";

/// The area below `root`, if there is one. A process maps one area only: the first that it asks for.
pub(crate) fn open(root: &Path) -> Option<Result<Area>> {
    let path = root.join(AREA);
    if !path.is_dir() {
        return None;
    }
    let config = PropertyConfig::with_both_dirs(&path, root.join(SOCKETS));
    // Refused if it was done before.
    let _ = rsproperties::try_init(config);
    Some(match rsproperties::try_system_properties() {
        Ok(properties) => Ok(Area { path, properties }),
        Err(source) => Err(Error::Uninitialized { path, source }),
    })
}

/// The mapped property area.
pub(crate) struct Area {
    path: PathBuf,
    properties: &'static SystemProperties,
}

impl Area {
    pub(crate) fn read(&self, name: &str) -> Result<Option<String>> {
        match self.properties.get_with_result(name) {
            Ok(value) => Ok(Some(value)),
            Err(rsproperties::Error::NotFound(_)) => Ok(None),
            Err(source) => Err(Error::Uninitialized {
                path: self.path.clone(),
                source,
            }),
        }
    }

    pub(crate) fn names(&self) -> Result<Vec<String>> {
        crate::trie::names(&self.path)
    }

    /// The property's change counter; none if it is not set.
    pub(crate) fn serial(&self, name: &str) -> Option<u32> {
        let index = self.properties.find(name).ok()??;
        self.properties.serial(&index)
    }

    /// Waits until `name` is there and its change counter is not `seen`.
    pub(crate) fn wait(&self, name: &str, seen: Option<u32>, until: Option<Instant>) -> Result<()> {
        let late = || Error::WaitFailed(name.to_owned());
        loop {
            // Taken before the search, so that a property made in between ends the wait.
            let any = self.properties.context_serial();
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            let timeout = left.map(|left| rustix::fs::Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            });
            let changed = match self.properties.find(name) {
                Ok(Some(_)) if seen.is_none() => return Ok(()),
                Ok(Some(index)) => self.properties.wait(Some(&index), seen, timeout.as_ref()),
                // Not there yet: any change may be its creation.
                Ok(None) => self.properties.wait(None, Some(any), timeout.as_ref()),
                Err(source) => {
                    return Err(Error::Uninitialized {
                        path: self.path.clone(),
                        source,
                    });
                }
            };
            // Without a value the time is over, or the kernel refused to wait.
            changed.ok_or_else(late)?;
            if seen.is_some() {
                return Ok(());
            }
        }
    }

    pub(crate) fn write(name: &str, value: &str) -> Result<()> {
        rsproperties::set(name, value).map_err(|source| Error::SetPropertyFailed {
            name: name.to_owned(),
            source: Box::new(source),
        })
    }
}
