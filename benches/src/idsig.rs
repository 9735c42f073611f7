// SPDX-License-Identifier: Apache-2.0
//! How fast a manager makes the idsig of a large APK, against what `openssl speed` says that the
//! machine's cores could hash, and how much memory it takes for that.

use anyhow::{Context, Result, ensure};
use apk_builder::{Entry, Signer};
use rsbinder::ParcelFileDescriptor;
use std::fs::{self, File, OpenOptions};
use std::process::Command;
use std::time::Instant;
use system_tests::host::Host;

/// Bytes of the APK's content.
const LENGTH: usize = 1 << 30;
/// Runs; the best counts, as for openssl, which measures CPU time.
const RUNS: usize = 5;

/// The result.
#[derive(Debug)]
pub(crate) struct Speed {
    /// MB/s of the manager.
    pub(crate) made: f64,
    /// MB/s of all cores by `openssl speed`.
    pub(crate) possible: f64,
    /// The manager's peak resident set in KiB.
    pub(crate) peak: u64,
}

/// Makes the APK and its idsig.
pub(crate) fn speed(host: &Host) -> Result<Speed> {
    let apk = host.scratch().join("large.apk");
    {
        let content = (0..=255).cycle().take(LENGTH).collect();
        let entry = Entry::library("large", content);
        Signer::in_directory(host.scratch())?.build(&[entry], &apk)?;
        fs::remove_file(host.scratch().join("unsigned.apk"))?;
    }
    let length = fs::metadata(&apk)?.len() as f64;
    let manager = host.early();
    let mut made = 0_f64;
    let mut possible = 0_f64;
    for run in 0..RUNS {
        possible = possible.max(openssl()?);
        let idsig = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(host.scratch().join(format!("{run}.idsig")))?;
        let input = ParcelFileDescriptor::new(File::open(&apk)?);
        let begin = Instant::now();
        manager
            .service()
            .createOrUpdateIdsigFile(&input, &ParcelFileDescriptor::new(idsig))?;
        made = made.max(length / 1e6 / begin.elapsed().as_secs_f64());
    }
    let status = fs::read_to_string(format!("/proc/{}/status", manager.process_id()))?;
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"))
        .context("the manager has no peak resident set")?
        .parse()?;
    Ok(Speed {
        made,
        possible,
        peak,
    })
}

/// MB/s of SHA-256 on all cores: the rate of one, times their number.
fn openssl() -> Result<f64> {
    let output = Command::new("openssl")
        .args([
            "speed", "-mr", "-evp", "sha256", "-bytes", "16384", "-seconds", "1",
        ])
        .output()
        .context("run openssl speed")?;
    ensure!(output.status.success(), "openssl speed: {}", output.status);
    let text = String::from_utf8(output.stdout)?;
    let rate: f64 = text
        .lines()
        .find_map(|line| line.strip_prefix("+F:")?.rsplit(':').next())
        .context("openssl speed printed no rate")?
        .parse()?;
    let cores = std::thread::available_parallelism()?.get() as f64;
    Ok(rate * cores / 1e6)
}
