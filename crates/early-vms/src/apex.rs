// SPDX-License-Identifier: Apache-2.0
//! The partition that an APEX was built for, from the list that apexd writes.

use std::path::Path;

use crate::error::XmlFault;
use crate::root::Root;
use crate::{Error, Partition};

/// Looks up the `partition` of the active APEX `module`.
pub(crate) fn partition_of(module: &str, root: &Root) -> Result<Partition, Error> {
    let path = root.on_host(Path::new(apex_list::PATH));
    let bytes = match root.read(Path::new(apex_list::PATH), apex_list::MAX_LEN) {
        Ok(bytes) => bytes,
        Err(source) => {
            return Err(Error::ApexList {
                module: module.to_owned(),
                path,
                source,
            });
        }
    };
    let list = match apex_list::read(&bytes) {
        Ok(list) => list,
        Err(fault) => {
            return Err(Error::ApexListBroken {
                path,
                line: fault.position.line,
                source: XmlFault(fault.message),
            });
        }
    };

    // An APEX that was updated also has an inactive entry, for the version that it replaces.
    let entry = list.into_iter().find(|apex| {
        apex.module_name.as_deref() == Some(module) && apex.is_active.as_deref() != Some("false")
    });
    let entry = entry.ok_or_else(|| Error::ApexUnknown {
        module: module.to_owned(),
        path: path.clone(),
    })?;
    let partition = entry.partition.ok_or_else(|| Error::ApexWithoutPartition {
        module: module.to_owned(),
        path: path.clone(),
    })?;
    // apexd writes the names in capitals.
    let partition = partition.to_ascii_lowercase();
    Partition::named(&partition).ok_or_else(move || Error::Unsupported {
        place: partition,
        path: Path::new("/apex").join(module),
    })
}
