// SPDX-License-Identifier: Apache-2.0
//! The files of the user's that a guest's console and log are connected to, and that gets its device
//! tree.

use super::device_tree::DeviceTree;
use super::sink::Shown;
use crate::cli::common::DebugArgs;
use anyhow::{Context, Result, ensure};
use rustix::stdio;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Means standard input or output.
const DASH: &str = "-";

/// What the user sees of a guest, and gives it to read.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) console: Shown,
    pub(super) log: Shown,
    /// The console's input; none if it comes from who attaches.
    pub(super) input: Option<OwnedFd>,
    /// Where the device tree goes.
    pub(super) device_tree: Option<DeviceTree>,
}

impl Files {
    /// Opens what the options name.
    ///
    /// # Errors
    /// If a file cannot be opened, or there is no terminal where one is needed.
    pub(super) fn open(args: &DebugArgs) -> Result<Self> {
        let device_tree = args.dump_device_tree.as_deref();
        let device_tree = device_tree.map(DeviceTree::open).transpose()?;
        if args.attach {
            ensure!(
                io::stdin().is_terminal() && io::stdout().is_terminal(),
                "cannot use --attach: standard input and output are not a terminal; use --console \
                 and --console-in"
            );
            return Ok(Self {
                console: Shown::raw_stdout(),
                log: output("--log", args.log.as_deref())?,
                input: None,
                device_tree,
            });
        }
        let console = output("--console", args.console.as_deref())?;
        let log = match (&console, args.log.as_deref()) {
            // The same file twice is one file with one position, so that neither overwrites the other.
            (Shown::File(file), Some(path)) if is_same(file, path) => {
                Shown::File(file.try_clone().context("cannot use --log")?)
            }
            (_, path) => output("--log", path)?,
        };
        let input = args.console_in.as_deref().map(input).transpose()?;
        Ok(Self {
            console,
            log,
            input,
            device_tree,
        })
    }
}

fn input(path: &Path) -> Result<OwnedFd> {
    let failed = || format!("cannot read --console-in {}", path.display());
    let fd = if path == Path::new(DASH) {
        Some(stdio::stdin())
    } else {
        standard(path)
    };
    match fd {
        // A socket cannot be opened by its path, but it can be duplicated.
        Some(fd) => fd.try_clone_to_owned().with_context(failed),
        None => File::open(path).map(OwnedFd::from).with_context(failed),
    }
}

/// What an option's value says; without one, standard output unless that is a terminal.
fn output(name: &str, path: Option<&Path>) -> Result<Shown> {
    let Some(path) = path else {
        return Ok(if io::stdout().is_terminal() {
            Shown::Nothing
        } else {
            Shown::stdout()
        });
    };
    let failed = || format!("cannot write {name} {}", path.display());
    let fd = if path == Path::new(DASH) {
        Some(stdio::stdout())
    } else {
        standard(path)
    };
    match fd {
        Some(fd) if fd.as_raw_fd() == stdio::stdout().as_raw_fd() => Ok(Shown::stdout()),
        Some(fd) => {
            let fd = fd.try_clone_to_owned().with_context(failed)?;
            Ok(Shown::File(fd.into()))
        }
        None => File::create(path).map(Shown::File).with_context(failed),
    }
}

/// The standard descriptor that a path means. Opened by such a path, a file would start again at its
/// first byte, and a socket would not open at all.
fn standard(path: &Path) -> Option<BorrowedFd<'static>> {
    match path.to_str()? {
        "/dev/stdin" | "/dev/fd/0" | "/proc/self/fd/0" => Some(stdio::stdin()),
        "/dev/stdout" | "/dev/fd/1" | "/proc/self/fd/1" => Some(stdio::stdout()),
        "/dev/stderr" | "/dev/fd/2" | "/proc/self/fd/2" => Some(stdio::stderr()),
        _ => None,
    }
}

/// Whether `path` leads to `file`.
fn is_same(file: &File, path: &Path) -> bool {
    match (file.metadata(), path.metadata()) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}
