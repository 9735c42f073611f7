// SPDX-License-Identifier: Apache-2.0
//! Disks, and the partitions of which they may be made.

use super::invalid;
use crate::error::Error;
use crate::fd::file;
use avf_aidl::service::{DiskImage, Partition};
use std::collections::HashSet;
use vmm::plan::{Disk, DiskContent, MAX_DISK_ID};

/// Longest GPT partition name, in UTF-16 units.
const MAX_LABEL: usize = 36;

/// The disk `disks[index]`.
pub(super) fn disk(index: usize, disk: &DiskImage) -> Result<Disk, Error> {
    let content = match (&disk.image, &disk.partitions[..]) {
        (Some(image), []) => DiskContent::Image {
            image: file(&format!("disks[{index}].image"), image)?,
            writable: disk.writable,
        },
        (None, [_, ..]) => DiskContent::Partitions(partitions(index, &disk.partitions)?),
        (Some(_), _) => {
            return Err(invalid(format!(
                "disks[{index}]: it has both an image and partitions; give one of them"
            )));
        }
        (None, []) => {
            return Err(invalid(format!(
                "disks[{index}]: it has neither an image nor partitions; give one of them"
            )));
        }
    };
    let id = disk
        .id
        .as_deref()
        .map(|id| disk_id(index, id))
        .transpose()?;
    Ok(Disk { content, id })
}

/// The id by which a guest knows a disk.
fn disk_id(index: usize, id: &str) -> Result<String, Error> {
    let is_plain = id.chars().all(|c| c.is_ascii_graphic() || c == ' ');
    if id.is_empty() || id.len() > MAX_DISK_ID || !is_plain {
        return Err(invalid(format!(
            "disks[{index}].id \"{}\": it must have 1 to {MAX_DISK_ID} printable ASCII characters",
            id.escape_default()
        )));
    }
    Ok(id.to_owned())
}

fn partitions(disk: usize, list: &[Partition]) -> Result<Vec<vmm::plan::Partition>, Error> {
    let mut labels = HashSet::new();
    list.iter()
        .enumerate()
        .map(|(index, partition)| {
            let field = format!("disks[{disk}].partitions[{index}]");
            let label = &partition.label;
            if label.is_empty() || label.encode_utf16().count() > MAX_LABEL {
                return Err(invalid(format!(
                    "{field}.label {label:?}: it must have 1 to {MAX_LABEL} UTF-16 units"
                )));
            }
            if !labels.insert(label) {
                return Err(invalid(format!(
                    "{field}.label {label:?}: another partition of this disk has it"
                )));
            }
            let image = partition
                .image
                .as_ref()
                .ok_or_else(|| invalid(format!("{field}.image: it is missing")))?;
            let guid = partition
                .guid
                .as_deref()
                .map(|text| {
                    text.parse::<uuid::Uuid>().map_err(|e| {
                        invalid(format!("{field}.guid {text:?}: it is not a GUID: {e}"))
                    })
                })
                .transpose()?;
            Ok(vmm::plan::Partition {
                label: label.clone(),
                image: file(&format!("{field}.image"), image)?,
                writable: partition.writable,
                guid,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use rsbinder::ParcelFileDescriptor;

    fn with_id(id: &str) -> Result<Disk, Error> {
        let config = DiskImage {
            image: Some(ParcelFileDescriptor::new(tempfile::tempfile().unwrap())),
            id: Some(id.into()),
            ..Default::default()
        };
        disk(3, &config)
    }

    #[test]
    fn an_id_fits_into_virtio() {
        let disk = with_id("twenty bytes, no mor").unwrap();
        assert_eq!(disk.id.as_deref(), Some("twenty bytes, no mor"));
        for bad in ["", "twenty-one bytes, far", "a\nb", "\u{e9}"] {
            let error = with_id(bad).unwrap_err();
            assert_eq!(error.kind(), Kind::Invalid);
            assert!(error.to_string().starts_with("disks[3].id \""), "{error}");
        }
    }
}
