// SPDX-License-Identifier: Apache-2.0
//! Which file of an APK is run, and how it is extracted.

use super::verify::Apk;
use crate::failure::{Failure, Kind};
use crate::mounts::make_dir;
use host::chain;
use microdroid::archive::{ArchiveError, extract};
use microdroid::{APK_MOUNT, PayloadConfig, check_binary_name};
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;

/// Where programs of this processor are in an APK.
#[cfg(target_arch = "x86_64")]
const LIBRARIES: &str = "lib/x86_64/";
#[cfg(target_arch = "aarch64")]
const LIBRARIES: &str = "lib/arm64-v8a/";
/// The largest configuration, and the largest program, in bytes. Both are held in memory.
const MAX_CONFIG: u64 = 1 << 20;
const MAX_PROGRAM: u64 = 256 << 20;
/// Where the program is put.
const PLACE: &str = "/run/payload";

/// A file of an APK that is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    /// Its name in the archive.
    entry: String,
}

impl Command {
    /// A program among the APK's libraries.
    pub(super) fn library(name: &str) -> Result<Self, Failure> {
        check_binary_name(name).map_err(|e| Failure::new(Kind::Config, chain(&e)))?;
        Ok(Self {
            entry: format!("{LIBRARIES}{name}"),
        })
    }

    /// What the configuration at `path` in the guest says, with the number of further APKs.
    pub(super) fn of_config(apk: &Apk, path: &str) -> Result<(Self, u32), Failure> {
        let failed = |e: &dyn std::error::Error| {
            Failure::new(
                Kind::Config,
                format!("payload configuration {path}: {}", chain(e)),
            )
        };
        let entry = path.strip_prefix(APK_MOUNT).ok_or_else(|| {
            Failure::new(
                Kind::Config,
                format!("payload configuration {path} is not in {APK_MOUNT}"),
            )
        })?;
        let mut json = Vec::new();
        extract(apk, entry, MAX_CONFIG, &mut json).map_err(|e| failed(&e))?;
        let config = PayloadConfig::parse(&json).map_err(|e| failed(&e))?;
        let task = config.task.ok_or_else(|| {
            Failure::new(
                Kind::Config,
                format!("payload configuration {path} has no task"),
            )
        })?;
        let command = match task.command.strip_prefix(APK_MOUNT) {
            Some(entry) => Self {
                entry: entry.to_owned(),
            },
            None => Self::library(&task.command)?,
        };
        let extras = u32::try_from(config.extra_apks.len()).unwrap_or(u32::MAX);
        Ok((command, extras))
    }
}

/// Takes the program out of the APK. Returns its path.
pub(super) fn unpack(apk: &Apk, command: &Command) -> Result<String, Failure> {
    let entry = &command.entry;
    let name = entry.rsplit('/').next().unwrap_or(entry);
    check_binary_name(name).map_err(|e| Failure::new(Kind::Config, chain(&e)))?;
    make_dir(PLACE)?;
    let path = format!("{PLACE}/{name}");
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o755)
        .open(&path)
        .map_err(|e| Failure::io(Kind::Runtime, format!("make {path}"), &e))?;
    extract(apk, entry, MAX_PROGRAM, file).map_err(|e| {
        let kind = match &e {
            ArchiveError::Io(_) => Kind::Verification,
            _ => Kind::Config,
        };
        Failure::new(
            kind,
            format!("cannot extract the payload from the APK: {}", chain(&e)),
        )
    })?;
    Ok(path)
}
