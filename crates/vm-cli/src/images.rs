// SPDX-License-Identifier: Apache-2.0
//! `vm create-partition` and `vm create-idsig`.

use super::common::ManagerArgs;
use crate::size::Size;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// The partition image that is made.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vm create-partition data.img 64M\n  vm create-partition instance.img 10M -t instance\n\nThe size is rounded up to 4096 bytes. A file that is there is not overwritten."
)]
pub struct CreatePartitionArgs {
    /// The file to make
    pub path: PathBuf,
    /// Its size: bytes, or with K, M, G or T behind the number
    pub size: Size,
    /// What the partition is for
    #[arg(short = 't', long = "type", value_enum, default_value = "raw")]
    pub kind: PartitionKind,
    /// Which manager is asked.
    #[command(flatten)]
    pub manager: ManagerArgs,
}

/// What a partition is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PartitionKind {
    /// Anything: all zeros
    Raw,
    /// What a Microdroid keeps from boot to boot
    Instance,
    /// A Microdroid's encrypted storage
    Encryptedstore,
}

/// The idsig file that is made.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  vm create-idsig app.apk app.idsig\n\nA file that fits the APK already is left as it is."
)]
pub struct CreateIdsigArgs {
    /// The signed APK
    pub apk: PathBuf,
    /// The idsig file to make or update
    pub path: PathBuf,
    /// Which manager is asked.
    #[command(flatten)]
    pub manager: ManagerArgs,
}
