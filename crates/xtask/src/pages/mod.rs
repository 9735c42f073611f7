// SPDX-License-Identifier: Apache-2.0
//! `pages`: manual pages and shell completions, as they are installed.
//!
//! ```text
//!   man/man1/vm.1, vm-run.1 ...   from the command lines in `PROGRAMS`, one for each subcommand
//!   man/man5, man/man8            from docs/man, which has what no command line knows
//!   completions/bash/vm           from `PROGRAMS`
//!   completions/zsh/_vm
//!   completions/fish/vm.fish
//! ```

mod generated;
#[cfg(test)]
mod tests;
mod written;

use crate::dist::make_dir;
use crate::place::Place;
use anyhow::{Context, Result};
use clap::CommandFactory;
use clap_complete::Shell;
use std::fs;
use std::path::{Path, PathBuf};

/// Arguments of `pages`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to put `man` and `completions` [default: target/dist]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// A program whose command line clap reads.
struct Program {
    /// The command line.
    command: fn() -> clap::Command,
    /// The section of the manual that it belongs to.
    section: u8,
}

/// Those that have generated pages and completions. A program that is added here needs no more.
const PROGRAMS: &[Program] = &[Program {
    command: vm::cli::Cli::command,
    section: 1,
}];

/// The shells, each with a directory of its own, for the names of their files differ.
const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

/// `cargo xtask pages`.
pub(crate) fn run(args: &Args) -> Result<()> {
    let place = Place::find()?;
    let out = args.out.clone().unwrap_or_else(|| place.dist());
    let files = make(&place, &out)?;
    println!("in {}:", out.display());
    for file in files {
        println!("  {}", file.display());
    }
    Ok(())
}

/// Makes `man` and `completions` in `out` anew, and returns the paths of the files in `out`.
pub(crate) fn make(place: &Place, out: &Path) -> Result<Vec<PathBuf>> {
    for name in ["man", "completions"] {
        // What an earlier version had must not be taken for a part of this one.
        remove_all(&out.join(name))?;
    }
    let mut files = Vec::new();
    let mut put = |path: PathBuf, content: &[u8]| {
        let file = out.join(&path);
        if let Some(dir) = file.parent() {
            make_dir(dir)?;
        }
        fs::write(&file, content).with_context(|| format!("write {}", file.display()))?;
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
    for page in written::pages(&place.workspace.join("docs/man"))? {
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

/// What the pages' footers show.
fn source() -> String {
    format!("virtmgr {}", env!("CARGO_PKG_VERSION"))
}

fn remove_all(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(e).with_context(|| format!("remove {}", dir.display()))
        }
        _ => Ok(()),
    }
}
