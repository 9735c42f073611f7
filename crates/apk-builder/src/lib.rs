// SPDX-License-Identifier: Apache-2.0
//! Packs and signs small APKs, with a key that is made for the purpose. `openssl` makes the key and
//! `apksigner` signs, so that what reads the APKs is checked against what writes them.
#![forbid(unsafe_code)]

use anyhow::{Context, Result, ensure};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// The programs that are needed, and the Debian packages that they are in.
pub const PROGRAMS: [(&str, &str); 2] = [("apksigner", "apksigner"), ("openssl", "openssl")];
/// The directory of programs and libraries in an APK, for this processor.
#[cfg(target_arch = "x86_64")]
pub const LIBRARIES: &str = "lib/x86_64";
/// The directory of programs and libraries in an APK, for this processor.
#[cfg(target_arch = "aarch64")]
pub const LIBRARIES: &str = "lib/arm64-v8a";

/// Programs in an APK stand at multiples of a page, so that they could be mapped.
const ALIGNMENT: u16 = 4096;

/// A file of an APK.
#[derive(Debug, Clone)]
pub struct Entry {
    name: String,
    content: Vec<u8>,
    is_library: bool,
}

impl Entry {
    /// A program or library, stored as it is.
    #[must_use]
    pub fn library(name: &str, content: Vec<u8>) -> Self {
        Self {
            name: format!("{LIBRARIES}/{name}"),
            content,
            is_library: true,
        }
    }

    /// Any other file, compressed.
    #[must_use]
    pub fn file(name: &str, content: impl Into<Vec<u8>>) -> Self {
        Self {
            name: name.into(),
            content: content.into(),
            is_library: false,
        }
    }
}

/// A key with its certificate.
#[derive(Debug, Clone)]
pub struct Signer {
    directory: PathBuf,
}

impl Signer {
    /// The key in `directory`, which is made if it is not there.
    ///
    /// # Errors
    /// If `openssl` fails or is missing.
    pub fn in_directory(directory: impl Into<PathBuf>) -> Result<Self> {
        let signer = Self {
            directory: directory.into(),
        };
        if signer.key().is_file() && signer.certificate().is_file() {
            return Ok(signer);
        }
        let pem = signer.directory.join("key.pem");
        run(Command::new("openssl")
            .args(["req", "-x509", "-nodes", "-newkey", "rsa:2048"])
            .args(["-days", "36500", "-subj", "/CN=demo", "-keyout"])
            .arg(&pem)
            .arg("-out")
            .arg(signer.certificate()))?;
        run(Command::new("openssl")
            .args(["pkcs8", "-topk8", "-nocrypt", "-outform", "DER", "-in"])
            .arg(&pem)
            .arg("-out")
            .arg(signer.key()))?;
        Ok(signer)
    }

    fn key(&self) -> PathBuf {
        self.directory.join("key.pk8")
    }

    fn certificate(&self) -> PathBuf {
        self.directory.join("certificate.pem")
    }

    /// Packs `entries` and signs the archive with schemes v2 and v3.
    ///
    /// # Errors
    /// If a file cannot be written, or `apksigner` fails or is missing.
    pub fn build(&self, entries: &[Entry], apk: &Path) -> Result<()> {
        let unsigned = self.directory.join("unsigned.apk");
        pack(entries, &unsigned).with_context(|| format!("write {}", unsigned.display()))?;
        run(Command::new("apksigner")
            .args(["sign", "--min-sdk-version", "30"])
            .args(["--v4-signing-enabled", "false", "--key"])
            .arg(self.key())
            .arg("--cert")
            .arg(self.certificate())
            .arg("--out")
            .arg(apk)
            .arg(&unsigned))
    }
}

fn pack(entries: &[Entry], to: &Path) -> Result<()> {
    let mut archive = ZipWriter::new(File::create(to)?);
    for entry in entries {
        let mut options = SimpleFileOptions::default();
        if entry.is_library {
            options = options
                .compression_method(CompressionMethod::Stored)
                .with_alignment(ALIGNMENT);
        }
        archive.start_file(&entry.name, options)?;
        archive.write_all(&entry.content)?;
    }
    archive.finish()?;
    Ok(())
}

fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("run {program}"))?;
    ensure!(
        output.status.success(),
        "{program}: {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim_end()
    );
    Ok(())
}
