// SPDX-License-Identifier: Apache-2.0
//! Errors, and the conversion of those of the JSON reader.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::error::Category;

use crate::topology::CpuTopologyError;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration file cannot be opened or read.
    #[error(
        "cannot read the VM configuration {}; check the path and its permissions",
        .file.display()
    )]
    Read {
        /// The configuration file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },

    /// The configuration file is larger than [`MAX_FILE_SIZE`](crate::MAX_FILE_SIZE).
    #[error(
        "{} is larger than {} bytes, the limit for a VM configuration; name the JSON file",
        .file.display(), crate::MAX_FILE_SIZE
    )]
    TooLarge {
        /// The configuration file.
        file: PathBuf,
    },

    /// The configuration file is not text.
    #[error(
        "{} is not UTF-8 text: byte {offset} is invalid; save it as UTF-8",
        .file.display()
    )]
    NotUtf8 {
        /// The configuration file.
        file: PathBuf,
        /// The offset of the first invalid byte.
        offset: usize,
    },

    /// The text is not JSON.
    #[error(
        "{at}: not valid JSON: {problem}; correct it there (JSON has no comments and no trailing commas)"
    )]
    Syntax {
        /// Where.
        at: Location,
        /// What the JSON reader says.
        problem: String,
    },

    /// A key is not part of the format.
    #[error(
        "{at}: unknown key `{key}`; {}the known keys here are: {}",
        .advice.as_deref().map(|advice| format!("{advice}; ")).unwrap_or_default(),
        .known.join(", ")
    )]
    UnknownKey {
        /// Where.
        at: Location,
        /// The key, shortened if it is very long.
        key: String,
        /// What was probably meant: a known key of a similar name or meaning.
        advice: Option<String>,
        /// All keys that are allowed in this object.
        known: Vec<String>,
    },

    /// A value, or a combination of values, is not allowed.
    #[error("{at}: {problem}")]
    Value {
        /// Where.
        at: Location,
        /// The value and what to do.
        problem: String,
    },

    /// A file that the configuration names cannot be opened.
    #[error(
        "cannot open {role} {} for {}; check the path, which is relative to the configuration file, and its permissions",
        .file.display(),
        if *.writable { "reading and writing" } else { "reading" }
    )]
    Open {
        /// What the file is for.
        role: String,
        /// The file.
        file: PathBuf,
        /// Whether it was to be opened for writing, too.
        writable: bool,
        /// What the system says.
        source: io::Error,
    },

    /// A file is not of a kind that a VM can use.
    #[error("{role} {} is {kind}; name {wanted}", .file.display())]
    Kind {
        /// What the file is for.
        role: String,
        /// The file.
        file: PathBuf,
        /// What it is.
        kind: &'static str,
        /// What it must be.
        wanted: &'static str,
    },

    /// More files than one binder call can carry.
    #[error(
        "the VM has {count} files, but at most {} can be sent to a manager; combine partitions into whole-disk images",
        crate::MAX_FILES
    )]
    TooManyFiles {
        /// The number of files that the configuration names.
        count: usize,
    },
}

/// A position in a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Location {
    /// The configuration file, if the text came from one.
    pub file: Option<PathBuf>,
    /// Line and column (in bytes), both from 1, at which the reader detected the fault: usually the
    /// last character of the wrong value. `None` if the fault has no single position.
    pub position: Option<(usize, usize)>,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.position) {
            (Some(file), Some((line, column))) => {
                write!(f, "{}:{line}:{column}", file.display())
            }
            (Some(file), None) => write!(f, "{}", file.display()),
            (None, Some((line, column))) => write!(f, "line {line}, column {column}"),
            (None, None) => f.write_str("VM configuration"),
        }
    }
}

/// Why a single value is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// `memory_mib` is zero, negative or too large.
    #[error("memory_mib is {0}; give 1 to {max} MiB, or leave it out for the default", max = i32::MAX)]
    Memory(i64),

    /// `cpu_topology` does not say how many CPUs.
    #[error("cpu_topology is {text:?}: {problem}")]
    CpuTopology {
        /// The value, shortened if it is very long.
        text: String,
        /// What is wrong with it.
        problem: CpuTopologyError,
    },

    /// `platform_version` is not a SemVer requirement.
    #[error(
        "platform_version is {text:?}, which is not a SemVer requirement ({reason}); give one such as \"~1.0\""
    )]
    PlatformVersion {
        /// The value, shortened if it is very long.
        text: String,
        /// What is wrong with it.
        reason: String,
    },

    /// A partition's label does not fit into a GPT.
    #[error(
        "the partition label {label:?} has {units} UTF-16 units; a GPT has room for 36; shorten it"
    )]
    LabelTooLong {
        /// The label, shortened if it is very long.
        label: String,
        /// Its length.
        units: usize,
    },

    /// A NUL would end a partition's label for its readers.
    #[error("the partition label {label:?} contains a NUL character; remove it")]
    LabelNul {
        /// The label, shortened if it is very long.
        label: String,
    },

    /// Two partitions of one disk have the same label.
    #[error("two partitions of one disk have the label {label:?}; give each partition its own")]
    DuplicateLabel {
        /// The label.
        label: String,
    },

    /// `guid` is not a UUID.
    #[error(
        "guid is {text:?}, which is not a UUID ({reason}); give one such as \"a2037d4f-98e1-4a0c-9c2f-0f1c70a1cd3e\", or leave it out for a random one"
    )]
    Guid {
        /// The value, shortened if it is very long.
        text: String,
        /// What is wrong with it.
        reason: String,
    },

    /// A disk has both `image` and `partitions`.
    #[error("a disk has both image {image:?} and partitions; keep one of them")]
    ImageAndPartitions {
        /// The image's path.
        image: PathBuf,
    },

    /// A disk has neither `image` nor `partitions`.
    #[error("a disk has neither image nor partitions; give it one of them")]
    EmptyDisk,

    /// The VM has both `kernel` and `bootloader`.
    #[error("both kernel {kernel:?} and bootloader {bootloader:?} are given; keep one of them")]
    KernelAndBootloader {
        /// The kernel's path.
        kernel: PathBuf,
        /// The bootloader's path.
        bootloader: PathBuf,
    },

    /// The VM has neither `kernel` nor `bootloader`.
    #[error(
        "neither kernel nor bootloader is given; add one of them, for example \"kernel\": \"vmlinux\""
    )]
    NothingToBoot,
}

impl Error {
    /// Names the file in an error about its text.
    pub(crate) fn in_file(mut self, path: &Path) -> Self {
        if let Self::Syntax { at, .. } | Self::UnknownKey { at, .. } | Self::Value { at, .. } =
            &mut self
        {
            at.file = Some(path.to_owned());
        }
        self
    }

    /// Converts an error of the JSON reader, which says what it found as text only.
    pub(crate) fn from_json(error: &serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        let at = Location {
            file: None,
            // The reader counts the characters before it, none at the start of a line.
            position: (line != 0).then_some((line, column.max(1))),
        };
        let text = error.to_string();
        let text = text
            .strip_suffix(&format!(" at line {line} column {column}"))
            .unwrap_or(&text);
        if error.classify() != Category::Data {
            return Self::Syntax {
                at,
                problem: text.to_owned(),
            };
        }
        if let Some((key, known)) = split_unknown_key(text) {
            let key = shorten(key);
            return Self::UnknownKey {
                at,
                advice: advice(&key, &known),
                key,
                known,
            };
        }
        let text = shorten_to(text, 400);
        let problem = if text.starts_with("missing field ") {
            format!("{}; add it", text.replacen("field", "key", 1))
        } else if text.starts_with("duplicate field ") {
            format!("{}; keep one of them", text.replacen("field", "key", 1))
        } else if text.starts_with("invalid ") || text.starts_with("unknown variant ") {
            format!("{text}; correct the value")
        } else {
            // One of ours, which is complete.
            text
        };
        Self::Value { at, problem }
    }
}

/// Splits serde's message "unknown field `x`, expected one of `a`, `b`".
fn split_unknown_key(message: &str) -> Option<(&str, Vec<String>)> {
    let rest = message.strip_prefix("unknown field `")?;
    // From the end: the key may contain anything, the expected names are ours.
    let (key, expected) = rest.rsplit_once("`, expected ")?;
    let names = expected.split('`').skip(1).step_by(2);
    Some((key, names.map(str::to_owned).collect()))
}

/// Keys that other tools have for the same thing.
const SYNONYMS: [(&str, &[&str]); 11] = [
    ("bootloader", &["bios", "firmware", "uefi"]),
    (
        "console_input_device",
        &["console", "console_input", "serial"],
    ),
    (
        "cpu_topology",
        &["cpu", "cpu_count", "cpus", "smp", "vcpu", "vcpus"],
    ),
    ("devices", &["device", "passthrough", "pci", "vfio"]),
    (
        "disks",
        &["block", "drive", "drives", "hda", "images", "volumes"],
    ),
    ("image", &["file", "path", "source"]),
    ("initrd", &["initramfs", "ramdisk"]),
    (
        "memory_mib",
        &["mem", "memory", "memory_mb", "memory_size", "ram"],
    ),
    (
        "params",
        &[
            "append",
            "args",
            "bootargs",
            "cmdline",
            "command_line",
            "kernel_cmdline",
        ],
    ),
    ("path", &["file", "image", "source"]),
    ("writable", &["read_only", "readonly", "ro", "rw"]),
];

/// Keys for what is not in a configuration, but an option of the tool.
const NETWORK: [&str; 5] = ["net", "network", "network_supported", "networks", "nic"];

/// What to do about an unknown key: a known key of the same meaning, else of a similar name.
fn advice(key: &str, known: &[String]) -> Option<String> {
    // So that memoryMib and memory-mib are seen to be as good as equal to memory_mib.
    let folded = key.to_lowercase().replace('-', "_");
    let synonym = SYNONYMS.iter().find(|(name, words)| {
        words.contains(&folded.as_str()) && known.iter().any(|known| known == name)
    });
    if let Some((name, _)) = synonym {
        return Some(format!("use `{name}`"));
    }
    if NETWORK.contains(&folded.as_str()) {
        return Some("a network is an option of `vm run`: --network-supported".to_owned());
    }
    // One wrong letter in three may be a slip; more is another word.
    let limit = (folded.chars().count() / 3).clamp(1, 3);
    known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(&folded, name), name))
        .min()
        .filter(|(distance, _)| *distance <= limit)
        .map(|(_, name)| format!("use `{name}`"))
}

/// The text, cut to a length that a message can show.
pub(crate) fn shorten(text: &str) -> String {
    shorten_to(text, 80)
}

fn shorten_to(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
