// SPDX-License-Identifier: Apache-2.0
//! The payload of an app config: found by the labels of the payload disk's partitions, verified,
//! compared with what the instance knows, and taken out of its APK.
//!
//! The host writes the disks and may be hostile. [`verify`] believes an APK only as far as its idsig
//! covers it; [`instance`] remembers between boots which APKs those were.

mod instance;
mod program;
mod properties;
mod verify;

use crate::cmdline::Program;
use crate::failure::{Failure, Kind};
use crate::partitions;
use crate::report::Report;
use crate::uevents::Uevents;
use host::chain;
use microdroid::metadata::{Metadata, Payload};
use microdroid::{APK_PARTITION, IDSIG_PARTITION, METADATA_PARTITION, extra_partitions};
use std::fs::File;

/// Finds, verifies and unpacks the payload. `args` are given to it.
pub(crate) fn prepare(
    args: Vec<String>,
    uevents: &Uevents,
    report: &mut Report,
) -> Result<Program, Failure> {
    properties::publish(report)?;
    let partition = File::open(partitions::wait_for(METADATA_PARTITION, uevents)?)
        .map_err(|e| Failure::io(Kind::Config, "open the payload's metadata", &e))?;
    let metadata =
        Metadata::from_partition(partition).map_err(|e| Failure::new(Kind::Config, chain(&e)))?;
    check_apexes(&metadata, uevents, report)?;
    let apk = verify::apk("the APK", APK_PARTITION, IDSIG_PARTITION, uevents)?;
    report.say(&format!("APK verified, root hash {}", apk.root_text()));
    let payload = metadata
        .payload
        .ok_or_else(|| Failure::new(Kind::Config, "the metadata names no payload"))?;
    let (command, extras) = match payload {
        Payload::Config(config) => {
            let command = program::Command::library(&config.payload_binary_name)?;
            (command, config.extra_apk_count)
        }
        Payload::ConfigPath(path) => program::Command::of_config(&apk, &path)?,
    };
    let mut roots = vec![apk.root];
    for index in 0..usize::try_from(extras).unwrap_or(usize::MAX) {
        let [label, idsig] = extra_partitions(index);
        let extra = verify::apk(&format!("extra APK {index}"), &label, &idsig, uevents)?;
        report.say(&format!(
            "extra APK {index} verified, root hash {}",
            extra.root_text()
        ));
        roots.push(extra.root);
    }
    match instance::check(&roots, uevents)? {
        instance::Known::Before => report.say("the instance knows this payload"),
        instance::Known::Now => report.say("the instance is new: this payload is its own now"),
    }
    let path = program::unpack(&apk, &command)?;
    Ok(Program {
        path,
        args,
        mounts: Vec::new(),
    })
}

/// Checks that the APEXes in the metadata are there. This guest does not use their content.
fn check_apexes(
    metadata: &Metadata,
    uevents: &Uevents,
    report: &mut Report,
) -> Result<(), Failure> {
    for apex in &metadata.apexes {
        partitions::wait_for(&apex.partition_name, uevents)?;
    }
    if !metadata.apexes.is_empty() {
        report.say(&format!(
            "{} APEXes are there; this guest activates none",
            metadata.apexes.len()
        ));
    }
    Ok(())
}
