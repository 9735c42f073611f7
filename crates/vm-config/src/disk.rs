// SPDX-License-Identifier: Apache-2.0
//! Disks and partitions.

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use crate::document::object;
use crate::error::{ValueError, shorten};

/// One block device of the VM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(into = "Fields")]
pub struct Disk {
    /// What is on it.
    pub contents: Contents,
    /// Whether the guest may write to it.
    pub writable: bool,
}

/// What is on a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contents {
    /// The bytes of this file.
    Image(PathBuf),
    /// A partition table with these partitions, at least one and each with its own label.
    Partitions(Vec<Partition>),
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Partition {
    /// Its name in the partition table.
    pub label: PartitionLabel,
    /// The file with its contents.
    pub path: PathBuf,
    /// Whether the guest may write to it.
    pub writable: bool,
    /// Its GUID in the partition table; random if `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guid: Option<PartitionGuid>,
}

/// A name for a partition: at most 36 UTF-16 units, the room that a GPT entry has, without NUL.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct PartitionLabel(String);

impl PartitionLabel {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for PartitionLabel {
    type Error = ValueError;

    fn try_from(label: String) -> Result<Self, ValueError> {
        let units = label.encode_utf16().count();
        if units > 36 {
            return Err(ValueError::LabelTooLong {
                label: shorten(&label),
                units,
            });
        }
        if label.contains('\0') {
            return Err(ValueError::LabelNul { label });
        }
        Ok(Self(label))
    }
}

/// A partition's GUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PartitionGuid(Uuid);

impl fmt::Display for PartitionGuid {
    /// Writes lower-case hexadecimal digits with hyphens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl TryFrom<String> for PartitionGuid {
    type Error = ValueError;

    fn try_from(text: String) -> Result<Self, ValueError> {
        match Uuid::try_parse(&text) {
            Ok(uuid) => Ok(Self(uuid)),
            Err(error) => Err(ValueError::Guid {
                text: shorten(&text),
                reason: error.to_string(),
            }),
        }
    }
}

impl From<PartitionGuid> for String {
    fn from(guid: PartitionGuid) -> Self {
        guid.to_string()
    }
}

/// A disk as JSON has it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    image: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    partitions: Vec<Partition>,
    #[serde(default)]
    writable: bool,
}

impl From<Disk> for Fields {
    fn from(disk: Disk) -> Self {
        let (image, partitions) = match disk.contents {
            Contents::Image(path) => (Some(path), Vec::new()),
            Contents::Partitions(partitions) => (None, partitions),
        };
        Self {
            image,
            partitions,
            writable: disk.writable,
        }
    }
}

impl TryFrom<Fields> for Disk {
    type Error = ValueError;

    fn try_from(fields: Fields) -> Result<Self, ValueError> {
        let contents = match (fields.image, fields.partitions) {
            (Some(path), partitions) if partitions.is_empty() => Contents::Image(path),
            (Some(image), _) => return Err(ValueError::ImageAndPartitions { image }),
            (None, partitions) if partitions.is_empty() => return Err(ValueError::EmptyDisk),
            (None, partitions) => {
                let mut labels = HashSet::new();
                for Partition { label, .. } in &partitions {
                    if !labels.insert(label) {
                        return Err(ValueError::DuplicateLabel {
                            label: label.0.clone(),
                        });
                    }
                }
                Contents::Partitions(partitions)
            }
        };
        Ok(Self {
            contents,
            writable: fields.writable,
        })
    }
}

impl<'de> Deserialize<'de> for Disk {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields: Fields = object(deserializer, "an object that describes a disk")?;
        Self::try_from(fields).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Partition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields {
            label: PartitionLabel,
            path: PathBuf,
            #[serde(default)]
            writable: bool,
            guid: Option<PartitionGuid>,
        }
        let fields: Fields = object(deserializer, "an object that describes a partition")?;
        Ok(Self {
            label: fields.label,
            path: fields.path,
            writable: fields.writable,
            guid: fields.guid,
        })
    }
}
