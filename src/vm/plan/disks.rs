// SPDX-License-Identifier: Apache-2.0
//! Disks, and the partitions of which they may be made.

use super::invalid;
use crate::error::Error;
use crate::fd::file;
use avf_aidl::service::{DiskImage, Partition};
use std::collections::HashSet;
use vmm::plan::{Disk, DiskContent};

/// Longest GPT partition name, in UTF-16 units.
const MAX_LABEL: usize = 36;

/// The disk `disks[index]`.
pub(super) fn disk(index: usize, disk: &DiskImage) -> Result<Disk, Error> {
    match (&disk.image, &disk.partitions[..]) {
        (Some(image), []) => Ok(DiskContent::Image {
            image: file(&format!("disks[{index}].image"), image)?,
            writable: disk.writable,
        }
        .into()),
        (None, [_, ..]) => Ok(DiskContent::Partitions(partitions(index, &disk.partitions)?).into()),
        (Some(_), _) => Err(invalid(format!(
            "disks[{index}]: it has both an image and partitions; give one of them"
        ))),
        (None, []) => Err(invalid(format!(
            "disks[{index}]: it has neither an image nor partitions; give one of them"
        ))),
    }
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
