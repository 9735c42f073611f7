// SPDX-License-Identifier: Apache-2.0
//! What a build of crosvm can do: some features are chosen when it is compiled, and some options are
//! new. crosvm is asked once, when a VM needs to know.

use super::unsupported;
use crate::Error;
use crate::child::Exit;
use crate::run;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The smallest Android sparse image: a header (28 bytes) and one chunk header (12 bytes) for one
/// block of 4096 bytes that is not stored.
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
    /// The abilities of the crosvm at `program`, which is not asked yet.
    #[must_use]
    pub fn of(program: PathBuf) -> Self {
        Self {
            program,
            commands: OnceLock::new(),
            options: OnceLock::new(),
            sparse: OnceLock::new(),
        }
    }

    /// The features that some builds lack, and whether this one has them; `None` if it cannot be
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

    /// Checks that this build has disks of partitions, which `field` asks for.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if it does not.
    pub(super) fn composite_disk(&self, field: &str) -> Result<(), Error> {
        let help = self.commands.get_or_init(|| self.help(&["--help"]));
        self.require(help, "create_composite", "composite-disk", field)
    }

    /// Checks that this build has `option`, which comes with `feature` and which `field` asks for.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if it does not.
    pub(super) fn option(&self, option: &str, feature: &str, field: &str) -> Result<(), Error> {
        let help = self.options.get_or_init(|| self.help(&["run", "--help"]));
        self.require(help, option, feature, field)
    }

    /// Whether this build has `option`, without which a VM is none the worse.
    pub(super) fn knows(&self, option: &str) -> bool {
        let help = self.options.get_or_init(|| self.help(&["run", "--help"]));
        help.as_ref()
            .is_ok_and(|help| help.split_whitespace().any(|word| word == option))
    }

    /// Checks that this build reads Android sparse images, which `field` asks for. No help text says
    /// so; a disk made of one, in the VM's own `directory`, shows it.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if it does not.
    pub(super) fn android_sparse(&self, field: &str, directory: &Path) -> Result<(), Error> {
        self.composite_disk(field)?;
        let able = *self.sparse.get_or_init(|| {
            self.unfolds(directory).unwrap_or_else(|e| {
                log::warn!("cannot ask crosvm whether it reads sparse images: {e}");
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
                "{field}: cannot ask {} for its help: {e}",
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
        let output = run::probe(&self.program, arguments, None).map_err(|e| match e {
            run::RunError::Failed(Error::Io { source, .. }) => source.to_string(),
            e => e.to_string(),
        })?;
        Ok(output.text)
    }

    /// Has crosvm make a disk of a sparse image and looks how large the partition became.
    fn unfolds(&self, directory: &Path) -> io::Result<bool> {
        let (image, disk) = ("sparse-probe.img", "sparse-probe");
        fs::write(directory.join(image), SPARSE_BLOCK)?;
        let partition = format!("probe:{image}");
        let arguments = ["create_composite", disk, &partition];
        let made = run::probe(&self.program, &arguments, Some(directory));
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
        let exit = made.map_err(io::Error::other)?.exit;
        if exit != Exit::Code(0) || read.is_err() {
            return Ok(false);
        }
        let last = header[LAST_LBA].try_into().map_or(0, u64::from_le_bytes);
        Ok(last == LAST_OF_ONE_BLOCK)
    }
}
