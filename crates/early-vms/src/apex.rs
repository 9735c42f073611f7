// SPDX-License-Identifier: Apache-2.0
//! The partition that an APEX was built for, from the list that apexd writes.

use std::path::Path;

use crate::error::XmlFault;
use crate::root::Root;
use crate::{Error, Partition, xml};

/// Where apexd puts its list, in the root directory.
const LIST: &str = "/apex/apex-info-list.xml";

/// Bytes of the list that are read at most; a device has some dozens of APEXes, each of about 300 bytes.
const MAX_LEN: u64 = 1024 * 1024;

/// Looks up the `partition` of the active APEX `module`.
pub(crate) fn partition_of(module: &str, root: &Root) -> Result<Partition, Error> {
    let path = root.on_host(Path::new(LIST));
    let bytes = match root.read(Path::new(LIST), MAX_LEN) {
        Ok(bytes) => bytes,
        Err(source) => {
            return Err(Error::ApexList {
                module: module.to_owned(),
                path,
                source,
            });
        }
    };
    let text = xml::text(&bytes).map_err(|fault| broken(&path, fault))?;
    let document = xml::parse(text).map_err(|fault| broken(&path, fault))?;

    let entry = document
        .root_element()
        .children()
        .filter(|node| node.has_tag_name("apex-info"))
        .filter(|node| node.attribute("moduleName") == Some(module))
        // An APEX that was updated has an inactive entry too, for the version that it hides.
        .find(|node| node.attribute("isActive") != Some("false"))
        .ok_or_else(|| Error::ApexUnknown {
            module: module.to_owned(),
            path: path.clone(),
        })?;
    let partition = entry
        .attribute("partition")
        .ok_or_else(|| Error::ApexWithoutPartition {
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

fn broken(path: &Path, fault: xml::Broken) -> Error {
    Error::ApexListBroken {
        path: path.to_owned(),
        line: fault.position.line,
        source: XmlFault(fault.message),
    }
}
