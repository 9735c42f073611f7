// SPDX-License-Identifier: Apache-2.0
//! What a disk of partitions costs a guest, against a plain raw disk in the same guest.

use anyhow::{Context, Result, ensure};
use avf_aidl::service::{DiskImage, Partition, VirtualMachineRawConfig};
use rsbinder::ParcelFileDescriptor;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use system_tests::guest;
use system_tests::host::Host;

/// Bytes of each disk's content, and of one measured read.
const LENGTH: u64 = 128 << 20;
/// Reads of each disk; one more goes before, uncounted.
const ROUNDS: usize = 15;

/// The speed of one disk, in MB/s, and its ratio to the raw one round by round: medians.
#[derive(Debug)]
pub(crate) struct Speed {
    pub(crate) name: &'static str,
    pub(crate) block: i32,
    pub(crate) megabytes: f64,
    pub(crate) raw: f64,
    pub(crate) ratio: f64,
}

/// The disks after the raw one, in the guest's order.
const DISKS: [(&str, &str, [bool; 2]); 3] = [
    ("/dev/vdb", "two writable partitions", [true, true]),
    ("/dev/vdc", "two read-only partitions", [false, false]),
    ("/dev/vdd", "one of each (NBD)", [true, false]),
];

/// Reads the disks in turn in one guest.
pub(crate) fn read_speeds(host: &Host) -> Result<Vec<Speed>> {
    let image = |name: &str, length: u64| -> Result<_> {
        let path = host.scratch().join(name);
        let mut file = File::create(&path)?;
        let block = vec![0x5a; 1 << 20];
        for _ in 0..length >> 20 {
            file.write_all(&block)?;
        }
        Ok(path)
    };
    let open = |path: &Path, writable: bool| -> Result<_> {
        let file = OpenOptions::new().read(true).write(writable).open(path)?;
        Ok(Some(ParcelFileDescriptor::new(file)))
    };
    let raw = image("raw", LENGTH + (8 << 20))?;
    let mut disks = vec![DiskImage {
        image: open(&raw, false)?,
        ..Default::default()
    }];
    for (number, (_, _, modes)) in DISKS.iter().enumerate() {
        let mut partitions = Vec::new();
        for (index, writable) in modes.iter().enumerate() {
            let path = image(&format!("part{number}-{index}"), LENGTH / 2 + (4 << 20))?;
            partitions.push(Partition {
                label: format!("part{index}"),
                image: open(&path, *writable)?,
                writable: *writable,
                guid: None,
            });
        }
        disks.push(DiskImage {
            partitions,
            ..Default::default()
        });
    }
    let manager = host.early();
    let config = VirtualMachineRawConfig {
        disks,
        ..guest::config(host, &[])
    };
    let vm = guest::start(&manager, config);
    let demo = guest::service(&manager, &vm);
    let length = i64::try_from(LENGTH)?;
    let mut speeds = Vec::new();
    for block in [128 << 10, 1 << 20] {
        let mut taken = vec![Vec::new(); DISKS.len() + 1];
        for round in 0..=ROUNDS {
            let paths = ["/dev/vda"].into_iter().chain(DISKS.iter().map(|d| d.0));
            for (path, taken) in paths.zip(&mut taken) {
                let time = demo.readDevice(path, length, block)?;
                ensure!(time > 0, "{path}: read in no time");
                if round > 0 {
                    taken.push(time);
                }
            }
        }
        let (raw, others) = taken.split_first().context("the raw disk is the first")?;
        for ((_, name, _), times) in DISKS.iter().zip(others) {
            let ratios = raw.iter().zip(times).map(|(r, t)| *r as f64 / *t as f64);
            speeds.push(Speed {
                name,
                block,
                megabytes: speed(times),
                raw: speed(raw),
                ratio: median(ratios.collect()),
            });
        }
    }
    let _ = demo.quit();
    Ok(speeds)
}

/// Megabytes in a second, of the median time.
fn speed(times: &[i64]) -> f64 {
    LENGTH as f64 * 1000.0 / median(times.iter().map(|t| *t as f64).collect())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
