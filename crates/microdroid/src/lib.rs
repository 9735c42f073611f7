// SPDX-License-Identifier: Apache-2.0
//! What a Microdroid VM gets from its host besides kernel and disks: APEXes, payload, and the metadata
//! that describes both. Hosts write it, guests read it.
//!
//! - [`apex`] reads the platform's list of APEXes and selects those of a VM.
//! - [`metadata`] is the content of the partition [`METADATA_PARTITION`].
//! - [`PayloadConfig`] is the JSON in an APK that names payload, APEXes and further APKs.
//! - [`archive`] takes files out of an APK, in bounded memory.
//!
//! The payload disk has these partitions, in this order:
//!
//! | label | content |
//! | --- | --- |
//! | `payload-metadata` | [`metadata::Metadata`] |
//! | `microdroid-apex-0`, .. | APEXes |
//! | `microdroid-apk` | the APK |
//! | `microdroid-apk-idsig` | its idsig |
//! | `extra-apk-0`, `extra-idsig-0`, .. | further APKs, each with its idsig |
#![forbid(unsafe_code)]

pub mod apex;
pub mod archive;
pub mod metadata;
mod payload;

pub use payload::{
    Apex, ExtraApk, Os, PayloadConfig, PayloadError, Task, TaskKind, check_binary_name,
};

/// The partition that describes the others.
pub const METADATA_PARTITION: &str = "payload-metadata";
/// The APK's partition.
pub const APK_PARTITION: &str = "microdroid-apk";
/// The partition of the APK's idsig.
pub const IDSIG_PARTITION: &str = "microdroid-apk-idsig";
/// The partition in which a guest keeps what must be the same at each boot.
pub const INSTANCE_PARTITION: &str = "vm-instance";
/// The partition of a guest's encrypted data.
pub const STORAGE_PARTITION: &str = "encryptedstore";
/// The partition of the vendor's files.
pub const VENDOR_PARTITION: &str = "microdroid-vendor";
/// Where the APK is in a Microdroid.
pub const APK_MOUNT: &str = "/mnt/apk/";

/// The partition of APEX number `index`.
#[must_use]
pub fn apex_partition(index: usize) -> String {
    format!("microdroid-apex-{index}")
}

/// The partitions of further APK number `index` and of its idsig.
#[must_use]
pub fn extra_partitions(index: usize) -> [String; 2] {
    [format!("extra-apk-{index}"), format!("extra-idsig-{index}")]
}
