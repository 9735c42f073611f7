// SPDX-License-Identifier: Apache-2.0
//! The content of the metadata partition: the length of a protobuf message in 4 bytes, big-endian,
//! and the message.

use prost::Message;
use std::io::Read;

/// The version of the message.
pub const VERSION: u32 = 1;
/// The longest message that is read.
pub const MAX_LENGTH: u32 = 1 << 20;

/// What the other partitions are, and what to run.
#[derive(Clone, PartialEq, Message)]
pub struct Metadata {
    /// [`VERSION`].
    #[prost(uint32, tag = "1")]
    pub version: u32,
    /// The APEXes, in the order of their partitions.
    #[prost(message, repeated, tag = "2")]
    pub apexes: Vec<ApexPayload>,
    /// The APK.
    #[prost(message, optional, tag = "3")]
    pub apk: Option<ApkPayload>,
    /// What to run.
    #[prost(oneof = "Payload", tags = "4, 5")]
    pub payload: Option<Payload>,
}

/// What to run.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Payload {
    /// The path, in the guest, of a [`PayloadConfig`](crate::PayloadConfig).
    #[prost(string, tag = "4")]
    ConfigPath(String),
    /// A file of the APK's.
    #[prost(message, tag = "5")]
    Config(PayloadConfig),
}

/// An APEX.
#[derive(Clone, PartialEq, Message)]
pub struct ApexPayload {
    /// The APEX's name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The partition that it is in.
    #[prost(string, tag = "2")]
    pub partition_name: String,
    /// The key that it is signed with, if the host vouches for it.
    #[prost(bytes = "vec", tag = "3")]
    pub public_key: Vec<u8>,
    /// The digest of its tree, likewise.
    #[prost(bytes = "vec", tag = "4")]
    pub root_digest: Vec<u8>,
    /// When it was last updated, in seconds since 1970.
    #[prost(uint64, tag = "5")]
    pub last_update_seconds: u64,
    /// Whether it is as the system came with it.
    #[prost(bool, tag = "6")]
    pub is_factory: bool,
    /// The version in its manifest.
    #[prost(int64, tag = "7")]
    pub manifest_version: i64,
    /// The name in its manifest.
    #[prost(string, tag = "8")]
    pub manifest_name: String,
}

/// The APK.
#[derive(Clone, PartialEq, Message)]
pub struct ApkPayload {
    /// Its name: `apk`.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The partition that it is in.
    #[prost(string, tag = "2")]
    pub payload_partition_name: String,
    /// The partition that its idsig is in.
    #[prost(string, tag = "3")]
    pub idsig_partition_name: String,
}

/// A file of the APK's to be run.
#[derive(Clone, PartialEq, Message)]
pub struct PayloadConfig {
    /// Its name in the APK's directory of libraries.
    #[prost(string, tag = "1")]
    pub payload_binary_name: String,
    /// How many further APKs there are.
    #[prost(uint32, tag = "2")]
    pub extra_apk_count: u32,
}

/// The metadata partition cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// Reading failed, or the partition is too short.
    #[error("cannot read the payload's metadata")]
    Read(#[from] std::io::Error),
    /// The length is over the limit.
    #[error("the payload's metadata claim to have {0} bytes; at most {MAX_LENGTH} are read")]
    Length(u32),
    /// The message cannot be understood.
    #[error("the payload's metadata cannot be understood")]
    Message(#[from] prost::DecodeError),
    /// Another version.
    #[error("the payload's metadata are of version {0}, not {VERSION}")]
    Version(u32),
}

impl Metadata {
    /// The partition's bytes.
    #[must_use]
    pub fn to_partition(&self) -> Vec<u8> {
        let message = self.encode_to_vec();
        let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
        let mut bytes = length.to_be_bytes().to_vec();
        bytes.extend(message);
        bytes
    }

    /// Reads a partition.
    ///
    /// # Errors
    /// If it is cut off, or holds no metadata of this version.
    pub fn from_partition(mut partition: impl Read) -> Result<Self, MetadataError> {
        let mut length = [0; 4];
        partition.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length);
        if length > MAX_LENGTH {
            return Err(MetadataError::Length(length));
        }
        let mut message = vec![0; usize::try_from(length).unwrap_or(0)];
        partition.read_exact(&mut message)?;
        let metadata = Self::decode(&message[..])?;
        if metadata.version != VERSION {
            return Err(MetadataError::Version(metadata.version));
        }
        Ok(metadata)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes by hand: tag (number and wire type), then a varint, or a length and bytes.
    #[test]
    fn the_bytes_are_those_of_the_format() {
        let metadata = Metadata {
            version: 1,
            apexes: vec![ApexPayload {
                name: "a".into(),
                partition_name: "p".into(),
                last_update_seconds: 300,
                is_factory: true,
                ..ApexPayload::default()
            }],
            apk: Some(ApkPayload {
                name: "apk".into(),
                payload_partition_name: "x".into(),
                idsig_partition_name: "y".into(),
            }),
            payload: Some(Payload::Config(PayloadConfig {
                payload_binary_name: "b".into(),
                extra_apk_count: 2,
            })),
        };
        let mut wanted = vec![0, 0, 0, 39];
        wanted.extend([0x08, 1]);
        wanted.extend([
            0x12, 11, 0x0a, 1, b'a', 0x12, 1, b'p', 0x28, 0xac, 2, 0x30, 1,
        ]);
        wanted.extend([
            0x1a, 11, 0x0a, 3, b'a', b'p', b'k', 0x12, 1, b'x', 0x1a, 1, b'y',
        ]);
        wanted.extend([0x2a, 5, 0x0a, 1, b'b', 0x10, 2]);
        wanted[3] = u8::try_from(wanted.len() - 4).unwrap();
        let bytes = metadata.to_partition();
        assert_eq!(bytes, wanted);
        // A partition is longer than its content.
        let padded = [&bytes[..], &[0; 100]].concat();
        assert_eq!(Metadata::from_partition(&padded[..]).unwrap(), metadata);
    }

    #[test]
    fn bad_partitions_are_errors() {
        assert!(Metadata::from_partition(&b""[..]).is_err());
        assert!(Metadata::from_partition(&[0, 0, 0, 9, 1][..]).is_err());
        let huge = Metadata::from_partition(&[0xff; 8][..]).unwrap_err();
        assert!(matches!(huge, MetadataError::Length(u32::MAX)));
        let empty = Metadata::from_partition(&[0; 4][..]).unwrap_err();
        assert!(matches!(empty, MetadataError::Version(0)));
    }
}
