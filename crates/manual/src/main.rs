// SPDX-License-Identifier: Apache-2.0
//! Makes manual pages and shell completions, as they are installed:
//!
//! ```text
//!   man/man1/vm.1, vm-run.1 ...   from the command lines in `PROGRAMS`, one for each subcommand
//!   man/man5, man/man8            from docs/man, for what has no command line or another parser
//!   completions/bash/vm           from `PROGRAMS`
//!   completions/zsh/_vm
//!   completions/fish/vm.fish
//! ```
//!
//! A program of its own, so that `xtask` need not link what the command lines need.
#![forbid(unsafe_code)]

mod generated;
#[cfg(test)]
mod tests;
mod written;

use anyhow::{Context, Result};
use clap::{CommandFactory, Parser};
use clap_complete::Shell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The top of the source tree.
const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Makes manual pages and shell completions.
#[derive(Debug, Parser)]
struct Args {
    /// The directory in which `man` and `completions` are written
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// A program whose command line clap reads.
struct Program {
    /// The command line.
    command: fn() -> clap::Command,
    /// The section of the manual that it belongs to.
    section: u8,
}

/// The programs with generated pages and completions. To add one, list it here.
const PROGRAMS: &[Program] = &[Program {
    command: vm_cli::Cli::command,
    section: 1,
}];

/// The shells, each with a directory of its own, for the names of their files differ.
const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

fn main() -> ExitCode {
    let args = Args::parse();
    match make(&args.out) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("manual: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Replaces `man` and `completions` in `out`, and returns the paths of the files in `out`.
fn make(out: &Path) -> Result<Vec<PathBuf>> {
    for name in ["man", "completions"] {
        // What an earlier version had must not be taken for a part of this one.
        remove_all(&out.join(name))?;
    }
    let mut files = Vec::new();
    let mut put = |path: PathBuf, content: &[u8]| {
        let file = out.join(&path);
        if let Some(dir) = file.parent() {
            fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        }
        fs::write(&file, content).with_context(|| format!("cannot write {}", file.display()))?;
        files.push(path);
        anyhow::Ok(())
    };
    for program in PROGRAMS {
        for page in generated::pages((program.command)(), program.section)? {
            put(page.path(), page.text.as_bytes())?;
        }
        for shell in SHELLS {
            let (path, text) = generated::completion((program.command)(), shell);
            put(path, &text)?;
        }
    }
    for page in written::pages(&Path::new(WORKSPACE).join("docs/man"))? {
        put(page.path(), page.text.as_bytes())?;
    }
    files.sort();
    Ok(files)
}

/// A page of the manual.
#[derive(Debug)]
struct Page {
    name: String,
    section: String,
    text: String,
}

impl Page {
    /// Its place below the directory that has `man`.
    fn path(&self) -> PathBuf {
        let Self { name, section, .. } = self;
        PathBuf::from(format!("man/man{section}/{name}.{section}"))
    }
}

/// When the pages were last changed. Change it together with a help text or a page.
const DATE: &str = "2026-11-25";

/// What the pages' footers show.
fn source() -> String {
    format!("virtmgr {}", env!("CARGO_PKG_VERSION"))
}

fn remove_all(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(e).with_context(|| format!("cannot remove {}", dir.display()))
        }
        _ => Ok(()),
    }
}
