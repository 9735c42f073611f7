// SPDX-License-Identifier: Apache-2.0
//! `vm create-partition` and `vm create-idsig`.

use super::common::ManagerArgs;
use crate::size::Size;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Arguments of `vm create-partition`.
#[derive(Debug, Args)]
#[command(
    after_help = "The size is rounded up to a multiple of 4096 bytes. An existing file is not overwritten.\n\nExamples:\n  vm create-partition data.img 64M\n  vm create-partition instance.img 10M -t instance\n\nSee also: vm-run(1), vm-config.json(5)"
)]
pub struct CreatePartitionArgs {
    /// The file to create
    pub path: PathBuf,
    /// Its size in bytes, or with a suffix K, M, G or T
    pub size: Size,
    /// What the partition is for
    #[arg(short = 't', long = "type", value_enum, default_value = "raw")]
    pub kind: PartitionKind,
    /// Which manager to ask.
    #[command(flatten)]
    pub manager: ManagerArgs,
}

/// What a partition is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PartitionKind {
    /// Any use: all zeros
    Raw,
    /// Microdroid's instance data, kept between boots
    Instance,
    /// Microdroid's encrypted storage
    Encryptedstore,
}

/// Arguments of `vm create-idsig`.
#[derive(Debug, Args)]
#[command(
    after_help = "An idsig file that matches the APK is left unchanged.\n\nExamples:\n  vm create-idsig app.apk app.idsig\n\nSee also: vm-run-app(1)"
)]
pub struct CreateIdsigArgs {
    /// The signed APK
    pub apk: PathBuf,
    /// The idsig file to create or update
    pub path: PathBuf,
    /// Which manager to ask.
    #[command(flatten)]
    pub manager: ManagerArgs,
}
