// SPDX-License-Identifier: Apache-2.0
//! What a build of crosvm can do: some features are chosen when it is compiled. It is asked once,
//! and only for a VM that needs one of them.

use super::unsupported;
use crate::Error;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Bytes of help that are read: three times what it has.
const MOST_HELP: u64 = 256 << 10;
/// The smallest Android sparse image: one block of 4096 bytes that is not stored, as the format's
/// header (28 bytes) and one chunk header (12 bytes) say it.
const SPARSE_BLOCK: [u8; 40] = [
    0x3a, 0xff, 0x26, 0xed, 1, 0, 0, 0, 28, 0, 12, 0, 0, 16, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0,
    0, 0xc3, 0xca, 0, 0, 1, 0, 0, 0, 12, 0, 0, 0,
];
/// Where a partition entry of a GPT has its last sector, in a header file whose entries begin in
/// the third sector.
const LAST_LBA: std::ops::Range<usize> = 1064..1072;
/// The last sector of a first partition of 4096 bytes that begins at sector 40.
const LAST_OF_ONE_BLOCK: u64 = 47;

/// What one build of crosvm can do.
#[derive(Debug)]
pub struct Abilities {
    program: PathBuf,
    commands: OnceLock<Result<String, String>>,
    options: OnceLock<Result<String, String>>,
    sparse: OnceLock<bool>,
}

impl Abilities {
    /// Those of the crosvm at `program`. Nothing is asked yet.
    #[must_use]
    pub fn of(program: PathBuf) -> Self {
        Self {
            program,
            commands: OnceLock::new(),
            options: OnceLock::new(),
            sparse: OnceLock::new(),
        }
    }

    /// The features that some builds lack, and whether this one has them; none if it cannot be
    /// asked. Small files are made in the directory `scratch` and removed.
    #[must_use]
    pub fn features(&self, scratch: &Path) -> Option<Vec<(&'static str, bool)>> {
        let help = |args: &[&str]| self.help(args).ok().filter(|help| !help.is_empty());
        let (commands, options) = (help(&["--help"])?, help(&["run", "--help"])?);
        let has = |help: &str, word: &str| help.split_whitespace().any(|w| w == word);
        let composite = has(&commands, "create_composite");
        let sparse = composite && self.unfolds(scratch).unwrap_or(false);
        Some(vec![
            ("composite-disk", composite),
            ("android-sparse", sparse),
            ("gdb", has(&options, "--gdb")),
            ("gpu", has(&options, "--gpu")),
        ])
    }

    /// That disks of partitions can be had, which `field` asks for.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if not.
    pub(super) fn composite_disk(&self, field: &str) -> Result<(), Error> {
        let help = self.commands.get_or_init(|| self.help(&["--help"]));
        self.require(help, "create_composite", "composite-disk", field)
    }

    /// That `option`, which comes with `feature`, is there, which `field` asks for.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if not.
    pub(super) fn option(&self, option: &str, feature: &str, field: &str) -> Result<(), Error> {
        let help = self.options.get_or_init(|| self.help(&["run", "--help"]));
        self.require(help, option, feature, field)
    }

    /// That Android sparse images can be read, which `field` asks for. No help text tells; a disk
    /// made of one, in the VM's own `directory`, does.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if not.
    pub(super) fn android_sparse(&self, field: &str, directory: &Path) -> Result<(), Error> {
        self.composite_disk(field)?;
        let able = *self.sparse.get_or_init(|| {
            self.unfolds(directory).unwrap_or_else(|e| {
                log::warn!("ask crosvm whether it reads sparse images: {e}");
                false
            })
        });
        if able {
            return Ok(());
        }
        Err(self.lacks("android-sparse", field))
    }

    fn require(
        &self,
        help: &Result<String, String>,
        word: &str,
        feature: &str,
        field: &str,
    ) -> Result<(), Error> {
        match help {
            Ok(help) if help.split_whitespace().any(|w| w == word) => Ok(()),
            Ok(_) => Err(self.lacks(feature, field)),
            Err(e) => Err(unsupported(format!(
                "{field}: {} --help: {e}",
                self.program.display()
            ))),
        }
    }

    fn lacks(&self, feature: &str, field: &str) -> Error {
        unsupported(format!(
            "{field}: {} was built without the feature {feature}; build it with --features {feature}",
            self.program.display()
        ))
    }

    fn help(&self, arguments: &[&str]) -> Result<String, String> {
        let mut child = Command::new(&self.program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| e.to_string())?;
        let mut text = Vec::new();
        let read = match child.stdout.take() {
            Some(out) => out.take(MOST_HELP).read_to_end(&mut text),
            None => Ok(0),
        };
        let _ = child.kill();
        child.wait().and(read).map_err(|e| e.to_string())?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Has crosvm make a disk of a sparse image and looks how large the partition became.
    fn unfolds(&self, directory: &Path) -> io::Result<bool> {
        let (image, disk) = ("sparse-probe.img", "sparse-probe");
        fs::write(directory.join(image), SPARSE_BLOCK)?;
        let made = Command::new(&self.program)
            .args(["create_composite", disk, &format!("probe:{image}")])
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        let mut header = vec![0; LAST_LBA.end];
        let read = File::open(directory.join("sparse-probe.header"))
            .and_then(|mut file| file.read_exact(&mut header));
        for name in [
            image,
            disk,
            "sparse-probe.filler",
            "sparse-probe.header",
            "sparse-probe.footer",
        ] {
            let _ = fs::remove_file(directory.join(name));
        }
        if !made?.success() || read.is_err() {
            return Ok(false);
        }
        let last = header[LAST_LBA].try_into().map_or(0, u64::from_le_bytes);
        Ok(last == LAST_OF_ONE_BLOCK)
    }
}
